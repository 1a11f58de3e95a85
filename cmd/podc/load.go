package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

func loadCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "load", Usage: "load images from an archive (docker or OCI)",
		Flags: []cli.Flag{
			text("input", "read `FILE` instead of the standard input", "i"),
			toggle("quiet", "show no progress", "q"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("load takes no arguments: name the archive with -i %s", c.Args().First())
			}
			return s.loadImages(c.Context, c.String("input"), c.Bool("quiet"))
		}),
	}
}

func (s *session) loadImages(ctx context.Context, file string, quiet bool) error {
	var from control.Archive
	switch {
	case file == "" && s.con.inTTY:
		return fault.Hint(usage("the standard input is a terminal, not an archive"), "podc load -i FILE")
	case file == "" || file == "-":
		from.Stream = s.con.in
	case !filepath.IsAbs(file):
		from.File = filepath.Join(s.con.dir, file)
	default:
		from.File = file
	}
	w, shown := s.watchImages("load", quiet)
	images, err := s.podc.Images.Load(ctx, from, w)
	shown()
	if err != nil {
		return err
	}
	for _, img := range images {
		if len(img.Names) == 0 {
			fmt.Fprintf(s.con.out, "Loaded image ID: sha256:%s\n", img.ID)
		}
		for _, name := range img.Names {
			fmt.Fprintf(s.con.out, "Loaded image: %s\n", printable(dockerapi.Familiar(name)))
		}
	}
	return nil
}
