package project

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// claims collects the ports and addresses that a plan needs, and refuses what two pods cannot both have.
type claims struct {
	*roster
	*findings
	networks map[string]*fate
	plan     *Plan
}

// claim is a host port with the replica that holds or wants it.
type claim struct {
	port api.Port
	unit *unit
	slot *slot
}

// fixed reports whether exactly one host port will do.
func fixed(p api.Port) bool {
	return p.HostPort != 0 && (p.HostEnd == 0 || p.HostEnd == p.HostPort)
}

// overlaps reports whether a port of a's cannot be held together with one of b's.
func overlaps(a, b api.Port) bool {
	return a.Protocol == b.Protocol && api.AddrsMeet(a.HostIP, b.HostIP) && a.HostPort <= last(b) && b.HostPort <= last(a)
}

func last(p api.Port) uint16 { return max(p.HostPort, p.HostEnd) }

// wants lists the fixed host ports that a slot will hold; published lists those that its present pod holds.
func (s *slot) wants() []api.Port {
	switch {
	case s.name == "":
		return nil
	case s.spec != nil:
		return s.spec.Network.Ports
	case running(s.old):
		return s.published()
	case s.start.given():
		return s.old.Spec.Network.Ports
	}
	return nil
}

func (s *slot) published() []api.Port {
	if !running(s.old) {
		return nil
	}
	return s.old.Ports
}

// checkPorts refuses a wish in which two replicas need the same host port, and lists the ports that must be free outside of
// the project.
func (c *claims) checkPorts() {
	var seen []claim
	for _, u := range c.units {
		for _, s := range u.slots {
			for _, port := range s.wants() {
				if !fixed(port) {
					c.claim(s, port)
					continue
				}
				one := claim{port, u, s}
				c.refuseTwice(seen, one)
				seen = append(seen, one)
				c.claim(s, port)
			}
		}
	}
}

func (c *claims) refuseTwice(seen []claim, one claim) {
	i := slices.IndexFunc(seen, func(other claim) bool { return other.slot != one.slot && overlaps(other.port, one.port) })
	if i < 0 || !one.slot.start.given() && !one.slot.create.given() && !seen[i].slot.start.given() && !seen[i].slot.create.given() {
		return
	}
	other := seen[i]
	if other.unit != one.unit {
		hint := ""
		if !other.unit.model || !one.unit.model {
			hint = c.remedy(DropOrphans, "")
		}
		c.fail(errdefs.ErrConflict, "cannot publish port %s for both %s and %s%s", portName(one.port), other.slot.name, one.slot.name, hint)
		return
	}
	c.refuse(errdefs.ErrConflict, "cannot publish port %s for every replica of %s: only one can have it; publish a range of ports or leave the host's port out", portName(one.port), one.unit.Name)
}

func portName(p api.Port) string {
	if !fixed(p) {
		return fmt.Sprintf("%d-%d/%s", p.HostPort, p.HostEnd, p.Protocol)
	}
	if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
		return fmt.Sprintf("%s/%s", netip.AddrPortFrom(p.HostIP, p.HostPort), p.Protocol)
	}
	return fmt.Sprintf("%d/%s", p.HostPort, p.Protocol)
}

// claim notes a port that a pod needs at its start, unless a pod that this plan stops holds it now.
func (c *claims) claim(s *slot, port api.Port) {
	if !s.start.given() || port.HostPort == 0 || len(c.portHolders(port)) > 0 {
		return
	}
	c.plan.Claims = append(c.plan.Claims, api.PortClaim{Owner: s.name, Port: port})
}

// portHolders finds the slots that hold the port now and give it up.
func (r *roster) portHolders(port api.Port) []*slot {
	var holders []*slot
	for _, u := range r.units {
		for _, s := range u.slots {
			overlap := func(held api.Port) bool { return overlaps(held, port) }
			if s.stop.given() && slices.ContainsFunc(s.published(), overlap) {
				holders = append(holders, s)
			}
		}
	}
	return holders
}

// claimAddresses lists the static addresses that pods which are made or started need.
func (c *claims) claimAddresses() {
	for _, u := range c.units {
		for _, s := range u.slots {
			if s.old != nil && s.stop.given() {
				c.plan.Leaving = append(c.plan.Leaving, s.old.Spec.Name)
			}
			if s.old != nil && s.remove.given() {
				c.plan.Gone = append(c.plan.Gone, s.old.Spec.Name)
			}
			if !s.create.given() && !s.start.given() {
				continue
			}
			for _, e := range s.will().Network.Endpoints {
				if f := c.networks[e.Network]; f != nil && f.create.given() {
					continue // it has what the model says
				}
				for _, a := range e.Static() {
					c.plan.Addresses = append(c.plan.Addresses, api.AddressClaim{Owner: s.name, As: []string{api.KeeperOf(c.d.Name)}, Network: e.Network, Addr: a})
				}
			}
		}
	}
}

// addressHolders finds the slots that hold a static address now and give it up.
func (r *roster) addressHolders(e api.Endpoint) []*slot {
	var holders []*slot
	for _, u := range r.units {
		for _, s := range u.slots {
			holds := func(i api.Interface) bool {
				return i.Network == e.Network && slices.ContainsFunc(i.Addrs(), func(a netip.Addr) bool { return a == e.IPv4 || a == e.IPv6 })
			}
			if s.stop.given() && slices.ContainsFunc(s.old.Interfaces, holds) {
				holders = append(holders, s)
			}
		}
	}
	return holders
}
