package project

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

func CreateCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "create containers without starting them", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			command.Hidden(command.Toggle("build", "")),
			command.Toggle("no-build", "never build an image"),
			command.Text("pull", "when to pull images: always, missing or never (`POLICY`)"),
			command.Toggle("quiet-pull", "show no progress of pulls"),
			command.Toggle("force-recreate", "replace containers even when nothing changed"),
			command.Toggle("no-recreate", "leave existing containers as they are"),
			command.Toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			command.List("scale", "number of replicas, `SERVICE=N`"),
			command.Toggle("yes", "answer every question with yes", "y"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			opt := upOptions{
				services: c.Args().Slice(), verb: "create", noStart: true, quietPull: c.Bool("quiet-pull"), yes: c.Bool("yes"),
				forceRecreate: c.Bool("force-recreate"), noRecreate: c.Bool("no-recreate"),
			}
			if opt.forceRecreate && opt.noRecreate {
				return show.Usage("--force-recreate and --no-recreate cannot be combined")
			}
			if err := command.NotServed(c, "build"); err != nil {
				return err
			}
			var err error
			if opt.pull, err = pullPolicy(c.String("pull")); err != nil {
				return err
			}
			if opt.scale, err = scales("--scale", c.StringSlice("scale")); err != nil {
				return err
			}
			return up(s, c.Context, opt)
		}),
	}
}
