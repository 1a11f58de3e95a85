package dockerapi

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/api"
)

// PortSummary is one port of a container; one without a public port is only exposed.
type PortSummary struct {
	IP          string `json:",omitempty"`
	PrivatePort uint16
	PublicPort  uint16 `json:",omitempty"`
	Type        string
}

// Ports are a container's ports: the published ones, then those that are only exposed.
func Ports(p api.Pod) []PortSummary {
	list := []PortSummary{}
	for _, port := range api.PerFamily(p.Ports) {
		list = append(list, PortSummary{hostAddress(port), port.Container, port.HostPort, port.Protocol})
	}
	for _, key := range exposedOnly(p) {
		number, protocol, _ := strings.Cut(key, "/")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil {
			list = append(list, PortSummary{PrivatePort: uint16(n), Type: protocol})
		}
	}
	return list
}

// exposedOnly are the ports of the image that are not published.
func exposedOnly(p api.Pod) []string {
	return slices.DeleteFunc(slices.Clone(p.Exposed), func(key string) bool {
		return slices.ContainsFunc(p.Ports, func(port api.Port) bool { return key == portKey(port) })
	})
}

// PortList is a container's ports for people. Neighbours are shown as a range: "443/tcp", "0.0.0.0:8000-8002->80-82/tcp".
func PortList(p api.Pod) []string {
	sorted := api.PerFamily(p.Ports)
	slices.SortFunc(sorted, func(a, b api.Port) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), a.HostIP.Compare(b.HostIP), cmp.Compare(a.Container, b.Container),
			cmp.Compare(a.HostPort, b.HostPort))
	})
	parts := exposedRanges(p)
	for i := 0; i < len(sorted); {
		first, n := sorted[i], 1
		for i+n < len(sorted) && follows(sorted[i+n-1], sorted[i+n]) {
			n++
		}
		last := sorted[i+n-1]
		parts = append(parts, fmt.Sprintf("%s:%s->%s/%s", HostAddress(first), portRange(first.HostPort, last.HostPort),
			portRange(first.Container, last.Container), first.Protocol))
		i += n
	}
	return parts
}

// exposedRanges are the ports that are not published, by number.
func exposedRanges(p api.Pod) (parts []string) {
	only := slices.DeleteFunc(Ports(p), func(port PortSummary) bool { return port.PublicPort != 0 })
	slices.SortFunc(only, func(a, b PortSummary) int {
		return cmp.Or(cmp.Compare(a.PrivatePort, b.PrivatePort), cmp.Compare(a.Type, b.Type))
	})
	for len(only) > 0 {
		first, last := only[0], only[0].PrivatePort
		only = slices.DeleteFunc(only, func(port PortSummary) bool {
			next := port.Type == first.Type && (port.PrivatePort == last || port.PrivatePort == last+1)
			if next {
				last = port.PrivatePort
			}
			return next
		})
		parts = append(parts, portRange(first.PrivatePort, last)+"/"+first.Type)
	}
	return parts
}

// hostAddress is where a port is published; docker spells out that it is everywhere.
func hostAddress(p api.Port) string { return cmp.Or(text(p.HostIP), "0.0.0.0") }

// HostAddress is where a port is published, in the form that a number of a port follows: "0.0.0.0", "[::1]".
func HostAddress(p api.Port) string {
	if a := hostAddress(p); strings.Contains(a, ":") {
		return "[" + a + "]"
	}
	return hostAddress(p)
}

func follows(a, b api.Port) bool {
	return a.Protocol == b.Protocol && a.HostIP == b.HostIP && b.Container == a.Container+1 && b.HostPort == a.HostPort+1
}

func portRange(first, last uint16) string {
	if first == last {
		return strconv.Itoa(int(first))
	}
	return fmt.Sprintf("%d-%d", first, last)
}
