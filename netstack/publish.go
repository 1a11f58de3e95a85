package netstack

import (
	"context"
	"net/netip"
	"slices"

	"podc.example/podc/api"
	"podc.example/podc/netstack/firewall"
)

// reach says how the ports of a pod can be published: by which of its endpoints, in each family.
type reach struct {
	by4, by6 int        // -1: none
	binding  netip.Addr // of the host, for IPv4 ports that ask for none; zero: every one
}

func (r reach) by(v6 bool) int { return firewall.ByFamily(v6, r.by4, r.by6) }

// reachOf finds the endpoints by which a pod publishes ports: those that have the default route, among the bridges with a way
// out.
func reachOf(endpoints []api.Endpoint, networks []api.Network) reach {
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
func (r reach) complete(p api.Port) (api.Port, bool) {
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
func (s *Stack) setPublished(ctx context.Context, rec *record, want []firewall.Port) error {
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
		if err := s.firewall.Withdraw(before); err != nil {
			return err
		}
	}
	if len(want) == 0 {
		return nil
	}
	return s.firewall.Publish(want)
}

// elementsOf lists what the table holds of an attachment: nothing where the plugin portmap has published. An address ::1 is not
// translated, see splice.go.
func elementsOf(rec record, networks []api.Network) []firewall.Port {
	if rec.Exec {
		return nil
	}
	var list []firewall.Port
	reach := reachOf(rec.Endpoints, networks)
	for _, v6 := range firewall.Families {
		by := reach.by(v6)
		if by < 0 || networks[by].Bridge == "" {
			continue
		}
		ip := firewall.ByFamily(v6, rec.Interfaces[by].IPv4, rec.Interfaces[by].IPv6).Addr()
		for _, p := range rec.Ports {
			here := p.HostIP.Is6() == v6 && !(v6 && p.HostIP.IsLoopback())
			if !p.HostIP.IsValid() {
				here = !v6 || p.Dual
			}
			switch {
			case !ip.IsValid():
			case routed(networks[by], v6):
				list = append(list, firewall.Port{Protocol: p.Protocol, IP: ip, Port: p.Container, Open: true})
			case here:
				list = append(list, firewall.Port{HostIP: p.HostIP, HostPort: p.HostPort, Protocol: p.Protocol, IP: ip, Port: p.Container})
			}
		}
	}
	return list
}

// beginDetach notes in the record that it is about to go, and takes its published ports away: here and not in the plugin's DEL,
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
	return s.firewall.Withdraw(rec.Published)
}
