package volume

import (
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
)

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
