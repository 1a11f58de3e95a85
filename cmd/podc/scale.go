package main

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
)

func scaleCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "scale", Usage: "set how many containers services have, until the next up", ArgsUsage: "SERVICE=N...",
		Flags: []cli.Flag{toggle("no-deps", "leave the services that these depend on alone")},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			counts, err := scales("argument", c.Args().Slice())
			if err != nil {
				return err
			}
			return s.up(c.Context, upOptions{
				services: slices.Sorted(maps.Keys(counts)), verb: "scale", scale: counts, noDeps: c.Bool("no-deps"), detach: true,
			})
		}),
	}
}
