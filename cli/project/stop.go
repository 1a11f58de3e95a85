package project

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func StopCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "stop", Usage: "stop containers, dependents first", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{command.Number("timeout", 0, "`SECONDS` that containers get to stop", "t")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "stop", services, project.StopOptions{Services: services, Timeout: command.Seconds(c, "timeout")}, s.Podc.Projects.Stop)
		}),
	}
}
