package main

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
)

// volumeRow is one volume of a list, with docker's keys.
type volumeRow struct {
	Availability string
	Driver       string
	Group        string
	Labels       labelSet
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string
}

var volumeLayout = layout{
	columns: []column{{"DRIVER", "Driver"}, {"VOLUME NAME", "Name"}},
	headers: map[string]string{"Labels": "LABELS", "Links": "LINKS", "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE", "Size": "SIZE",
		"Status": "STATUS", "Availability": "AVAILABILITY", "Group": "GROUP"},
}

// Label is {{.Label "key"}} of templates.
func (r volumeRow) Label(key string) string { return r.Labels[key] }

func volumeRowOf(d dockerapi.Volume) volumeRow {
	return volumeRow{
		Availability: "N/A", Driver: d.Driver, Group: "N/A", Labels: d.Labels, Links: "N/A", Mountpoint: d.Mountpoint,
		Name: d.Name, Scope: d.Scope, Size: "N/A", Status: "N/A",
	}
}

func (s *session) listVolumes(c *cli.Context) error {
	f, err := filtersOf(c, control.VolumeFilters...)
	if err != nil {
		return err
	}
	found, err := s.podc.Volumes.List(c.Context, f)
	if err != nil {
		return err
	}
	return s.printVolumes(c, found)
}

func (s *session) printVolumes(c *cli.Context, found []dockerapi.Volume) error {
	rows := []volumeRow{}
	for _, v := range found {
		if c.Bool("quiet") {
			fmt.Fprintln(s.con.out, v.Name)
		}
		rows = append(rows, volumeRowOf(v))
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, pretty(c.String("format")), volumeLayout, rows, false)
}

func (s *session) inspectVolumes(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return inspectEach(s.con, c, func(name string) (dockerapi.Volume, error) { return s.podc.Volumes.Inspect(c.Context, name) })
}

func (s *session) pruneVolumes(c *cli.Context) error {
	f, err := filtersOf(c, "label", "label!", "all")
	if err != nil {
		return err
	}
	everything := c.Bool("all")
	all, err := f.Toggle("all")
	if err != nil {
		return err
	}
	what := "all anonymous volumes that no container uses, with their data"
	if everything = everything || len(f["all"]) > 0 && all(true); everything {
		what = "all volumes that no container uses, with their data"
	}
	delete(f, "all")
	return s.prune(c, pruning{what, "Deleted Volumes", true, func(ctx context.Context) (control.Pruned, error) {
		return s.podc.Volumes.Prune(ctx, f, everything)
	}})
}
