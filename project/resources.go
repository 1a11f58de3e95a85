package project

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// resources decides what becomes of networks and volumes.
type resources struct {
	*roster
	*findings
	o        Observed
	networks map[string]*fate
	volumes  map[string]*fate
	keeps    map[string][]netip.Addr // what networks that stay are to keep for the project
}

// fate is what happens to a network or volume; no reason means that it is not done.
type fate struct {
	remove, create Reason
	make           Action
}

// reason says, to the pods that use it, what happens to the resource.
func (f *fate) reason(kind, name string) Reason {
	if f.remove.given() {
		return because(ResourceRecreated, kind, name)
	}
	return because(ResourceMissing, kind, name)
}

// wanted reports whether the resources that use tells of in a spec are needed: by a chosen service or, with no service
// named, by the model.
func (r *resources) wanted(services []string, name string, use func(*api.PodSpec) []string) bool {
	if len(services) == 0 {
		return true
	}
	for _, u := range r.units {
		uses := func(pod api.PodSpec) bool { return slices.Contains(use(&pod), name) }
		if u.model && u.policy != leave && (uses(u.Pod) || slices.ContainsFunc(u.PreStart, uses)) {
			return true
		}
	}
	return false
}

func (r *resources) planNetworks(services []string) {
	for _, n := range r.d.Networks {
		name := n.Spec.Name
		if !r.wanted(services, name, networksOf) {
			continue
		}
		old, exists := r.o.Networks[name]
		switch {
		case n.External && !exists && r.o.Unread != nil:
			r.errs = append(r.errs, fmt.Errorf("network %s declared as external, but could not be found: %w", name, r.o.Unread))
		case n.External && !exists:
			r.fail(errdefs.ErrNotFound, "network %s declared as external, but could not be found; create it with: podc network create %s", name, name)
		case n.External:
		case !exists:
			r.networks[name] = &fate{create: because(Missing), make: r.createNetwork(n)}
		case r.foreign("network", name, old.Labels):
		case old.Labels[LabelHash] != n.Hash:
			why := networkChange(old, n.Spec)
			r.networks[name] = &fate{remove: why, create: why, make: r.createNetwork(n)}
		}
		if r.networks[name] == nil && exists && !slices.Equal(old.Kept[api.KeeperOf(r.d.Name)], n.Static) {
			r.keeps[name] = n.Static
		}
	}
}

func (r *resources) createNetwork(n Network) Action {
	spec := n.Spec
	spec.Labels = withLabels(spec.Labels, map[string]string{LabelProject: r.d.Name, LabelNetwork: n.Key, LabelHash: n.Hash})
	if len(n.Static) > 0 {
		spec.Kept = map[string][]netip.Addr{api.KeeperOf(r.d.Name): n.Static}
	}
	return CreateNetwork{spec}
}

// withLabels is labels with more of them, which go before.
func withLabels(labels, more map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, labels)
	maps.Copy(out, more)
	return out
}

// own reports whether podc has made for this project what has these labels.
func (r *resources) own(labels map[string]string) bool {
	return labels[LabelProject] == r.d.Name && labels[LabelHash] != ""
}

// foreign reports, with a warning, a resource that somebody else made under a name the model claims: it is used as it is.
func (r *resources) foreign(kind, name string, labels map[string]string) bool {
	if r.own(labels) {
		return false
	}
	owner := labels[LabelProject]
	if owner == "" || owner == r.d.Name {
		r.warn("%s %s was not made by podc and is used as it is; declare it external", kind, name)
	} else {
		r.warn("%s %s belongs to project %s and is used as it is; declare it external", kind, name, owner)
	}
	return true
}

// noteIn adds to a list what differs.
func noteIn(changed *[]string) func(differs bool, what string) {
	return func(differs bool, what string) {
		if differs {
			*changed = append(*changed, what)
		}
	}
}

// networkChange says what differs. What old has beyond the wish was chosen for it.
func networkChange(old, want api.Network) Reason {
	var changed []string
	note := noteIn(&changed)
	note(cmp.Or(old.Driver, "bridge") != cmp.Or(want.Driver, "bridge"), "driver")
	note(old.Internal != want.Internal, "internal")
	note(old.IPv6 != want.IPv6, "enable_ipv6")
	note(old.NoIPv4 != want.NoIPv4, "enable_ipv4")
	note(!sameSubnets(old.Subnets, want.Subnets), "ipam")
	note(want.MTU != 0 && old.MTU != want.MTU, "mtu")
	note(!maps.Equal(old.Options, want.Options), "driver_opts")
	note(!sameLabels(old.Labels, want.Labels), "labels")
	return because(AttributesChanged, changed...)
}

// sameSubnets reports whether old has what want asks for; what old has beyond was chosen.
func sameSubnets(old, want []api.Subnet) bool {
	for _, w := range want {
		same := func(o api.Subnet) bool {
			return o.CIDR == w.CIDR && (!w.Gateway.IsValid() || o.Gateway == w.Gateway) && o.IPRange == w.IPRange && maps.Equal(o.Reserved, w.Reserved)
		}
		if !slices.ContainsFunc(old, same) {
			return false
		}
	}
	return true
}

// sameLabels compares what the user wrote, not what podc adds.
func sameLabels(a, b map[string]string) bool {
	return maps.Equal(without(a, OwnLabel), without(b, OwnLabel))
}

func (r *resources) planVolumes(services []string, keepChanged bool) {
	for _, v := range r.d.Volumes {
		name := v.Spec.Name
		if !r.wanted(services, name, volumesOf) {
			continue
		}
		old, exists := r.o.Volumes[name]
		switch {
		case v.External && !exists:
			r.fail(errdefs.ErrNotFound, "external volume %q not found; create it with: podc volume create %s", name, name)
		case v.External:
		case !exists:
			r.volumes[name] = &fate{create: because(Missing), make: r.createVolume(v)}
		case r.foreign("volume", name, old.Labels):
		case old.Labels[LabelHash] == v.Hash:
		case keepChanged:
			r.warn("volume %s is kept as it was, data and all, although its configuration changed (%s)", name, volumeChange(old, v.Spec))
		default:
			r.changeVolume(v, old)
		}
	}
}

func (r *resources) createVolume(v Volume) Action {
	spec := v.Spec
	spec.Labels = withLabels(spec.Labels, map[string]string{LabelProject: r.d.Name, LabelVolume: v.Key, LabelHash: v.Hash})
	return CreateVolume{spec}
}

// changeVolume plans the loss of a volume whose configuration changed, unless pods outside of this plan use it.
func (r *resources) changeVolume(v Volume, old api.Volume) {
	name, why := v.Spec.Name, volumeChange(old, v.Spec)
	for u, s := range r.slots() {
		if u.policy < diverged && uses(s.old, name) {
			r.warn("volume %s is kept as it was, although its configuration changed (%s): %s uses it and is not replaced", name, why, s.old.Spec.Name)
			return
		}
	}
	r.volumes[name] = &fate{remove: why, create: why, make: r.createVolume(v)}
}

func volumeChange(old, want api.Volume) Reason {
	var changed []string
	note := noteIn(&changed)
	note(cmp.Or(old.Driver, "local") != cmp.Or(want.Driver, "local"), "driver")
	note(!maps.Equal(old.Options, want.Options), "driver_opts")
	note(!sameLabels(old.Labels, want.Labels), "labels")
	return because(AttributesChanged, changed...)
}
