package container

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/dockerapi"
	"podc.example/podc/project"
)

// PsRow is one container as `ps` shows it: docker's keys, in docker's order.
type PsRow struct {
	Command      string
	CreatedAt    string
	Engine       string
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       show.LabelSet
	LocalVolumes string
	Mounts       string
	Name         string
	Names        string
	Networks     string
	Ports        string
	Project      string
	Publishers   []publisher
	RunningFor   string
	Service      string
	Size         string
	State        string
	Status       string
}

// publisher is one port of a container; PublishedPort is 0 for one that is only exposed.
type publisher struct {
	URL           string
	TargetPort    int
	PublishedPort int
	Protocol      string
}

var psLayout = show.Layout{
	Columns: []show.Column{{"NAME", "Name"}, {"IMAGE", "Image"}, {"COMMAND", "Command"}, {"SERVICE", "Service"},
		{"CREATED", "RunningFor"}, {"STATUS", "Status"}, {"PORTS", "Ports"}},
	Headers: map[string]string{"CreatedAt": "CREATED AT", "Engine": "ENGINE", "ExitCode": "EXIT CODE", "Health": "HEALTH",
		"ID": "CONTAINER ID", "Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS", "Names": "NAMES",
		"Networks": "NETWORKS", "Project": "PROJECT", "Publishers": "PUBLISHERS", "Size": "SIZE", "State": "STATE"},
}

// PsLayoutOf has a column of engines where one is named.
func PsLayoutOf(rows []PsRow) show.Layout {
	l := psLayout
	if slices.ContainsFunc(rows, func(r PsRow) bool { return r.Engine != "" }) {
		l.Columns = append(slices.Clone(l.Columns), show.Column{"ENGINE", "Engine"})
	}
	return l
}

// Label is {{.Label "key"}} of templates.
func (r PsRow) Label(key string) string { return r.Labels[key] }

// PsRowOf describes a pod as docker would. Unless full is set, ids and commands are cut.
func PsRowOf(p api.Pod, now time.Time, full bool) PsRow {
	labels := dockerapi.LabelsOf(p)
	row := PsRow{
		Command:      quotedCommand(p, full),
		Engine:       labels["com.docker.compose.engine"],
		CreatedAt:    p.Created.Local().Format(show.DockerTime),
		ExitCode:     p.ExitCode,
		Health:       string(p.Health),
		ID:           dockerapi.ShortID(p.ID),
		Image:        p.Spec.Container.Image,
		Labels:       labels,
		LocalVolumes: strconv.Itoa(len(p.Volumes)),
		Mounts:       strings.Join(mounts(p, full), ","),
		Name:         p.Spec.Name,
		Names:        p.Spec.Name,
		Networks:     strings.Join(dockerapi.NetworksOf(p), ","),
		Ports:        strings.Join(dockerapi.PortList(p), ", "),
		Project:      labels[project.LabelProject],
		Publishers:   publishers(p),
		RunningFor:   dockerapi.Since(p.Created, now),
		Service:      labels[project.LabelService],
		Size:         "0B",
		State:        dockerapi.StatusOf(p),
		Status:       dockerapi.StatusText(p, now),
	}
	if full {
		row.ID = p.ID
	}
	return row
}

// quotedCommand is what the container runs.
func quotedCommand(p api.Pod, full bool) string {
	args := p.Args
	if args == nil {
		args = slices.Concat(p.Spec.Container.Entrypoint, p.Spec.Container.Command)
	}
	words := slices.Clone(args)
	for i, arg := range words {
		if i > 0 && strings.Contains(arg, " ") { // as docker has it
			words[i] = "'" + arg + "'"
		}
	}
	s := strings.Join(words, " ")
	if !full {
		s = show.Clip(s, 20)
	}
	return strconv.Quote(s)
}

// mounts are the volumes and host paths of a container. Unless full is set, long ones are cut as docker does.
func mounts(p api.Pod, full bool) []string {
	sources := dockerapi.MountSources(p)
	for i := range sources {
		if !full {
			sources[i] = show.Clip(sources[i], 15)
		}
	}
	return sources
}

// publishers are the ports of a container, the published ones first.
func publishers(p api.Pod) []publisher {
	list := []publisher{}
	for _, port := range dockerapi.Ports(p) {
		list = append(list, publisher{port.IP, int(port.PrivatePort), int(port.PublicPort), port.Type})
	}
	return list
}
