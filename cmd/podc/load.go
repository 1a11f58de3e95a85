package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
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
	q := helper.Question{Verb: podcimage.Load}
	switch {
	case file == "" && s.con.inTTY:
		return fault.Hint(usage("the standard input is a terminal, not an archive"), "podc load -i FILE")
	case file == "" || file == "-":
		file, q.Stream = "", s.con.in
	case !filepath.IsAbs(file):
		file = filepath.Join(s.con.dir, file)
	}
	q.Request = podcimage.LoadRequest{File: file}
	var reply podcimage.LoadReply
	if err := s.askImages(ctx, "load", quiet, q, &reply); err != nil {
		return err
	}
	for _, img := range reply.Images {
		if len(img.Names) == 0 {
			fmt.Fprintf(s.con.out, "Loaded image ID: sha256:%s\n", img.ID)
		}
		for _, name := range img.Names {
			fmt.Fprintf(s.con.out, "Loaded image: %s\n", printable(dockerapi.Familiar(name)))
		}
	}
	return nil
}
