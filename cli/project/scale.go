package project

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

func ScaleCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set how many containers services have, until the next up", ArgsUsage: "SERVICE=N...",
		Flags: []cli.Flag{command.Toggle("no-deps", "leave the services that these depend on alone")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			counts, err := scales("argument", c.Args().Slice())
			if err != nil {
				return err
			}
			return up(s, c.Context, upOptions{
				services: slices.Sorted(maps.Keys(counts)), verb: "scale", scale: counts, noDeps: c.Bool("no-deps"), detach: true,
			})
		}),
	}
}
