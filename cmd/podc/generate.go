package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/project"
)

// generateCommand is docker compose's `alpha generate`.
func generateCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "generate", Usage: "write a compose file that containers could have been made from", ArgsUsage: "CONTAINER...", Hidden: true,
		Flags: []cli.Flag{
			textOr("format", "yaml", "yaml or json (`FORMAT`)"),
			text("name", "`NAME` of the project"),
			text("project-dir", "`DIR` of the project, which names it otherwise"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			var pods []api.Pod
			for _, name := range c.Args().Slice() {
				p, err := s.container(name)
				if err != nil {
					return err
				}
				pods = append(pods, p)
			}
			model, warnings := project.Generate(pods)
			for _, text := range warnings {
				warn(con, text)
			}
			b, err := json.Marshal(model)
			if err != nil {
				return err
			}
			args := []string{"--file=-", "--no-normalize", "--no-path-resolution", "--format=" + c.String("format")}
			if name := c.String("name"); name != "" {
				args = append(args, "--project-name="+name)
			}
			if dir := c.String("project-dir"); dir != "" {
				if !filepath.IsAbs(dir) {
					dir = filepath.Join(con.dir, dir)
				}
				args = append(args, "--project-directory="+dir)
			}
			from := *con
			from.in, from.env = bytes.NewReader(b), maps.Clone(con.env)
			delete(from.env, "COMPOSE_PROJECT_NAME") // the name is that asked for, or the folder's
			return runConfig(c.Context, &from, args)
		}),
	}
}
