package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
)

func imageListCommand(con *console) *cli.Command {
	no := refused{"tree": "podc keeps the image of one platform, which has no tree"}
	return &cli.Command{
		Name: "ls", Aliases: []string{"list"}, Usage: "list images", ArgsUsage: "[NAME[:TAG]]",
		Flags: append(listFlags("reference, dangling, label, label!, before, since, until",
			hidden(toggle("all", "", "a")), // podc keeps no images between the steps of builds
			toggle("digests", "show digests"),
		), no.flags()...),
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := no.check(c); err != nil {
				return err
			}
			if c.NArg() > 1 {
				return usage("ls takes one argument at most: %s", c.Command.ArgsUsage)
			}
			return s.listImages(c)
		}),
	}
}

func (s *session) listImages(c *cli.Context) error {
	f, err := filtersOf(c, "reference", "dangling", "label", "label!", "before", "since", "until")
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		f["reference"] = append(f["reference"], c.Args().First())
	}
	images, err := s.allImages(c.Context)
	if err != nil {
		return err
	}
	if images, err = s.filteredImages(c.Context, f, images); err != nil {
		return err
	}
	rows := imageRows(images, f, c.Bool("no-trunc"), time.Now())
	if c.Bool("quiet") {
		return printDistinct(s.con, rows)
	}
	return printList(s.con.out, c.String("format"), imageLayout(c.Bool("digests")), rows, false)
}

// allImages asks podc-image for all images, the newest first.
func (s *session) allImages(ctx context.Context) ([]api.ImageSummary, error) {
	var reply podcimage.ListReply
	err := s.askImages(ctx, "image ls", true, helper.Question{Verb: podcimage.List}, &reply)
	slices.SortStableFunc(reply.Images, func(a, b api.ImageSummary) int { return b.Created.Compare(a.Created) })
	return reply.Images, err
}

// filteredImages are the images for which all of f holds but reference=, which is about their names.
func (s *session) filteredImages(ctx context.Context, f control.Filters, all []api.ImageSummary) ([]api.ImageSummary, error) {
	dangling, err1 := f.Toggle("dangling")
	before, err2 := imageMoment(f["before"], all)
	since, err3 := imageMoment(f["since"], all)
	until, err4 := f.Until(time.Now())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	labels := map[string]map[string]string{}
	if len(f["label"])+len(f["label!"]) > 0 {
		var err error
		if labels, err = s.imageLabels(ctx, all); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(img api.ImageSummary) bool {
		return !dangling(len(img.Names) == 0) || !f.Labelled(labels[img.ID]) ||
			!before.IsZero() && !img.Created.Before(before) || !since.IsZero() && !img.Created.After(since) ||
			!until.IsZero() && !img.Created.Before(until)
	}), nil
}

func (s *session) imageLabels(ctx context.Context, all []api.ImageSummary) (map[string]map[string]string, error) {
	labels := map[string]map[string]string{}
	if len(all) == 0 {
		return labels, nil
	}
	var req podcimage.InspectRequest
	for _, img := range all {
		req.Refs = append(req.Refs, img.ID)
	}
	var reply podcimage.InspectReply
	err := s.askImages(ctx, "image ls", true, helper.Question{Verb: podcimage.Inspect, Request: req}, &reply)
	for _, img := range reply.Images {
		labels[img.ID] = img.Config.Labels
	}
	return labels, err
}

// imageMoment is when the last image of refs was made.
func imageMoment(refs []string, all []api.ImageSummary) (t time.Time, err error) {
	for _, ref := range refs {
		i := slices.IndexFunc(all, func(img api.ImageSummary) bool { return isImage(img, ref) })
		if i < 0 {
			return t, fault.New(errdefs.ErrNotFound, "no such image: %s", ref)
		}
		t = all[i].Created
	}
	return t, nil
}

// isImage reports whether ref is one of an image's names, its id, or the beginning of that.
func isImage(img api.ImageSummary, ref string) bool {
	if id := strings.TrimPrefix(ref, "sha256:"); len(id) > 1 && strings.HasPrefix(img.ID, id) {
		return true
	}
	return slices.ContainsFunc(img.Names, func(name string) bool {
		short := dockerapi.Familiar(name)
		return ref == name || ref == short || ref+":latest" == name || ref+":latest" == short
	})
}

// imageRow is one name of an image, with docker's keys.
type imageRow struct {
	Containers   string
	CreatedAt    string
	CreatedSince string
	Digest       string
	ID           string
	Repository   string
	SharedSize   string
	Size         string
	Tag          string
	UniqueSize   string
	UsedBy       string // podc's own: the projects that keep it
}

func imageLayout(digests bool) layout {
	l := layout{headers: map[string]string{"CreatedAt": "CREATED AT", "Digest": "DIGEST", "UsedBy": "USED BY", "Containers": "CONTAINERS",
		"SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE"}}
	l.columns = []column{{"REPOSITORY", "Repository"}, {"TAG", "Tag"}}
	if digests {
		l.columns = append(l.columns, column{"DIGEST", "Digest"})
	}
	l.columns = append(l.columns, column{"IMAGE ID", "ID"}, column{"CREATED", "CreatedSince"}, column{"SIZE", "Size"})
	return l
}

// imageRows makes one row for each name that matches, and one for an image without any.
func imageRows(images []api.ImageSummary, f control.Filters, full bool, now time.Time) []imageRow {
	var rows []imageRow
	for _, img := range images {
		names := img.Names
		if len(names) == 0 {
			names = []string{""}
		}
		for _, name := range names {
			repo, tag := dockerapi.SplitName(dockerapi.Familiar(name))
			if !f.Holds("reference", func(pattern string) bool { return matches(pattern, repo, tag) }) {
				continue
			}
			row := imageRow{
				Containers: "N/A", CreatedAt: img.Created.Local().Format(dockerTime), CreatedSince: dockerapi.Since(img.Created, now),
				Digest: cmp.Or(img.Digest, "<none>"), ID: dockerapi.ShortID(img.ID), Repository: cmp.Or(repo, "<none>"),
				SharedSize: "N/A", Size: size(img.Size), Tag: cmp.Or(tag, "<none>"), UniqueSize: "N/A", UsedBy: strings.Join(img.UsedBy, ","),
			}
			if full {
				row.ID = "sha256:" + img.ID
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// matches compares a pattern to a name, with its tag if the pattern has one.
func matches(pattern, repo, tag string) bool {
	wantRepo, wantTag := dockerapi.SplitName(pattern)
	ok, err := path.Match(wantRepo, repo)
	if repo == "" || !ok && (err == nil || wantRepo != repo) {
		return false
	}
	tagged, err := path.Match(wantTag, tag)
	return wantTag == "" || tagged || err != nil && wantTag == tag
}

func printDistinct(con *console, rows []imageRow) error {
	seen := map[string]bool{}
	for _, r := range rows {
		if !seen[r.ID] {
			fmt.Fprintln(con.out, r.ID)
		}
		seen[r.ID] = true
	}
	return nil
}
