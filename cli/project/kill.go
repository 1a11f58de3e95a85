package project

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func KillCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "kill", Usage: "send a signal to containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.TextOr("signal", "SIGKILL", "`SIGNAL` to send", "s"),
			command.Toggle("remove-orphans", "remove containers of services that are no longer in the file"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "kill", services, project.KillOptions{
				Services: services, Signal: c.String("signal"), RemoveOrphans: removeOrphans(s),
			}, s.Podc.Projects.Kill)
		}),
	}
}
