package container

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

func containerCopyCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "cp", Usage: "copy files between a container and the host", ArgsUsage: "CONTAINER:PATH PATH|- | PATH|- CONTAINER:PATH",
		Flags: []cli.Flag{
			command.Toggle("archive", "keep who files belong to", "a"),
			command.Toggle("follow-link", "copy what a link given as the source leads to", "L"),
			command.Toggle("quiet", "show no progress", "q"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() != 2 {
				return fault.Invalid("cp needs a source and a destination: %s", c.Command.ArgsUsage)
			}
			if c.Bool("quiet") {
				s.Progress = show.ProgressQuiet
			}
			opt := copyOptions{keepOwner: c.Bool("archive"), follow: c.Bool("follow-link")}
			return cp(c.Context, s, c.Args().Get(0), c.Args().Get(1), opt, func(name string) ([]api.Pod, error) {
				p, err := s.Container(name)
				return []api.Pod{p}, err
			})
		}),
	}
}

func containerAttachCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "attach", Usage: "connect the terminal with a running container", ArgsUsage: "CONTAINER", Flags: attachFlags(),
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() != 1 {
				return fault.Invalid("attach needs one argument: CONTAINER")
			}
			opt, err := attachOptionsOf(c)
			if err != nil {
				return err
			}
			p, err := s.Container(c.Args().First())
			if err != nil {
				return err
			}
			return attachTo(c.Context, s, p, opt)
		}),
	}
}

func containerExportCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "export", Usage: "write the root filesystem of a container as a tar archive", ArgsUsage: "CONTAINER",
		Flags: []cli.Flag{command.Text("output", "write to `FILE`, not to standard output", "o")},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() != 1 {
				return fault.Invalid("export needs one argument: CONTAINER")
			}
			p, err := s.Container(c.Args().First())
			if err != nil {
				return err
			}
			return exportTo(c.Context, s, p, c.String("output"))
		}),
	}
}

func containerCommitCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "commit", Usage: "make an image of a container, and print its id", ArgsUsage: "CONTAINER [REPOSITORY[:TAG]]", Flags: commitFlags(),
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() < 1 || c.NArg() > 2 {
				return fault.Invalid("commit needs a container and takes a name: %s", c.Command.ArgsUsage)
			}
			p, err := s.Container(c.Args().First())
			if err != nil {
				return err
			}
			id, err := commit(c.Context, s, p, commitOptionsOf(c))
			if err == nil {
				fmt.Fprintln(con.Out, id)
			}
			return err
		}),
	}
}
