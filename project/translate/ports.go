package translate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/internal/valid"
	"podc.example/podc/project"
)

// ports translates published ports as they were asked for: choosing from a range, or an ephemeral one, is left to the moment
// of attaching.
func ports(net *api.PodNetwork, key string, s types.ServiceConfig) error {
	seen := map[api.Port]bool{}
	for i, p := range s.Ports {
		port, err := port(fmt.Sprintf("%s.ports[%d]", key, i), p)
		if err != nil {
			return err
		}
		if !seen[port] {
			seen[port] = true
			net.Ports = append(net.Ports, port)
		}
	}
	return nil
}

func port(at string, p types.ServicePortConfig) (out api.Port, err error) {
	if p.Target < 1 || p.Target > 65535 {
		return out, compose.Invalid(at, "container port %d is not between 1 and 65535", p.Target)
	}
	out.Container = uint16(p.Target)
	switch out.Protocol = strings.ToLower(p.Protocol); out.Protocol {
	case "":
		out.Protocol = "tcp"
	case "tcp", "udp":
	case "sctp":
		return out, compose.NotServed(at, "protocol sctp", "")
	default:
		return out, compose.Invalid(at, "protocol %q is none of tcp, udp", p.Protocol)
	}
	if p.Mode != "" && p.Mode != "ingress" && p.Mode != "host" {
		return out, compose.Invalid(at, "mode %q is none of ingress, host", p.Mode)
	}
	if out.HostIP, err = hostIP(at, p.HostIP); err != nil {
		return out, err
	}
	out.HostPort, out.HostEnd, err = hostPorts(at, p.Published)
	return out, err
}

func hostIP(at, text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return ip, compose.Invalid(at, "host address %q is none", text)
	}
	ip = ip.Unmap()
	if err := valid.Published(ip); err != nil {
		return ip, compose.Invalid(at, "host address: %v", err)
	}
	return ip, nil
}

// hostPorts parses "", "8080" and "8080-8090"; end is 0 unless it is a range.
func hostPorts(at, published string) (first, end uint16, err error) {
	if published == "" {
		return 0, 0, nil
	}
	from, to, ranged := strings.Cut(published, "-")
	a, errA := strconv.ParseUint(from, 10, 16)
	b := a
	var errB error
	if ranged {
		b, errB = strconv.ParseUint(to, 10, 16)
	}
	if errA != nil || errB != nil || (a == 0 && ranged) {
		return 0, 0, compose.Invalid(at, "published port %q is not between 1 and 65535", published)
	}
	if b < a {
		return 0, 0, compose.Invalid(at, "published range %s ends before it begins", published)
	}
	if b == a {
		return uint16(a), 0, nil
	}
	return uint16(a), uint16(b), nil
}

// expose lists the ports that a container is said to listen on: each, though ranges are asked for.
func expose(key string, list types.StringOrNumberList) (ports []string, err error) {
	for i, e := range list {
		at := fmt.Sprintf("%s.expose[%d]", key, i)
		number, proto, _ := strings.Cut(e, "/")
		first, last, err := hostPorts(at, number)
		if err != nil || first == 0 {
			return nil, compose.Invalid(at, "%q is no port", e)
		}
		if proto != "" && proto != "tcp" && proto != "udp" && proto != "sctp" {
			return nil, compose.Invalid(at, "protocol %q is none of tcp, udp, sctp", proto)
		}
		for n := int(first); n <= int(max(first, last)); n++ {
			ports = append(ports, fmt.Sprintf("%d/%s", n, cmp.Or(proto, "tcp")))
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// claim is who wants a host port or an address.
type claim struct {
	service string
	ip      netip.Addr
}

// conflicts finds ports and addresses that two pods of the project want for themselves. What others on the host hold is
// found out when attaching.
func (t *translation) conflicts() error {
	taken := map[string][]claim{}
	var errs []error
	for _, s := range t.res.Desired.Services {
		if s.Replicas == 0 {
			continue
		}
		errs = append(errs, portConflicts(s, taken), addressConflicts(s, taken))
	}
	return compose.Join(errs...)
}

func portConflicts(s project.Service, taken map[string][]claim) error {
	for _, p := range s.Pod.Network.Ports {
		if p.HostPort == 0 {
			continue
		}
		key := "services." + s.Name + ".ports"
		if n := int(max(p.HostEnd, p.HostPort)-p.HostPort) + 1; s.Replicas > n {
			return compose.Invalid(key, "%d replicas cannot publish %s", s.Replicas, portText(p)).
				WithHint("publish a range such as %d-%d:%d, or leave the host port out", p.HostPort, int(p.HostPort)+s.Replicas-1, p.Container)
		}
		if p.HostEnd != 0 {
			continue
		}
		at := fmt.Sprintf("%d/%s", p.HostPort, p.Protocol)
		for _, other := range taken[at] {
			if api.AddrsMeet(other.ip, p.HostIP) {
				return compose.Invalid(key, "host port %s is published by service %q too", at, other.service)
			}
		}
		taken[at] = append(taken[at], claim{s.Name, p.HostIP})
	}
	return nil
}

func portText(p api.Port) string {
	if p.HostEnd == 0 {
		return fmt.Sprintf("the one host port %d", p.HostPort)
	}
	return fmt.Sprintf("the host ports %d-%d", p.HostPort, p.HostEnd)
}

func addressConflicts(s project.Service, taken map[string][]claim) error {
	for _, e := range s.Pod.Network.Endpoints {
		for _, a := range e.Static() {
			at := e.Network + " " + a.String()
			if others := taken[at]; len(others) > 0 {
				return compose.Invalid("services."+s.Name+".networks", "address %s is that of service %q too", a, others[0].service)
			}
			taken[at] = []claim{{service: s.Name}}
		}
	}
	return nil
}
