package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/engine"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
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
	if !pruneAgreed(s.con, c, what) {
		return nil
	}
	delete(f, "dangling")
	if !named {
		f["dangling"] = []string{strconv.FormatBool(true)}
	}
	all, err := s.allImages(c.Context)
	if err != nil {
		return err
	}
	if all, err = s.filteredImages(c.Context, f, all); err != nil {
		return err
	}
	return s.pruneUnused(c.Context, all)
}

// pruneUnused removes those images that nobody uses. What could not be removed does not keep the others.
func (s *session) pruneUnused(ctx context.Context, images []api.ImageSummary) error {
	pods, err := s.engine.Pods("")
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	req := podcimage.RemoveRequest{Force: true}
	for _, img := range images {
		used := slices.ContainsFunc(pods, func(p engine.Pod) bool { return img.ID == cmp.Or(p.Image.ID, p.Spec.Container.ImageID) })
		if !used && len(img.UsedBy) == 0 {
			sizes[img.ID] = img.Size
			req.Refs = append(req.Refs, img.ID)
		}
	}
	var freed int64
	var gone []string
	if len(sizes) > 0 {
		var reply podcimage.RemoveReply
		err = s.images().Ask(ctx, helper.Question{Verb: podcimage.Remove, Request: req, Tell: func(e api.Progress) {
			if bytes, ok := sizes[e.ID]; ok {
				gone, freed = append(gone, "deleted: sha256:"+e.ID), freed+bytes
			}
		}}, &reply)
	}
	if len(gone) > 0 {
		fmt.Fprintf(s.con.out, "Deleted Images:\n%s\n\n", strings.Join(gone, "\n"))
	}
	fmt.Fprintf(s.con.out, "Total reclaimed space: %s\n", size(freed))
	return err
}
