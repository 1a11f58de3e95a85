package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/project"
)

func startCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start existing containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			toggle("wait", "return once everything is running or healthy"),
			number("wait-timeout", 0, "wait at most `SECONDS`"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.Int("wait-timeout") < 0 {
				return usage("--wait-timeout is negative")
			}
			services := c.Args().Slice()
			return verbOn(c.Context, s, "start", services, project.StartOptions{
				Services: services, Wait: c.Bool("wait"), WaitTimeout: time.Duration(c.Int("wait-timeout")) * time.Second,
			}, s.podc.Projects.Start)
		}),
	}
}
