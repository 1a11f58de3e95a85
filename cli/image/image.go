package image

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

func ImageCommand() *command.Command {
	return &command.Command{
		Name: "image", Usage: "manage images",
		Subcommands: []*command.Command{
			imageListCommand(), imageInspectCommand(), imageBuildCommand(),
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove images", Args: command.Args{command.Many(command.Image)},
				Flags: []*command.Flag{
					command.Toggle("force", "remove what other names still point to", "f"),
					command.Hidden(command.Toggle("no-prune", "")),
				},
				Needs: command.Effect, Run: removeImages,
			},
			{
				Name: "pull", Usage: "fetch images from registries", Args: command.Args{command.Many(command.Image)},
				Flags: []*command.Flag{command.Toggle("quiet", "show no progress", "q")},
				Needs: command.Effect, Run: pullImages,
			},
			{
				Name: "push", Usage: "send images to registries", Args: command.Args{command.Many(command.Image)},
				Flags: []*command.Flag{command.Toggle("quiet", "show no progress", "q")},
				Needs: command.Effect, Run: pushImages,
			},
			{
				Name: "tag", Usage: "give an image one more name",
				Args:  command.Args{command.One(command.Image), command.One(command.Word("NAME[:TAG]"))},
				Needs: command.Effect, Run: func(s *command.Session, c *cli.Context) error {
					return s.Podc.Images.Tag(c.Context, c.Args().Get(0), c.Args().Get(1))
				},
			},
			LoadCommand(), imageHistoryCommand(),
			{
				Name: "prune", Usage: "remove images that have no name and no user",
				Flags: command.PruneFlags(pruneFilters, command.Toggle("all", "images that have names too", "a")),
				Needs: command.Effect, Run: pruneImages,
			},
		},
	}
}

func removeImages(s *command.Session, c *cli.Context) error {
	reply, err := s.Podc.Images.Remove(c.Context, c.Args().Slice(), c.Bool("force"))
	for _, name := range reply.Untagged {
		fmt.Fprintf(s.Con.Out, "Untagged: %s\n", show.Printable(dockerapi.Familiar(name)))
	}
	for _, id := range reply.Deleted {
		fmt.Fprintf(s.Con.Out, "Deleted: sha256:%s\n", id)
	}
	return err
}

func pullImages(s *command.Session, c *cli.Context) error {
	for _, ref := range c.Args().Slice() {
		w, shown := s.WatchImages("pull", c.Bool("quiet"))
		img, err := s.Podc.Images.Pull(c.Context, ref, w)
		shown()
		if err != nil {
			return err
		}
		fmt.Fprintln(s.Con.Out, img.ID)
	}
	return nil
}

func pushImages(s *command.Session, c *cli.Context) error {
	for _, ref := range c.Args().Slice() {
		w, shown := s.WatchImages("push", c.Bool("quiet"))
		digest, err := s.Podc.Images.Push(c.Context, ref, w)
		shown()
		if err != nil {
			return err
		}
		fmt.Fprintln(s.Con.Out, digest)
	}
	return nil
}

func LoadCommand() *command.Command {
	return &command.Command{
		Name: "load", Usage: "load images from an archive (docker or OCI)", TooMany: "name the archive with -i FILE",
		Flags: []*command.Flag{
			command.Text("input", command.File, "read FILE instead of the standard input", "i"),
			command.Toggle("quiet", "show no progress", "q"),
		},
		Run: func(s *command.Session, c *cli.Context) error {
			return loadImages(c.Context, s, c.String("input"), c.Bool("quiet"))
		},
	}
}

func loadImages(ctx context.Context, s *command.Session, file string, quiet bool) error {
	var from control.Archive
	switch {
	case file == "" && s.Con.InTTY:
		return fault.Hint(fault.Invalid("the standard input is a terminal, not an archive"), "podc load -i FILE")
	case file == "" || file == "-":
		from.Stream = s.Con.In
	case !filepath.IsAbs(file):
		from.File = filepath.Join(s.Con.Dir, file)
	default:
		from.File = file
	}
	w, shown := s.WatchImages("load", quiet)
	images, err := s.Podc.Images.Load(ctx, from, w)
	shown()
	if err != nil {
		return err
	}
	for _, img := range images {
		if len(img.Names) == 0 {
			fmt.Fprintf(s.Con.Out, "Loaded image ID: sha256:%s\n", img.ID)
		}
		for _, name := range img.Names {
			fmt.Fprintf(s.Con.Out, "Loaded image: %s\n", show.Printable(dockerapi.Familiar(name)))
		}
	}
	return nil
}

var pruneFilters = []string{"label", "label!", "until", "dangling"}

func pruneImages(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, pruneFilters...)
	if err != nil {
		return err
	}
	dangling, err := f.Toggle("dangling")
	if err != nil {
		return err
	}
	named := c.Bool("all") || len(f["dangling"]) > 0 && dangling(false)
	what := "all images that have no name and that no project uses"
	if named {
		what = "all images that no project uses"
	}
	return s.Prune(c, command.Pruning{What: what, Title: "Deleted Images", Frees: true}, f, func(ctx context.Context, f control.Filters) (control.Pruned, error) {
		gone, err := s.Podc.Images.Prune(ctx, f, named)
		for i, id := range gone.Names {
			gone.Names[i] = "deleted: sha256:" + id
		}
		return gone, err
	})
}
