package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/control"
	"podc.example/podc/project"
)

func rmCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "rm", Usage: "remove stopped containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			toggle("force", "do not ask", "f"),
			toggle("stop", "stop them first", "s"),
			toggle("volumes", "remove their anonymous volumes too", "v"),
			hidden(toggle("all", "", "a")),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			services := c.Args().Slice()
			return verbOn(c.Context, s, "rm", services, project.RemoveOptions{
				Services: services, Force: c.Bool("force"), Stop: c.Bool("stop"), Volumes: c.Bool("volumes"),
			}, func(ctx context.Context, d project.Desired, opt project.RemoveOptions, w control.Watch) error {
				w.Report = announcing(con, w.Report)
				return s.podc.Projects.Remove(ctx, d, opt, w)
			})
		}),
	}
}

// announcing has a plan's removals said on standard output before they are begun, as docker compose says them.
func announcing(con *console, report func(project.Event)) func(project.Event) {
	return func(e project.Event) {
		if e.Kind == project.Planned {
			var names []string
			for _, s := range e.Plan.Steps {
				if do, ok := s.Do.(project.RemovePod); ok {
					names = append(names, do.Name)
				}
			}
			if slices.Sort(names); len(names) > 0 {
				fmt.Fprintf(con.out, "Going to remove %s\n", strings.Join(names, ", "))
			}
		}
		report(e)
	}
}
