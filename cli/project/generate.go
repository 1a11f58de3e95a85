package project

import (
	"bytes"
	"encoding/json"
	"maps"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

// GenerateCommand is docker compose's `alpha generate`.
func GenerateCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "generate", Usage: "write a compose file that containers could have been made from", ArgsUsage: "CONTAINER...", Hidden: true,
		Flags: []cli.Flag{
			command.TextOr("format", "yaml", "yaml or json (`FORMAT`)"),
			command.Text("name", "`NAME` of the project"),
			command.Text("project-dir", "`DIR` of the project, which names it otherwise"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			var pods []api.Pod
			for _, name := range c.Args().Slice() {
				p, err := s.Container(name)
				if err != nil {
					return err
				}
				pods = append(pods, p)
			}
			model, warnings := project.Generate(pods)
			for _, text := range warnings {
				show.Warn(con, text)
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
					dir = filepath.Join(con.Dir, dir)
				}
				args = append(args, "--project-directory="+dir)
			}
			from := *con
			from.In, from.Env = bytes.NewReader(b), maps.Clone(con.Env)
			delete(from.Env, "COMPOSE_PROJECT_NAME") // the name is that asked for, or the folder's
			return runConfig(c.Context, &from, args)
		}),
	}
}
