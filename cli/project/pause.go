package project

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

func PauseCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers, which keep their memory and connections", ArgsUsage: "[SERVICE...]",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "pause", services, project.PauseOptions{Services: services}, s.Podc.Projects.Pause)
		}),
	}
}

func UnpauseCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let paused containers go on", ArgsUsage: "[SERVICE...]",
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			services := c.Args().Slice()
			return command.VerbOn(c.Context, s, "unpause", services, project.PauseOptions{Services: services}, s.Podc.Projects.Unpause)
		}),
	}
}
