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
func GenerateCommand() *command.Command {
	return &command.Command{
		Name: "generate", Usage: "write a compose file that containers could have been made from", Args: command.Containers, Hidden: true,
		Flags: []*command.Flag{
			command.TextOr("format", "yaml", command.OneOf("FORMAT", "yaml", "json"), ""),
			command.Text("name", command.Name, "NAME of the project"),
			command.Text("project-dir", command.Dir, "DIR of the project, which names it otherwise"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
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
				show.Warn(s.Con, text)
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
					dir = filepath.Join(s.Con.Dir, dir)
				}
				args = append(args, "--project-directory="+dir)
			}
			from := *s.Con
			from.In, from.Env = bytes.NewReader(b), maps.Clone(s.Con.Env)
			delete(from.Env, "COMPOSE_PROJECT_NAME") // the name is that asked for, or the folder's
			return runConfig(c.Context, &from, args)
		},
	}
}
