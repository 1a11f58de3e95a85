package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"podc.example/podc/api"
)

func volumeCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "volume", Usage: "manage volumes",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list volumes",
				Flags:  listFlags("name, label, label!, driver, dangling"),
				Action: with(con, (*session).listVolumes),
			},
			{
				Name: "inspect", Usage: "show all about volumes", ArgsUsage: "VOLUME...",
				Flags:  []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f")},
				Action: with(con, (*session).inspectVolumes),
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove volumes and their data", ArgsUsage: "VOLUME...",
				Flags:  []cli.Flag{toggle("force", "do not mind volumes that do not exist", "f")},
				Action: changes(con, (*session).removeVolumes),
			},
			{
				Name: "prune", Usage: "remove anonymous volumes that no container uses",
				Flags:  pruneFlags("label, label!, all", toggle("all", "named volumes too", "a")),
				Action: changes(con, (*session).pruneVolumes),
			},
			{
				Name: "create", Usage: "create a volume", ArgsUsage: "[VOLUME]",
				Flags: []cli.Flag{
					text("driver", "only \"local\" (`DRIVER`)", "d"),
					list("label", "label, `KEY=VALUE`, repeatable"),
					list("opt", "option of the driver, `KEY=VALUE`, repeatable", "o"),
					hidden(text("name", "")),
				},
				Action: changes(con, (*session).createVolume),
			},
		},
	}
}

func (s *session) removeVolumes(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return forEach(c, func(ctx context.Context, name string) error {
		err := s.podc.Volumes.Remove(ctx, name)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			fmt.Fprintln(s.con.out, name)
		}
		return err
	})
}

func (s *session) createVolume(c *cli.Context) error {
	if c.NArg() > 1 {
		return usage("create needs at most one argument: VOLUME")
	}
	v := api.Volume{Name: cmp.Or(c.Args().First(), c.String("name")), Driver: c.String("driver")}
	var err error
	if v.Labels, err = pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if v.Options, err = pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if v, err = s.podc.Volumes.Create(c.Context, v); err != nil {
		return err
	}
	fmt.Fprintln(s.con.out, v.Name)
	return nil
}
