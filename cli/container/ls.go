package container

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
)

func containerListCommand() *command.Command {
	return &command.Command{
		Name: "ls", Aliases: []string{"ps", "list"}, Usage: "list containers, the newest first",
		Flags: command.ListFlags(control.ContainerFilters,
			command.Toggle("all", "those that do not run too", "a"),
			command.Number("last", -1, "N", "the last N made, whether they run or not", "n"),
			command.Toggle("latest", "the last one made, whether it runs or not", "l"),
			command.Toggle("size", "how much was written", "s"),
		),
		Run: listContainers,
	}
}

// containerRow is one container as docker's lists show it, with docker's keys.
type containerRow struct {
	Command      string
	CreatedAt    string
	HealthStatus string
	ID           string
	Image        string
	Labels       show.LabelSet
	LocalVolumes string
	Mounts       string
	Names        string
	Networks     string
	Platform     string
	Ports        string
	RunningFor   string
	Size         string
	State        string
	Status       string
}

// Label is {{.Label "key"}} of templates.
func (r containerRow) Label(key string) string { return r.Labels[key] }

func containerLayout(size bool) show.Layout {
	l := show.Layout{
		Columns: []show.Column{{"CONTAINER ID", "ID"}, {"IMAGE", "Image"}, {"COMMAND", "Command"}, {"CREATED", "RunningFor"},
			{"STATUS", "Status"}, {"PORTS", "Ports"}, {"NAMES", "Names"}},
		Headers: map[string]string{"CreatedAt": "CREATED AT", "Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS",
			"Networks": "NETWORKS", "Platform": "PLATFORM", "Size": "SIZE", "State": "STATE", "HealthStatus": "HEALTH STATUS"},
	}
	if size {
		l.Columns = append(l.Columns, show.Column{"SIZE", "Size"})
	}
	return l
}

func containerRowOf(p api.Pod, written *dockerapi.Size, now time.Time, full bool) containerRow {
	r := PsRowOf(p, now, full)
	row := containerRow{
		Command: r.Command, CreatedAt: r.CreatedAt, HealthStatus: cmp.Or(r.Health, "none"), ID: r.ID, Image: r.Image, Labels: r.Labels,
		LocalVolumes: r.LocalVolumes, Mounts: r.Mounts, Names: r.Names, Networks: r.Networks, Ports: r.Ports, RunningFor: r.RunningFor,
		Size: "0B", State: r.State, Status: r.Status,
	}
	if arch := p.Image.Config.Architecture; arch != "" {
		row.Platform = cmp.Or(p.Image.Config.OS, "linux") + "/" + arch
	}
	if written != nil {
		row.Size = fmt.Sprintf("%s (virtual %s)", show.Size(written.Written), show.Size(written.All))
	}
	return row
}

func listContainers(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, control.ContainerFilters...)
	if err != nil {
		return err
	}
	last := c.Int("last")
	if c.Bool("latest") {
		last = 1
	}
	if c.IsSet("last") && last < -1 {
		return fault.Invalid("invalid --last %d: want a number of containers", last)
	}
	pods, err := s.Podc.Containers.List(c.Context, control.Selection{Filters: f})
	if err != nil {
		return err
	}
	slices.SortStableFunc(pods, func(a, b api.Pod) int { return b.Created.Compare(a.Created) })
	all := c.Bool("all") || last >= 0 || len(f["status"])+len(f["exited"]) > 0
	pods = slices.DeleteFunc(pods, func(p api.Pod) bool { return !all && !p.Status.Up() })
	if last >= 0 {
		pods = pods[:min(last, len(pods))]
	}
	full := c.Bool("no-trunc")
	sized := !c.Bool("quiet") && (c.Bool("size") || strings.Contains(c.String("format"), ".Size"))
	rows := []containerRow{}
	for _, p := range pods {
		var written *dockerapi.Size
		if sized {
			of, err := s.Podc.Containers.Size(c.Context, p.Spec.Name)
			if err != nil {
				return err
			}
			written = &of
		}
		rows = append(rows, containerRowOf(p, written, time.Now(), full))
	}
	return command.ShowList(s, c, containerLayout(c.Bool("size")), rows, false, func(r containerRow) string { return r.ID })
}
