package main

import (
	"github.com/urfave/cli/v2"

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
			return s.verbOn(c.Context, "rm", project.VerbOptions{
				Services: c.Args().Slice(), Force: c.Bool("force"), Stop: c.Bool("stop"), Volumes: c.Bool("volumes"),
			}, project.Remove)
		}),
	}
}
