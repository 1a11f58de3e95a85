package image

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

func ImageCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "image", Usage: "manage images",
		Subcommands: []*cli.Command{
			imageListCommand(con), imageInspectCommand(con), imageRemoveCommand(con), imagePullCommand(con), imageTagCommand(con),
			imageLoadCommand(con), imageHistoryCommand(con), imagePruneCommand(con),
		},
	}
}

func imageLoadCommand(con *show.Console) *cli.Command {
	return LoadCommand(con)
}

func imageRemoveCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "rm", Aliases: []string{"remove"}, Usage: "remove images", ArgsUsage: "IMAGE...",
		Flags: []cli.Flag{command.Toggle("force", "remove what other names still point to", "f"), command.Hidden(command.Toggle("no-prune", ""))},
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			return removeImages(c.Context, s, c.Bool("force"), c.Args().Slice())
		}),
	}
}

func removeImages(ctx context.Context, s *command.Session, force bool, refs []string) error {
	reply, err := s.Podc.Images.Remove(ctx, refs, force)
	for _, name := range reply.Untagged {
		fmt.Fprintf(s.Con.Out, "Untagged: %s\n", show.Printable(dockerapi.Familiar(name)))
	}
	for _, id := range reply.Deleted {
		fmt.Fprintf(s.Con.Out, "Deleted: sha256:%s\n", id)
	}
	return err
}

func imagePullCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "pull", Usage: "fetch an image from a registry", ArgsUsage: "IMAGE",
		Flags: []cli.Flag{command.Toggle("quiet", "show no progress", "q")},
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			for _, ref := range c.Args().Slice() {
				w, shown := s.WatchImages("pull", c.Bool("quiet"))
				img, err := s.Podc.Images.Pull(c.Context, ref, w)
				shown()
				if err != nil {
					return err
				}
				fmt.Fprintln(con.Out, img.ID)
			}
			return nil
		}),
	}
}

func imageTagCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "tag", Usage: "give an image one more name", ArgsUsage: "IMAGE NAME[:TAG]",
		Action: command.Changes(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() != 2 {
				return fault.Invalid("tag needs two arguments: %s", c.Command.ArgsUsage)
			}
			return s.Podc.Images.Tag(c.Context, c.Args().Get(0), c.Args().Get(1))
		}),
	}
}
