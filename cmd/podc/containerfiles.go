package main

import (
	"fmt"

	"github.com/urfave/cli/v2"
	"podc.example/podc/api"
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
			return s.cp(c.Context, c.Args().Get(0), c.Args().Get(1), opt, func(name string) ([]api.Pod, error) {
				p, err := s.container(name)
				return []api.Pod{p}, err
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

func containerExportCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write the root filesystem of a container as a tar archive", ArgsUsage: "CONTAINER",
		Flags: []cli.Flag{text("output", "write to `FILE`, not to standard output", "o")},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("export needs one argument: CONTAINER")
			}
			p, err := s.container(c.Args().First())
			if err != nil {
				return err
			}
			return s.exportTo(c.Context, p, c.String("output"))
		}),
	}
}

func containerCommitCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "commit", Usage: "make an image of a container, and print its id", ArgsUsage: "CONTAINER [REPOSITORY[:TAG]]", Flags: commitFlags(),
		Action: changes(con, func(s *session, c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return usage("commit needs a container and takes a name: %s", c.Command.ArgsUsage)
			}
			p, err := s.container(c.Args().First())
			if err != nil {
				return err
			}
			id, err := s.commit(c.Context, p, commitOptionsOf(c))
			if err == nil {
				fmt.Fprintln(con.out, id)
			}
			return err
		}),
	}
}
