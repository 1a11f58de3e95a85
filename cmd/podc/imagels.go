package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
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
	f, err := filtersOf(c, control.ImageFilters...)
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		f["reference"] = append(f["reference"], c.Args().First())
	}
	images, err := s.podc.Images.List(c.Context, f)
	if err != nil {
		return err
	}
	rows := imageRows(images, f, c.Bool("no-trunc"), time.Now())
	if c.Bool("quiet") {
		return printDistinct(s.con, rows)
	}
	return printList(s.con.out, c.String("format"), imageLayout(c.Bool("digests")), rows, false)
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
			if !f.Holds("reference", func(pattern string) bool { return control.NameMatches(pattern, repo, tag) }) {
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
