package main

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/project"
)

func stopCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers, dependents first", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{number("timeout", 0, "`SECONDS` that containers get to stop", "t")},
		Action: with(con, func(s *session, c *cli.Context) error {
			services := c.Args().Slice()
			return verbOn(c.Context, s, "stop", services, project.StopOptions{Services: services, Timeout: seconds(c, "timeout")}, s.podc.Projects.Stop)
		}),
	}
}
