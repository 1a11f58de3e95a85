package main

import "github.com/urfave/cli/v2"

func createCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "create", Usage: "create containers without starting them", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			hidden(toggle("build", "")),
			toggle("no-build", "never build an image"),
			text("pull", "when to pull images: always, missing or never (`POLICY`)"),
			toggle("quiet-pull", "show no progress of pulls"),
			toggle("force-recreate", "replace containers even when nothing changed"),
			toggle("no-recreate", "leave existing containers as they are"),
			toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			list("scale", "number of replicas, `SERVICE=N`"),
			toggle("yes", "answer every question with yes", "y"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt := upOptions{
				services: c.Args().Slice(), verb: "create", noStart: true, quietPull: c.Bool("quiet-pull"), yes: c.Bool("yes"),
				forceRecreate: c.Bool("force-recreate"), noRecreate: c.Bool("no-recreate"),
			}
			if opt.forceRecreate && opt.noRecreate {
				return usage("--force-recreate and --no-recreate cannot be combined")
			}
			if err := notServed(c, "build"); err != nil {
				return err
			}
			var err error
			if opt.pull, err = pullPolicy(c.String("pull")); err != nil {
				return err
			}
			if opt.scale, err = scales("--scale", c.StringSlice("scale")); err != nil {
				return err
			}
			return s.up(c.Context, opt)
		}),
	}
}
