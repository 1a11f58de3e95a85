package main

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
)

func containerCopyCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy files between a container and the host", ArgsUsage: "CONTAINER:PATH PATH|- | PATH|- CONTAINER:PATH",
		Flags: []cli.Flag{
			toggle("archive", "keep who files belong to", "a"),
			toggle("follow-link", "copy what a link given as the source leads to", "L"),
			toggle("quiet", "show no progress", "q"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 2 {
				return usage("cp needs a source and a destination: %s", c.Command.ArgsUsage)
			}
			if c.Bool("quiet") {
				s.progress = progressQuiet
			}
			opt := copyOptions{keepOwner: c.Bool("archive"), follow: c.Bool("follow-link")}
			return s.cp(c.Context, c.Args().Get(0), c.Args().Get(1), opt, func(name string) ([]engine.Pod, error) {
				p, err := s.container(name)
				return []engine.Pod{p}, err
			})
		}),
	}
}

func containerAttachCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "attach", Usage: "connect the terminal with a running container", ArgsUsage: "CONTAINER", Flags: attachFlags(),
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("attach needs one argument: CONTAINER")
			}
			opt, err := attachOptionsOf(c)
			if err != nil {
				return err
			}
			p, err := s.container(c.Args().First())
			if err != nil {
				return err
			}
			return s.attachTo(c.Context, p, opt)
		}),
	}
}
