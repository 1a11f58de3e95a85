package project

import (
	"net/netip"
	"slices"

	"podc.example/podc/api"
)

// rejoin is a network that a pod, which stays, leaves and joins again, or only joins.
type rejoin struct {
	endpoint api.Endpoint
	prefer   []netip.Addr // of the pod on the network so far
	leave    bool         // it is on it still
	why      Reason
}

// planNetworksOf has the pods of u that stay keep up with their networks: those that are made anew are left and joined again,
// those of the model that a pod has lost are joined. Names, addresses and published ports stay as far as they can.
func (p *planner) planNetworksOf(u *unit) {
	for _, s := range u.slots {
		if s.old == nil || s.remove.given() || s.old.Status == api.StatusDead || halfMade(s.old) {
			continue
		}
		spec := &s.old.Spec
		for _, e := range spec.Network.Endpoints {
			f := p.networks[e.Network]
			attached := addressesOn(s.old, e.Network)
			if f != nil && !s.stop.given() && running(s.old) && len(attached) > 0 {
				s.rejoins = append(s.rejoins, rejoin{e, attached, true, f.reason("network", e.Network)})
			}
		}
		if !u.model || u.policy < diverged || spec.Network.Mode != api.NetworkPrivate {
			continue
		}
		for _, e := range u.Pod.Network.Endpoints {
			if lost := p.lostNetwork(s, e.Network); lost.given() {
				s.rejoins = append(s.rejoins, rejoin{endpoint: e, why: lost})
			}
		}
	}
}

// lostNetwork says why the pod of s must join a network of its service, no reason if it is on it, or will be.
func (p *planner) lostNetwork(s *slot, network string) Reason {
	if slices.ContainsFunc(s.rejoins, func(r rejoin) bool { return r.endpoint.Network == network }) {
		return Reason{}
	}
	if !slices.Contains(networksOf(&s.old.Spec), network) {
		return because(NotOnNetwork, network)
	}
	// It lost the interface by force from outside, or to a plan that was cut short.
	if !s.stop.given() && s.old.Status.Live() && !s.old.RunLost && len(addressesOn(s.old, network)) == 0 {
		return because(NotAttached, network)
	}
	return Reason{}
}

// addressesOn are the addresses of a pod on a network. One that a plugin gave none has an invalid one: it is attached all the
// same.
func addressesOn(pod *api.Pod, network string) []netip.Addr {
	for _, i := range pod.Interfaces {
		if i.Network == network {
			return append(i.Addrs(), netip.Addr{})
		}
	}
	return nil
}

// scheduleLeaves and scheduleJoins stand around the removal and creation of networks.
func (c *scheduler) scheduleLeaves(s *slot) {
	for _, r := range s.rejoins {
		if r.leave {
			c.add(r.why, DisconnectPod{s.old.Spec.Name, r.endpoint.Network})
		}
	}
}

func (c *scheduler) scheduleJoins(s *slot) {
	for _, r := range s.rejoins {
		name, network := s.old.Spec.Name, r.endpoint.Network
		prefer := slices.DeleteFunc(slices.Clone(r.prefer), func(a netip.Addr) bool { return !a.IsValid() })
		n := c.add(r.why, ConnectPod{name, r.endpoint, prefer})
		if r.leave {
			n.needs(disconnectKey(name, network))
		}
		if f := c.networks[network]; f != nil && f.create.given() {
			n.needs(f.make.Key())
		}
	}
}

// leavesOf are the steps by which running pods leave a network.
func (r *roster) leavesOf(network string) []Key {
	var leaves []Key
	for _, s := range r.slots() {
		for _, r := range s.rejoins {
			if r.leave && r.endpoint.Network == network {
				leaves = append(leaves, disconnectKey(s.old.Spec.Name, network))
			}
		}
	}
	return leaves
}

func joinsOf(s *slot) []Key {
	var joins []Key
	for _, r := range s.rejoins {
		joins = append(joins, connectKey(s.old.Spec.Name, r.endpoint.Network))
	}
	return joins
}
