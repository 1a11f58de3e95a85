package volume

import (
	"cmp"
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func VolumeCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "volume", Usage: "manage volumes",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list volumes",
				Flags:  command.ListFlags("name, label, label!, driver, dangling"),
				Action: command.With(con, listVolumes),
			},
			{
				Name: "inspect", Usage: "show all about volumes", ArgsUsage: "VOLUME...",
				Flags:  []cli.Flag{command.Text("format", "json or a Go template (`FORMAT`)", "f")},
				Action: command.With(con, inspectVolumes),
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove volumes and their data", ArgsUsage: "VOLUME...",
				Flags:  []cli.Flag{command.Toggle("force", "do not mind volumes that do not exist", "f")},
				Action: command.Changes(con, removeVolumes),
			},
			{
				Name: "prune", Usage: "remove anonymous volumes that no container uses",
				Flags:  command.PruneFlags("label, label!, all", command.Toggle("all", "named volumes too", "a")),
				Action: command.Changes(con, pruneVolumes),
			},
			{
				Name: "create", Usage: "create a volume", ArgsUsage: "[VOLUME]",
				Flags: []cli.Flag{
					command.Text("driver", "only \"local\" (`DRIVER`)", "d"),
					command.List("label", "label, `KEY=VALUE`, repeatable"),
					command.List("opt", "option of the driver, `KEY=VALUE`, repeatable", "o"),
					command.Hidden(command.Text("name", "")),
				},
				Action: command.Changes(con, createVolume),
			},
		},
	}
}

func removeVolumes(s *command.Session, c *cli.Context) error {
	if err := command.NeedArgs(c, 1); err != nil {
		return err
	}
	return command.ForEach(c, func(ctx context.Context, name string) error {
		err := s.Podc.Volumes.Remove(ctx, name)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			fmt.Fprintln(s.Con.Out, name)
		}
		return err
	})
}

func createVolume(s *command.Session, c *cli.Context) error {
	if c.NArg() > 1 {
		return fault.Invalid("create needs at most one argument: VOLUME")
	}
	v := api.Volume{Name: cmp.Or(c.Args().First(), c.String("name")), Driver: c.String("driver")}
	var err error
	if v.Labels, err = command.Pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if v.Options, err = command.Pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if v, err = s.Podc.Volumes.Create(c.Context, v); err != nil {
		return err
	}
	fmt.Fprintln(s.Con.Out, v.Name)
	return nil
}
