package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
)

func imageCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "image", Usage: "manage images",
		Subcommands: []*cli.Command{
			imageListCommand(con), imageInspectCommand(con), imageRemoveCommand(con), imagePullCommand(con), imageTagCommand(con),
			imageLoadCommand(con), imageHistoryCommand(con), imagePruneCommand(con),
		},
	}
}

func imageLoadCommand(con *console) *cli.Command {
	return loadCommand(con)
}

func imageRemoveCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "remove images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{toggle("force", "remove what other names still point to", "f"), hidden(toggle("no-prune", ""))},
		Action: changes(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			return s.removeImages(c.Context, c.Bool("force"), c.Args().Slice())
		}),
	}
}

func (s *session) removeImages(ctx context.Context, force bool, refs []string) error {
	reply, err := s.podc.Images.Remove(ctx, refs, force)
	for _, name := range reply.Untagged {
		fmt.Fprintf(s.con.out, "Untagged: %s\n", printable(dockerapi.Familiar(name)))
	}
	for _, id := range reply.Deleted {
		fmt.Fprintf(s.con.out, "Deleted: sha256:%s\n", id)
	}
	return err
}

func imagePullCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch an image from a registry", ArgsUsage: "IMAGE",
		Flags: []cli.Flag{toggle("quiet", "show no progress", "q")},
		Action: changes(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			for _, ref := range c.Args().Slice() {
				w, shown := s.watchImages("pull", c.Bool("quiet"))
				img, err := s.podc.Images.Pull(c.Context, ref, w)
				shown()
				if err != nil {
					return err
				}
				fmt.Fprintln(con.out, img.ID)
			}
			return nil
		}),
	}
}

func imageTagCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "tag", Usage: "give an image one more name", ArgsUsage: "IMAGE NAME[:TAG]",
		Action: changes(con, func(s *session, c *cli.Context) error {
			if c.NArg() != 2 {
				return usage("tag needs two arguments: %s", c.Command.ArgsUsage)
			}
			return s.podc.Images.Tag(c.Context, c.Args().Get(0), c.Args().Get(1))
		}),
	}
}
