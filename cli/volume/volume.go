package volume

import (
	"cmp"
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
)

func VolumeCommand() *command.Command {
	volumes := command.Args{command.Many(command.Volume)}
	return &command.Command{
		Name: "volume", Usage: "manage volumes",
		Subcommands: []*command.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list volumes", Flags: command.ListFlags(control.VolumeFilters),
				Run: listVolumes,
			},
			{
				Name: "inspect", Usage: "show all about volumes", Args: volumes, Flags: command.InspectFlags(),
				Run: func(s *command.Session, c *cli.Context) error {
					return command.InspectEach(s, c, s.Podc.Volumes.Inspect)
				},
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove volumes and their data", Args: volumes,
				Flags: []*command.Flag{command.Toggle("force", "do not mind volumes that do not exist", "f")},
				Needs: command.Effect,
				Run:   func(s *command.Session, c *cli.Context) error { return command.RemoveEach(s, c, s.Podc.Volumes.Remove) },
			},
			{
				Name: "prune", Usage: "remove anonymous volumes that no container uses",
				Flags: command.PruneFlags(pruneFilters, command.Toggle("all", "named volumes too", "a")),
				Needs: command.Effect, Run: pruneVolumes,
			},
			{
				Name: "create", Usage: "create a volume", Args: command.Args{command.Maybe(command.Word("VOLUME"))},
				Flags: []*command.Flag{
					command.Text("driver", command.Word("DRIVER"), "only \"local\"", "d"),
					command.List("label", command.Pair, "label, KEY=VALUE, repeatable"),
					command.List("opt", command.Pair, "option of the driver, KEY=VALUE, repeatable", "o"),
					command.Hidden(command.Text("name", command.Name, "")),
				},
				Needs: command.Effect, Run: createVolume,
			},
		},
	}
}

func createVolume(s *command.Session, c *cli.Context) error {
	v := api.Volume{Name: cmp.Or(c.Args().First(), c.String("name")), Driver: c.String("driver")}
	var err error
	if v.Labels, err = command.Pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if v.Options, err = command.Pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if v, err = s.Podc.Volumes.Create(c.Context, v); err != nil {
		return err
	}
	fmt.Fprintln(s.Con.Out, v.Name)
	return nil
}

var pruneFilters = []string{"label", "label!", "all"}

func pruneVolumes(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, pruneFilters...)
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
	return s.Prune(c, command.Pruning{What: what, Title: "Deleted Volumes", Frees: true}, f, func(ctx context.Context, f control.Filters) (control.Pruned, error) {
		return s.Podc.Volumes.Prune(ctx, f, everything)
	})
}

// volumeRow is one volume of a list, with docker's keys.
type volumeRow struct {
	Availability string
	Driver       string
	Group        string
	Labels       show.LabelSet
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string
}

var volumeLayout = show.Layout{
	Columns: []show.Column{{"DRIVER", "Driver"}, {"VOLUME NAME", "Name"}},
	Headers: map[string]string{"Labels": "LABELS", "Links": "LINKS", "Mountpoint": "MOUNTPOINT", "Scope": "SCOPE", "Size": "SIZE",
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

func listVolumes(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, control.VolumeFilters...)
	if err != nil {
		return err
	}
	found, err := s.Podc.Volumes.List(c.Context, f)
	if err != nil {
		return err
	}
	return PrintVolumes(s, c, found)
}

func PrintVolumes(s *command.Session, c *cli.Context, found []dockerapi.Volume) error {
	rows := []volumeRow{}
	for _, v := range found {
		rows = append(rows, volumeRowOf(v))
	}
	return command.ShowList(s, c, volumeLayout, rows, false, func(r volumeRow) string { return r.Name })
}
