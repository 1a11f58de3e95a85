package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
)

func containerListCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "ls", Aliases: []string{"ps", "list"}, Usage: "list containers, the newest first",
		Flags: listFlags(strings.Join(containerFilterKeys, ", "),
			toggle("all", "those that do not run too", "a"),
			number("last", -1, "the last `N` made, whether they run or not", "n"),
			toggle("latest", "the last one made, whether it runs or not", "l"),
			toggle("size", "how much was written", "s"),
		),
		Action: with(con, (*session).listContainers),
	}
}

// containerRow is one container as docker's lists show it, with docker's keys.
type containerRow struct {
	Command      string
	CreatedAt    string
	HealthStatus string
	ID           string
	Image        string
	Labels       labelSet
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

func containerLayout(size bool) layout {
	l := layout{
		columns: []column{{"CONTAINER ID", "ID"}, {"IMAGE", "Image"}, {"COMMAND", "Command"}, {"CREATED", "RunningFor"},
			{"STATUS", "Status"}, {"PORTS", "Ports"}, {"NAMES", "Names"}},
		headers: map[string]string{"CreatedAt": "CREATED AT", "Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS",
			"Networks": "NETWORKS", "Platform": "PLATFORM", "Size": "SIZE", "State": "STATE", "HealthStatus": "HEALTH STATUS"},
	}
	if size {
		l.columns = append(l.columns, column{"SIZE", "Size"})
	}
	return l
}

func containerRowOf(p engine.Pod, written *dockerapi.Size, now time.Time, full bool) containerRow {
	r := psRowOf(p, now, full)
	row := containerRow{
		Command: r.Command, CreatedAt: r.CreatedAt, HealthStatus: cmp.Or(r.Health, "none"), ID: r.ID, Image: r.Image, Labels: r.Labels,
		LocalVolumes: r.LocalVolumes, Mounts: r.Mounts, Names: r.Names, Networks: r.Networks, Ports: r.Ports, RunningFor: r.RunningFor,
		Size: "0B", State: r.State, Status: r.Status,
	}
	if arch := p.Image.Config.Architecture; arch != "" {
		row.Platform = cmp.Or(p.Image.Config.OS, "linux") + "/" + arch
	}
	if written != nil {
		row.Size = fmt.Sprintf("%s (virtual %s)", size(written.Written), size(written.All))
	}
	return row
}

func (s *session) listContainers(c *cli.Context) error {
	f, err := filtersOf(c, containerFilterKeys...)
	if err != nil {
		return err
	}
	last := c.Int("last")
	if c.Bool("latest") {
		last = 1
	}
	if c.IsSet("last") && last < -1 {
		return usage("invalid --last %d: want a number of containers", last)
	}
	pods, err := s.engine.Pods("")
	if err != nil {
		return err
	}
	keep, err := s.containerFilter(c.Context, f, pods)
	if err != nil {
		return err
	}
	slices.SortStableFunc(pods, func(a, b engine.Pod) int { return b.Created.Compare(a.Created) })
	all := c.Bool("all") || last >= 0 || len(f["status"])+len(f["exited"]) > 0
	pods = slices.DeleteFunc(pods, func(p engine.Pod) bool { return !all && !isUp(p) || !keep(p) })
	if last >= 0 {
		pods = pods[:min(last, len(pods))]
	}
	return s.printContainers(c, pods)
}

func (s *session) printContainers(c *cli.Context, pods []engine.Pod) error {
	full := c.Bool("no-trunc")
	rows := []containerRow{}
	for _, p := range pods {
		if c.Bool("quiet") {
			if id := p.ID; full {
				fmt.Fprintln(s.con.out, id)
			} else {
				fmt.Fprintln(s.con.out, dockerapi.ShortID(id))
			}
			continue
		}
		var written *dockerapi.Size
		if c.Bool("size") || strings.Contains(c.String("format"), ".Size") {
			var err error
			if written, err = s.sizeOf(c.Context, p); err != nil {
				return err
			}
		}
		rows = append(rows, containerRowOf(p, written, time.Now(), full))
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, c.String("format"), containerLayout(c.Bool("size")), rows, false)
}

// sizeOf measures the files of a container.
func (s *session) sizeOf(ctx context.Context, p engine.Pod) (*dockerapi.Size, error) {
	written, err := disk.Usage(ctx, s.engine.Details(p).Upper)
	return &dockerapi.Size{Written: written, All: written + p.Image.Size}, err
}

// portRange is a filter on ports: "80", "80/udp", "8000-8010/tcp".
type portRange struct {
	first, last uint64
	protocol    string
}

func parsePortRange(key, s string) (portRange, error) {
	numbers, protocol, _ := strings.Cut(s, "/")
	from, to, isRange := strings.Cut(numbers, "-")
	if !isRange {
		to = from
	}
	first, err1 := strconv.ParseUint(from, 10, 16)
	last, err2 := strconv.ParseUint(to, 10, 16)
	if err1 != nil || err2 != nil || last < first {
		return portRange{}, usage("invalid --filter %s=%q: want a port or a range of ports, such as 8000-8010/tcp", key, s)
	}
	return portRange{first, last, cmp.Or(protocol, "tcp")}, nil
}

func (r portRange) holds(port uint16, protocol string) bool {
	return r.protocol == protocol && r.first <= uint64(port) && uint64(port) <= r.last
}
