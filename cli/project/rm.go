package project

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

func RmCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "remove stopped containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("force", "do not ask", "f"),
			command.Toggle("stop", "stop them first", "s"),
			command.Toggle("volumes", "remove their anonymous volumes too", "v"),
			command.Hidden(command.Toggle("all", "", "a")),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "rm", services, project.RemoveOptions{
				Services: services, Force: c.Bool("force"), Stop: c.Bool("stop"), Volumes: c.Bool("volumes"),
			}, func(ctx context.Context, d project.Desired, opt project.RemoveOptions, w control.Watch) error {
				w.Report = announcing(con, w.Report)
				return s.Podc.Projects.Remove(ctx, d, opt, w)
			})
		}),
	}
}

// announcing has a plan's removals said on standard output before they are begun, as docker compose says them.
func announcing(con *show.Console, report func(project.Event)) func(project.Event) {
	return func(e project.Event) {
		if e.Kind == project.Planned {
			var names []string
			for _, s := range e.Plan.Steps {
				if do, ok := s.Do.(project.RemovePod); ok {
					names = append(names, do.Name)
				}
			}
			if slices.Sort(names); len(names) > 0 {
				fmt.Fprintf(con.Out, "Going to remove %s\n", strings.Join(names, ", "))
			}
		}
		report(e)
	}
}
