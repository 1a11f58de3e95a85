package main

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/project"
)

func killCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			textOr("signal", "SIGKILL", "`SIGNAL` to send", "s"),
			toggle("remove-orphans", "remove containers of services that are no longer in the file"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			services := c.Args().Slice()
			return verbOn(c.Context, s, "kill", services, project.KillOptions{
				Services: services, Signal: c.String("signal"), RemoveOrphans: s.removeOrphans(),
			}, s.podc.Projects.Kill)
		}),
	}
}
