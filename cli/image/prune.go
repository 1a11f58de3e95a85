package image

import (
	"context"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
)

func imagePruneCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "prune", Usage: "remove images that have no name and no user",
		Flags:  command.PruneFlags("label, label!, until, dangling", command.Toggle("all", "images that have names too", "a")),
		Action: command.Changes(con, pruneImages),
	}
}

func pruneImages(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, "label", "label!", "until", "dangling")
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
	return s.Prune(c, command.Pruning{What: what, Title: "Deleted Images", Frees: true, Do: func(ctx context.Context) (control.Pruned, error) {
		gone, err := s.Podc.Images.Prune(ctx, f, named)
		for i, id := range gone.Names {
			gone.Names[i] = "deleted: sha256:" + id
		}
		return gone, err
	}})
}
