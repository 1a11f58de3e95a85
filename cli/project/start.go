package project

import (
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func StartCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "start", Usage: "start existing containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Toggle("wait", "return once everything is running or healthy"),
			command.Number("wait-timeout", 0, "wait at most `SECONDS`"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.Int("wait-timeout") < 0 {
				return show.Usage("--wait-timeout is negative")
			}
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "start", services, project.StartOptions{
				Services: services, Wait: c.Bool("wait"), WaitTimeout: time.Duration(c.Int("wait-timeout")) * time.Second,
			}, s.Podc.Projects.Start)
		}),
	}
}
