package image

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
)

func imageListCommand() *command.Command {
	return &command.Command{
		Name: "ls", Aliases: []string{"list"}, Usage: "list images", Args: command.Args{command.Maybe(command.Word("NAME[:TAG]"))},
		Flags: command.ListFlags(control.ImageFilters,
			command.Hidden(command.Toggle("all", "", "a")), // podc keeps no images between the steps of builds
			command.Toggle("digests", "show digests"),
		),
		Refused: command.Refused{"tree": "podc keeps the image of one platform, which has no tree"},
		Run:     listImages,
	}
}

func listImages(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, control.ImageFilters...)
	if err != nil {
		return err
	}
	if c.NArg() > 0 {
		f["reference"] = append(f["reference"], c.Args().First())
	}
	images, err := s.Podc.Images.List(c.Context, f)
	if err != nil {
		return err
	}
	rows := imageRows(images, f, c.Bool("no-trunc"), time.Now())
	if c.Bool("quiet") { // whatever names it has
		seen := map[string]bool{}
		rows = slices.DeleteFunc(rows, func(r imageRow) bool {
			again := seen[r.ID]
			seen[r.ID] = true
			return again
		})
	}
	return command.ShowList(s, c, imageLayout(c.Bool("digests")), rows, false, func(r imageRow) string { return r.ID })
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

func imageLayout(digests bool) show.Layout {
	l := show.Layout{Headers: map[string]string{"CreatedAt": "CREATED AT", "Digest": "DIGEST", "UsedBy": "USED BY", "Containers": "CONTAINERS",
		"SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE"}}
	l.Columns = []show.Column{{"REPOSITORY", "Repository"}, {"TAG", "Tag"}}
	if digests {
		l.Columns = append(l.Columns, show.Column{"DIGEST", "Digest"})
	}
	l.Columns = append(l.Columns, show.Column{"IMAGE ID", "ID"}, show.Column{"CREATED", "CreatedSince"}, show.Column{"SIZE", "Size"})
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
				Containers: "N/A", CreatedAt: img.Created.Local().Format(show.DockerTime), CreatedSince: dockerapi.Since(img.Created, now),
				Digest: cmp.Or(img.Digest, "<none>"), ID: dockerapi.ShortID(img.ID), Repository: cmp.Or(repo, "<none>"),
				SharedSize: "N/A", Size: show.Size(img.Size), Tag: cmp.Or(tag, "<none>"), UniqueSize: "N/A", UsedBy: strings.Join(img.UsedBy, ","),
			}
			if full {
				row.ID = "sha256:" + img.ID
			}
			rows = append(rows, row)
		}
	}
	return rows
}
