package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/volumes"
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

func (s *session) volumeRowOf(v volumes.Volume) volumeRow {
	d := dockerapi.InspectVolume(v, s.engine.Volumes().Path(v.Name))
	return volumeRow{
		Availability: "N/A", Driver: d.Driver, Group: "N/A", Labels: d.Labels, Links: "N/A", Mountpoint: d.Mountpoint,
		Name: v.Name, Scope: d.Scope, Size: "N/A", Status: "N/A",
	}
}

func (s *session) listVolumes(c *cli.Context) error {
	f, err := filtersOf(c, "name", "label", "label!", "driver", "dangling")
	if err != nil {
		return err
	}
	found, err := s.filteredVolumes(f)
	if err != nil {
		return err
	}
	return s.printVolumes(c, found)
}

func (s *session) printVolumes(c *cli.Context, found []volumes.Volume) error {
	rows := []volumeRow{}
	for _, v := range found {
		if c.Bool("quiet") {
			fmt.Fprintln(s.con.out, v.Name)
		}
		rows = append(rows, s.volumeRowOf(v))
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, pretty(c.String("format")), volumeLayout, rows, false)
}

// filteredVolumes are the volumes for which f holds, by name. Names match by a regular expression.
func (s *session) filteredVolumes(f filters) ([]volumes.Volume, error) {
	named, err1 := f.matches("name")
	dangling, err2 := f.toggle("dangling")
	all, err3 := s.engine.Volumes().List()
	used, err4 := s.usedVolumes()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(sortedValues(all), func(v volumes.Volume) bool {
		d := dockerapi.InspectVolume(v, "")
		return !named(v.Name) || !f.is("driver", d.Driver) || !f.labelled(d.Labels) || !dangling(!used[v.Name])
	}), nil
}

// usedVolumes are those that a container has, whether it runs or not.
func (s *session) usedVolumes() (map[string]bool, error) {
	pods, err := s.engine.Pods("")
	used := map[string]bool{}
	for _, p := range pods {
		for _, name := range p.Volumes {
			used[name] = true
		}
	}
	return used, err
}

func (s *session) inspectVolumes(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return inspectEach(s.con, c, func(name string) (dockerapi.Volume, error) {
		v, err := s.engine.Volumes().Get(name)
		return dockerapi.InspectVolume(v, s.engine.Volumes().Path(name)), err
	})
}

func (s *session) pruneVolumes(c *cli.Context) error {
	f, err := filtersOf(c, "label", "label!", "all")
	if err != nil {
		return err
	}
	everything := c.Bool("all")
	all, err := f.toggle("all")
	if err != nil {
		return err
	}
	what := "all anonymous volumes that no container uses, with their data"
	if everything = everything || len(f["all"]) > 0 && all(true); everything {
		what = "all volumes that no container uses, with their data"
	}
	if !pruneAgreed(s.con, c, what) {
		return nil
	}
	found, err := s.filteredVolumes(filters{"label": f["label"], "label!": f["label!"], "dangling": {"true"}})
	if err != nil {
		return err
	}
	var names []string
	for _, v := range found {
		if everything || v.Anonymous {
			names = append(names, v.Name)
		}
	}
	var freed int64
	err = prune(c.Context, s.con, "Deleted Volumes", names, func(ctx context.Context, name string) error {
		bytes, err := s.engine.Volumes().Size(ctx, name)
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		if err = s.engine.RemoveVolume(ctx, name); err == nil {
			freed += bytes
		}
		return err
	})
	fmt.Fprintf(s.con.out, "Total reclaimed space: %s\n", size(freed))
	return err
}
