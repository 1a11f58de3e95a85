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

func LoadCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "load", Usage: "load images from an archive (docker or OCI)",
		Flags: []cli.Flag{
			command.Text("input", "read `FILE` instead of the standard input", "i"),
			command.Toggle("quiet", "show no progress", "q"),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if c.NArg() > 0 {
				return fault.Invalid("load takes no arguments: name the archive with -i %s", c.Args().First())
			}
			return loadImages(c.Context, s, c.String("input"), c.Bool("quiet"))
		}),
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
