package main

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/project"
)

func pauseCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "pause", Usage: "freeze containers, which keep their memory and connections", ArgsUsage: "[SERVICE...]",
		Action: with(con, func(s *session, c *cli.Context) error {
			services := c.Args().Slice()
			return verbOn(c.Context, s, "pause", services, project.PauseOptions{Services: services}, s.podc.Projects.Pause)
		}),
	}
}

func unpauseCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "unpause", Usage: "let paused containers go on", ArgsUsage: "[SERVICE...]",
		Action: with(con, func(s *session, c *cli.Context) error {
			services := c.Args().Slice()
			return verbOn(c.Context, s, "unpause", services, project.PauseOptions{Services: services}, s.podc.Projects.Unpause)
		}),
	}
}
