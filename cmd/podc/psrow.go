package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/engine"
	"podc.example/podc/netstack"
	"podc.example/podc/project"
)

// psRow is one container as `ps` shows it: docker's keys, in docker's order.
type psRow struct {
	Command      string
	CreatedAt    string
	Engine       string
	ExitCode     int
	Health       string
	ID           string
	Image        string
	Labels       string
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

	labels map[string]string
	fullID string
}

// publisher is one port of a container; PublishedPort is 0 for one that is only exposed.
type publisher struct {
	URL           string
	TargetPort    int
	PublishedPort int
	Protocol      string
}

var psLayout = layout{
	columns: []column{{"NAME", "Name"}, {"IMAGE", "Image"}, {"COMMAND", "Command"}, {"SERVICE", "Service"},
		{"CREATED", "RunningFor"}, {"STATUS", "Status"}, {"PORTS", "Ports"}},
	headers: map[string]string{"CreatedAt": "CREATED AT", "Engine": "ENGINE", "ExitCode": "EXIT CODE", "Health": "HEALTH",
		"ID": "CONTAINER ID", "Labels": "LABELS", "LocalVolumes": "LOCAL VOLUMES", "Mounts": "MOUNTS", "Names": "NAMES",
		"Networks": "NETWORKS", "Project": "PROJECT", "Publishers": "PUBLISHERS", "Size": "SIZE", "State": "STATE"},
}

// Label is {{.Label "key"}} of templates.
func (r psRow) Label(key string) string { return r.labels[key] }

func (r psRow) field(name string) string {
	switch name {
	case "Name":
		return r.Name
	case "Image":
		return r.Image
	case "Command":
		return r.Command
	case "Service":
		return r.Service
	case "RunningFor":
		return r.RunningFor
	case "Status":
		return r.Status
	case "Ports":
		return r.Ports
	}
	return ""
}

// psRowOf describes a pod as docker would. Unless full is set, ids and commands are cut.
func psRowOf(p engine.Pod, now time.Time, full bool) psRow {
	labels := p.Spec.Labels
	row := psRow{
		Command:      quotedCommand(p, full),
		CreatedAt:    p.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"),
		ExitCode:     p.ExitCode,
		Health:       string(p.Health),
		ID:           shortID(p.ID),
		Image:        p.Spec.Container.Image,
		Labels:       joinedLabels(labels),
		LocalVolumes: strconv.Itoa(len(p.Volumes)),
		Mounts:       strings.Join(mountSources(p), ","),
		Name:         p.Spec.Name,
		Names:        p.Spec.Name,
		Networks:     strings.Join(networksOf(p), ","),
		Ports:        strings.Join(append(exposedOnly(p), portList(p.Ports)...), ", "),
		Project:      labels[project.LabelProject],
		Publishers:   append(publishers(p.Ports), exposedPublishers(p)...),
		RunningFor:   since(p.Created, now),
		Service:      labels[project.LabelService],
		Size:         "0B",
		State:        string(p.Status),
		Status:       statusText(p, now),
		labels:       labels,
		fullID:       p.ID,
	}
	if full {
		row.ID = p.ID
	}
	return row
}

// quotedCommand is what the container runs.
func quotedCommand(p engine.Pod, full bool) string {
	args := p.Args
	if args == nil {
		args = slices.Concat(p.Spec.Container.Entrypoint, p.Spec.Container.Command)
	}
	s := strings.Join(args, " ")
	if !full {
		s = clip(s, 20)
	}
	return strconv.Quote(s)
}

func joinedLabels(labels map[string]string) string {
	var kv []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		kv = append(kv, k+"="+labels[k])
	}
	return strings.Join(kv, ",")
}

func mountSources(p engine.Pod) []string {
	var sources []string
	for _, m := range p.Spec.Container.Mounts {
		source := m.Source
		if m.Type == engine.MountVolume && source == "" {
			source = p.Volumes[m.Target]
		}
		if m.Type != engine.MountTmpfs && source != "" {
			sources = append(sources, source)
		}
	}
	return sources
}

func networksOf(p engine.Pod) []string {
	if p.Spec.Network.Mode == engine.NetworkHost {
		return []string{"host"}
	}
	var names []string
	for _, e := range p.Spec.Network.Endpoints {
		names = append(names, e.Network)
	}
	return names
}

// statusText is docker's sentence: "Up 2 hours (healthy)".
func statusText(p engine.Pod, now time.Time) string {
	switch p.Status {
	case engine.StatusPaused:
		return "Up " + ago(now.Sub(p.Started)) + " (Paused)"
	case engine.StatusRunning:
		s := "Up " + ago(now.Sub(p.Started))
		switch p.Health {
		case engine.HealthStarting:
			s += " (health: starting)"
		case engine.HealthHealthy, engine.HealthUnhealthy:
			s += " (" + string(p.Health) + ")"
		}
		return s
	case engine.StatusRestarting:
		return fmt.Sprintf("Restarting (%d) %s", p.ExitCode, since(p.Finished, now))
	case engine.StatusExited:
		code := strconv.Itoa(p.ExitCode)
		if !p.ExitKnown {
			code = "?"
		}
		return strings.TrimSpace(fmt.Sprintf("Exited (%s) %s", code, since(p.Finished, now)))
	case engine.StatusRemoving:
		return "Removal In Progress"
	case engine.StatusCreated, engine.StatusCreating:
		return "Created"
	}
	return string(p.Status)
}

func hostAddress(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "0.0.0.0"
	case a.Is6():
		return "[" + a.String() + "]"
	}
	return a.String()
}

func publishers(ports []netstack.Port) []publisher {
	list := []publisher{}
	for _, p := range ports {
		list = append(list, publisher{strings.Trim(hostAddress(p.HostIP), "[]"), int(p.Container), int(p.HostPort), p.Protocol})
	}
	return list
}

// portList is docker's short form; neighbouring ports are shown as a range: "0.0.0.0:8000-8002->80-82/tcp".
func portList(ports []netstack.Port) []string {
	sorted := slices.Clone(ports)
	slices.SortFunc(sorted, func(a, b netstack.Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.Container, b.Container),
			cmp.Compare(a.HostPort, b.HostPort))
	})
	var parts []string
	for i := 0; i < len(sorted); {
		first, n := sorted[i], 1
		for i+n < len(sorted) && follows(sorted[i+n-1], sorted[i+n]) {
			n++
		}
		last := sorted[i+n-1]
		parts = append(parts, fmt.Sprintf("%s:%s->%s/%s", hostAddress(first.HostIP), portRange(first.HostPort, last.HostPort),
			portRange(first.Container, last.Container), first.Protocol))
		i += n
	}
	return parts
}

// exposedOnly are the ports of the image that are not published.
func exposedOnly(p engine.Pod) []string {
	return slices.DeleteFunc(slices.Clone(p.Exposed), func(exposed string) bool {
		return slices.ContainsFunc(p.Ports, func(port netstack.Port) bool {
			return exposed == fmt.Sprintf("%d/%s", port.Container, port.Protocol)
		})
	})
}

func exposedPublishers(p engine.Pod) []publisher {
	var list []publisher
	for _, exposed := range exposedOnly(p) {
		number, protocol, _ := strings.Cut(exposed, "/")
		if n, err := strconv.Atoi(number); err == nil {
			list = append(list, publisher{TargetPort: n, Protocol: protocol})
		}
	}
	return list
}

func follows(a, b netstack.Port) bool {
	return a.Protocol == b.Protocol && a.HostIP == b.HostIP && b.Container == a.Container+1 && b.HostPort == a.HostPort+1
}

func portRange(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, last)
}
