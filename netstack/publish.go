package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// reach says how the ports of a pod can be published: by which of its endpoints, in each family.
type reach struct {
	by4, by6 int        // -1: none
	binding  netip.Addr // of the host, for IPv4 ports that ask for none; zero: every one
}

func (r reach) by(v6 bool) int {
	if v6 {
		return r.by6
	}
	return r.by4
}

// reachOf finds the endpoints by which a pod publishes ports: those that have the default route, among the bridges with a way
// out.
func reachOf(endpoints []Endpoint, networks []Network) reach {
	r := reach{by4: -1, by6: -1}
	for i, n := range networks {
		if n.Bridge == "" && !n.PortMaps || n.Internal {
			continue
		}
		better := func(by int) bool { return by < 0 || endpoints[i].GwPriority > endpoints[by].GwPriority }
		if hasFamily(n, false) && better(r.by4) {
			r.by4, r.binding = i, bindingOf(n)
		}
		if hasFamily(n, true) && better(r.by6) {
			r.by6 = i
		}
	}
	return r
}

// complete says on which addresses of the host a port is published, which was asked for or is by r's nature; false: on none.
func (r reach) complete(p Port) (Port, bool) {
	v4, v6 := r.by4 >= 0, r.by6 >= 0
	p.Dual = false
	switch {
	case !v4 && !v6:
		return p, false
	case p.HostIP.IsValid(): // an address of IPv6 is spliced to a pod without
		return p, v4 || p.HostIP.Is6()
	case v4 && r.binding.IsValid():
		p.HostIP = r.binding
	case v4:
		p.Dual = v6
	default:
		p.HostIP = netip.IPv6Unspecified()
	}
	return p, true
}

// setPublished saves rec, and makes the table hold want of it instead of what it held: the elements go into the record first, so
// that whoever rebuilds the table from state puts them there too.
func (s *Stack) setPublished(ctx context.Context, rec *record, want []published) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := s.records.load(rec.ID); err == nil {
		rec.DNSPorts = now.DNSPorts // which the resolver notes, see noteDNSPorts
	}
	before := rec.Published
	rec.Published = want
	if err := s.records.save(*rec); err != nil || slices.Equal(before, want) {
		return err
	}
	if len(before) > 0 {
		if err := s.firewall.changePorts(before, false); err != nil {
			return err
		}
	}
	if len(want) == 0 {
		return nil
	}
	return s.firewall.changePorts(want, true)
}

// elementsOf lists what the table holds of an attachment: nothing where the plugin portmap has published. An address ::1 is not
// translated, see splice.go.
func elementsOf(rec record, networks []Network) []published {
	if rec.Exec {
		return nil
	}
	var list []published
	reach := reachOf(rec.Endpoints, networks)
	for _, v6 := range families {
		by := reach.by(v6)
		if by < 0 || networks[by].Bridge == "" {
			continue
		}
		ip := rec.Interfaces[by].IPv4.Addr()
		if v6 {
			ip = rec.Interfaces[by].IPv6.Addr()
		}
		for _, p := range rec.Ports {
			here := p.HostIP.Is6() == v6 && !(v6 && p.HostIP.IsLoopback())
			if !p.HostIP.IsValid() {
				here = !v6 || p.Dual
			}
			switch {
			case !ip.IsValid():
			case routed(networks[by], v6):
				list = append(list, published{Protocol: p.Protocol, IP: ip, Port: p.Container, Open: true})
			case here:
				list = append(list, published{HostIP: p.HostIP, HostPort: p.HostPort, Protocol: p.Protocol, IP: ip, Port: p.Container})
			}
		}
	}
	return list
}

// beginDetach notes in the record that it is about to go, and takes its published ports away: here and not in portmapDel,
// since it is the first thing to undo.
func (s *Stack) beginDetach(ctx context.Context, rec *record) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	rec.Going = true
	if err := s.records.save(*rec); err != nil || len(rec.Published) == 0 {
		return err
	}
	return s.firewall.changePorts(rec.Published, false)
}

// forgetFlows deletes what conntrack remembers about UDP flows to published ports. Such a flow never ends as long as its
// client keeps sending, and would go on to where it went before the change.
func forgetFlows(ports []published) error {
	for _, v6 := range families {
		f, family := flowFilter{}, netlink.InetFamily(unix.AF_INET)
		if v6 {
			family = unix.AF_INET6
		}
		for _, p := range ports {
			if p.Protocol == "udp" && p.IP.Is6() == v6 && !p.Open {
				f[p.HostPort] = true
			}
		}
		if len(f) == 0 {
			continue
		}
		if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, f); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot flush conntrack: %w", err)
		}
	}
	return nil
}

// flowFilter picks UDP flows by the port that their first packet was sent to.
type flowFilter map[uint16]bool

func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return flow.Forward.Protocol == unix.IPPROTO_UDP && f[flow.Forward.DstPort]
}

// Overlap reports whether two addresses of the host can meet: none means all of them, an unspecified one all of its family.
func Overlap(a, b netip.Addr) bool {
	return !a.IsValid() || !b.IsValid() || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified() || a == b)
}
