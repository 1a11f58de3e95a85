package main

import (
	"context"

	"github.com/urfave/cli/v2"
	"podc.example/podc/control"
)

func imagePruneCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "remove images that have no name and no user",
		Flags:  pruneFlags("label, label!, until, dangling", toggle("all", "images that have names too", "a")),
		Action: changes(con, (*session).pruneImages),
	}
}

func (s *session) pruneImages(c *cli.Context) error {
	f, err := filtersOf(c, "label", "label!", "until", "dangling")
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
	return s.prune(c, pruning{what, "Deleted Images", true, func(ctx context.Context) (control.Pruned, error) {
		gone, err := s.podc.Images.Prune(ctx, f, named)
		for i, id := range gone.Names {
			gone.Names[i] = "deleted: sha256:" + id
		}
		return gone, err
	}})
}
