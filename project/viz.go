package project

import (
	"cmp"
	"fmt"
	"html"
	"maps"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/api"
)

// VizOptions say what Viz shows of a service beside its name.
type VizOptions struct {
	Images   bool
	Networks bool
	Ports    bool
	Indent   string // before each line of the graph's inside
}

// Viz draws the services of d and what they depend on in the language of graphviz, as docker compose does; by name, so that the
// same project gives the same text.
func Viz(d Desired, opt VizOptions) string {
	services := slices.Clone(d.Services)
	slices.SortFunc(services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	known := map[string]bool{}
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %s {\n%slayout=dot;\n", strconv.Quote(d.Name), opt.Indent)
	for _, s := range services {
		known[s.Name] = true
		fmt.Fprintf(&b, "%s%s [style=\"filled\" label=<<font point-size=\"15\">%s</font>%s>];\n", opt.Indent, strconv.Quote(s.Name), html.EscapeString(s.Name), vizLabel(d, s, opt))
	}
	b.WriteString("\n")
	for _, s := range services {
		needs := map[string]bool{}
		for _, dep := range dependencies(s) {
			needs[dep.Service] = known[dep.Service]
		}
		for _, name := range slices.Sorted(maps.Keys(needs)) {
			if needs[name] {
				fmt.Fprintf(&b, "%s%s -> %s;\n", opt.Indent, strconv.Quote(s.Name), strconv.Quote(name))
			}
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func vizLabel(d Desired, s Service, opt VizOptions) string {
	var label string
	part := func(shown bool, title string, lines []string) {
		if shown && len(lines) > 0 {
			label += `<font point-size="10"><br/><br/><b>` + title + `:</b><br/>` + html.EscapeString(strings.Join(lines, "\n")) + `</font>`
		}
	}
	var networks, ports []string
	for _, name := range networksOf(&s.Pod) {
		networks = append(networks, NetworkKey(d.Networks, name))
	}
	part(opt.Networks, "Networks", networks)
	for _, p := range s.Pod.Network.Ports {
		ports = append(ports, vizPort(p))
	}
	part(opt.Ports, "Ports", ports)
	part(opt.Images, "Image", []string{s.Pod.Container.Image})
	return strings.ReplaceAll(label, "\n", "<br/>")
}

func vizPort(p api.Port) string {
	host := ""
	if p.HostPort != 0 {
		host = strconv.Itoa(int(p.HostPort))
	}
	if p.HostEnd != 0 {
		host += "-" + strconv.Itoa(int(p.HostEnd))
	}
	if p.HostIP.IsValid() {
		host = p.HostIP.String() + ":" + host
	}
	return fmt.Sprintf("%s:%d (%s, ingress)", host, p.Container, p.Protocol)
}
