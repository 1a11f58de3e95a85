package project

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// checkNames refuses to make a pod under a name that another one keeps.
func (p *planner) checkNames() {
	owner := map[string]*unit{}
	for u, s := range p.slots() {
		if s.name == "" {
			continue
		}
		other, taken := owner[s.name]
		owner[s.name] = u
		holder := other // which is not of the model, if one is not
		if taken && other.model {
			holder = u
		}
		var by string
		switch {
		case !taken:
			continue
		case u.fresh:
		case !holder.model && slices.Contains(p.d.Disabled, holder.Name):
			by = fmt.Sprintf(" by service %s, whose profile is not active%s", holder.Name, p.remedy(RemoveService, holder.Name))
		case !holder.model:
			by = " by one that is not in the compose file" + p.remedy(DropOrphans, "")
		default:
			by = fmt.Sprintf(": services %s and %s both ask for it", other.Name, u.Name)
		}
		p.fail(errdefs.ErrConflict, "cannot create %[1]s: the container name %[1]q is already in use%[2]s", s.name, by)
	}
}

// checkHealth refuses a wait for the health of what has no health check: it would never end well.
func (p *planner) checkHealth() {
	for _, u := range p.units {
		if !u.model || u.policy == leave {
			continue
		}
		for _, d := range u.DependsOn {
			dep := p.byName[d.Service]
			if d.Condition != api.Healthy || dep == nil || dep.policy == leave || !unprobed(dep, p.o.Images) {
				continue
			}
			if d.Required {
				p.fail(errdefs.ErrFailedPrecondition, "cannot start %s: it waits for %s to be healthy, which has no health check", u.Name, d.Service)
			} else {
				p.warn("%s does not wait for %s to be healthy: it has no health check", u.Name, d.Service)
			}
		}
	}
}

// unprobed reports whether replicas of u surely have no health check; of an image that is not here that is not known.
func unprobed(u *unit, images map[string]api.Image) bool {
	img, ok := images[u.Pod.Container.Image]
	if !ok && (u.Pod.Container.Health == nil || len(u.Pod.Container.Health.Test) == 0) {
		return false
	}
	return !api.EffectiveHealth(u.Pod.Container.Health, img.Config.Health).Probes()
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
func (p *planner) checkPorts() {
	var seen []claim
	for u, s := range p.slots() {
		for _, port := range s.wants() {
			if fixed(port) {
				one := claim{port, u, s}
				p.refuseTwice(seen, one)
				seen = append(seen, one)
			}
			// One that a pod which this plan stops holds now will be free.
			if s.start.given() && port.HostPort != 0 && !p.leaves(port) {
				p.plan.Claims = append(p.plan.Claims, api.PortClaim{Owner: s.name, Port: port})
			}
		}
	}
}

// leaves reports whether a pod that this plan stops holds the port now.
func (p *planner) leaves(port api.Port) bool {
	for _, s := range p.slots() {
		if s.leaves(port) {
			return true
		}
	}
	return false
}

func (p *planner) refuseTwice(seen []claim, one claim) {
	i := slices.IndexFunc(seen, func(other claim) bool { return other.slot != one.slot && overlaps(other.port, one.port) })
	if i < 0 || !one.slot.start.given() && !one.slot.create.given() && !seen[i].slot.start.given() && !seen[i].slot.create.given() {
		return
	}
	other := seen[i]
	if other.unit != one.unit {
		hint := ""
		if !other.unit.model || !one.unit.model {
			hint = p.remedy(DropOrphans, "")
		}
		p.fail(errdefs.ErrConflict, "cannot publish port %s for both %s and %s%s", portName(one.port), other.slot.name, one.slot.name, hint)
		return
	}
	p.refuse(errdefs.ErrConflict, "cannot publish port %s for every replica of %s: only one can have it; publish a range of ports or leave the host's port out", portName(one.port), one.unit.Name)
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

// leaves reports whether the present pod of s holds the port and gives it up.
func (s *slot) leaves(port api.Port) bool {
	return s.stop.given() && slices.ContainsFunc(s.published(), func(held api.Port) bool { return overlaps(held, port) })
}

// holdsAddress reports whether it has a static address of e.
func (s *slot) holdsAddress(e api.Endpoint) bool {
	return slices.ContainsFunc(s.old.Interfaces, func(i api.Interface) bool {
		return i.Network == e.Network && slices.ContainsFunc(i.Addrs(), func(a netip.Addr) bool { return a == e.IPv4 || a == e.IPv6 })
	})
}

// claimAddresses lists the static addresses that pods which are made or started need.
func (p *planner) claimAddresses() {
	for _, s := range p.slots() {
		if s.old != nil && s.stop.given() {
			p.plan.Leaving = append(p.plan.Leaving, s.old.Spec.Name)
		}
		if s.old != nil && s.remove.given() {
			p.plan.Gone = append(p.plan.Gone, s.old.Spec.Name)
		}
		if !s.create.given() && !s.start.given() {
			continue
		}
		for _, e := range s.will().Network.Endpoints {
			if f := p.networks[e.Network]; f != nil && f.create.given() {
				continue // it has what the model says
			}
			for _, a := range e.Static() {
				p.plan.Addresses = append(p.plan.Addresses, api.AddressClaim{Owner: s.name, As: []string{api.KeeperOf(p.d.Name)}, Network: e.Network, Addr: a})
			}
		}
	}
}
