package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/volumes"
)

func volumeCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "volume", Usage: "manage volumes",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list volumes",
				Flags:  listFlags(),
				Action: with(con, (*session).listVolumes),
			},
			{
				Name: "inspect", Usage: "show all about volumes", ArgsUsage: "VOLUME...",
				Flags:  []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f")},
				Action: with(con, (*session).inspectVolumes),
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove volumes and their data", ArgsUsage: "VOLUME...",
				Flags:  []cli.Flag{toggle("force", "do not mind volumes that do not exist", "f")},
				Action: with(con, (*session).removeVolumes),
			},
			{
				Name: "create", Usage: "create a volume", ArgsUsage: "[VOLUME]",
				Flags: []cli.Flag{
					text("driver", "only \"local\" (`DRIVER`)", "d"),
					list("label", "label, `KEY=VALUE`, repeatable"),
					list("opt", "option of the driver, `KEY=VALUE`, repeatable", "o"),
					hidden(text("name", "")),
				},
				Action: with(con, (*session).createVolume),
			},
		},
	}
}

// volumeRow is one volume of a list, with docker's keys.
type volumeRow struct {
	Availability string
	Driver       string
	Group        string
	Labels       string
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string

	labels map[string]string
}

var volumeLayout = layout{
	columns: []column{{"DRIVER", "Driver"}, {"VOLUME NAME", "Name"}},
	headers: map[string]string{"Labels": "LABELS", "Links": "LINKS", "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE", "Size": "SIZE",
		"Status": "STATUS", "Availability": "AVAILABILITY", "Group": "GROUP"},
}

// Label is {{.Label "key"}} of templates.
func (r volumeRow) Label(key string) string { return r.labels[key] }

func (r volumeRow) field(name string) string {
	switch name {
	case "Driver":
		return r.Driver
	case "Name":
		return r.Name
	}
	return ""
}

func (s *session) volumeRowOf(v volumes.Volume) volumeRow {
	return volumeRow{
		Availability: "N/A", Driver: firstOf(v.Driver, "local"), Group: "N/A", Labels: joinedLabels(v.Labels), Links: "N/A",
		Mountpoint: s.engine.Volumes().Path(v.Name), Name: v.Name, Scope: "local", Size: "N/A", Status: "N/A", labels: v.Labels,
	}
}

func (s *session) listVolumes(c *cli.Context) error {
	filters, err := filtersOf(c)
	if err != nil {
		return err
	}
	all, err := s.engine.Volumes().List()
	if err != nil {
		return err
	}
	rows := []volumeRow{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		row := s.volumeRowOf(all[name])
		if !match(filters, name, row.Driver, all[name].Labels) {
			continue
		}
		if c.Bool("quiet") {
			fmt.Fprintln(s.con.out, name)
			continue
		}
		rows = append(rows, row)
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, c.String("format"), volumeLayout, rows, false)
}

// volumeInspect has docker's shape.
type volumeInspect struct {
	CreatedAt  time.Time
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
}

func (s *session) inspectVolumes(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	var found []volumeInspect
	var errs []error
	for _, name := range c.Args().Slice() {
		v, err := s.engine.Volumes().Get(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, volumeInspect{v.Created, firstOf(v.Driver, "local"), v.Labels, s.engine.Volumes().Path(v.Name), v.Name,
			v.Options, "local"})
	}
	return errors.Join(printInspect(s.con, c.String("format"), found), errors.Join(errs...))
}

func (s *session) removeVolumes(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return forEach(c, func(ctx context.Context, name string) error {
		_, err := s.engine.Volumes().Get(name)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			err = s.engine.RemoveVolume(ctx, name)
		}
		if err == nil {
			fmt.Fprintln(s.con.out, name)
		}
		return err
	})
}

func (s *session) createVolume(c *cli.Context) error {
	if c.NArg() > 1 {
		return usage("create needs at most one argument: VOLUME")
	}
	v := volumes.Volume{Name: firstOf(c.Args().First(), c.String("name")), Driver: c.String("driver")}
	if v.Name == "" {
		v.Name, v.Anonymous = fmt.Sprintf("%x", newKey()), true
	}
	var err error
	if v.Labels, err = pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if v.Options, err = pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if err := s.engine.CreateVolume(c.Context, v); err != nil {
		return err
	}
	fmt.Fprintln(s.con.out, v.Name)
	return nil
}
