package project

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func RestartCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "restart", Usage: "restart containers; changes of the compose file are not applied", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
			command.Toggle("no-deps", "leave alone those that ask to be restarted with their dependency"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := project.RestartOptions{Services: c.Args().Slice(), NoDeps: c.Bool("no-deps"), Timeout: command.Seconds(c, "timeout")}
			return command.VerbOn(c.Context, s, "restart", opt.Services, opt, s.Podc.Projects.Restart)
		}),
	}
}
