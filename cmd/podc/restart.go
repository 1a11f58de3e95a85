package main

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/project"
)

func restartCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "restart containers; changes of the compose file are not applied", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
			toggle("no-deps", "leave alone those that ask to be restarted with their dependency"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := project.RestartOptions{Services: c.Args().Slice(), NoDeps: c.Bool("no-deps"), Timeout: seconds(c, "timeout")}
			return verbOn(c.Context, s, "restart", opt.Services, opt, s.podc.Projects.Restart)
		}),
	}
}
