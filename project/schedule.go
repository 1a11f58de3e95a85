package project

import (
	"maps"
	"slices"
	"time"

	"podc.example/podc/engine"
	"podc.example/podc/netstack"
)

// schedule turns decisions into steps: stops and removals first, dependents before what they depend on; then networks and
// volumes; then creations, waits and starts in dependency order. That is the order of the list; the steps run as soon as
// those named in After allow.
func (p *planner) schedule() {
	for _, u := range slices.Backward(p.units) {
		for _, s := range u.slots {
			p.scheduleStop(u, s)
			p.scheduleLeaves(s)
		}
	}
	p.scheduleResources("network", p.networks, func(n string) Action { return RemoveNetwork{n} }, p.stopsOfNetwork)
	for _, name := range slices.Sorted(maps.Keys(p.keeps)) {
		p.add(because(AddressesChanged), KeepAddresses{name, engine.KeeperOf(p.d.Name), p.keeps[name]})
	}
	p.scheduleResources("volume", p.volumes, func(n string) Action { return RemoveVolume{n} }, p.removalsOfVolume)
	for _, u := range p.units {
		for _, s := range u.slots {
			p.scheduleCreate(s)
			p.scheduleJoins(s)
		}
		u.hooked = p.scheduleHooks(u)
		for _, s := range u.slots {
			p.scheduleStart(u, s)
		}
		for _, s := range u.slots {
			p.scheduleReady(u, s)
		}
	}
}

// end is the step after which the present pod of a slot holds no port, address or namespace any more, none if it goes on: a stop
// leaves that to the removal that follows it.
func (s *slot) end() []Key {
	switch {
	case s.old == nil:
	case s.remove.given():
		return []Key{removeKey(s.old.Spec.Name)}
	case s.stop.given():
		return []Key{stopKey(s.old.Spec.Name)}
	}
	return nil
}

// scheduleStop stops and removes the present pod of a slot, after those of its dependents and those that borrow from it.
func (p *planner) scheduleStop(u *unit, s *slot) {
	if s.old == nil {
		return
	}
	name := s.old.Spec.Name
	if s.kill != "" {
		p.add(because(AskedFor), KillPod{name, s.kill})
	}
	if s.pause.given() {
		p.add(s.pause, PausePod{name})
	}
	if s.unpause.given() {
		p.add(s.unpause, UnpausePod{name})
	}
	if s.stop.given() && p.shutdown {
		p.add(s.stop, ShutDownPod{name, engine.ShutDownPatience(s.old.Spec)}).past(p.dependentStops(u, s)...)
		return
	}
	if s.stop.given() {
		grace := 10 * time.Second
		if g := s.old.Spec.Container.StopGrace; g != nil {
			grace = *g
		}
		p.add(s.stop, StopPod{name, p.opt.Timeout, grace, s.remove.given(), len(s.old.Spec.Container.PreStop)}).after(p.dependentStops(u, s)...)
	}
	if s.remove.given() {
		n := p.add(s.remove, RemovePod{name, p.dropVolumes, halfMade(s.old)}).after(KillPod{Name: name}.Key())
		if s.stop.given() {
			n.needs(stopKey(name))
		}
		for _, o := range p.sharersOf(s) {
			n.after(removeKey(o.old.Spec.Name))
		}
	}
}

// dependentStops are the stops of those that depend on s, as far as they stop: where labels contradict each other dependencies are a
// cycle, which is cut at what is planned first.
func (p *planner) dependentStops(u *unit, s *slot) []Key {
	var stops []Key
	for _, other := range p.units {
		depends := func(d Dependency) bool { return d.Service == u.Name && u.Name != "" }
		all := slices.ContainsFunc(dependencies(other.Service), depends)
		for _, o := range other.slots {
			if o.old != nil && (all || borrowsFrom(&o.old.Spec, s.old.Spec.Name)) {
				stops = append(stops, stopKey(o.old.Spec.Name))
			}
		}
	}
	return stops
}

// sharersOf are the slots whose present pod borrows from that of s.
func (p *planner) sharersOf(s *slot) []*slot {
	var sharers []*slot
	for _, u := range p.units {
		for _, o := range u.slots {
			if s.old != nil && o.old != nil && borrowsFrom(&o.old.Spec, s.old.Spec.Name) {
				sharers = append(sharers, o)
			}
		}
	}
	return sharers
}

func (p *planner) scheduleResources(kind string, fates map[string]*fate, remove func(string) Action, users func(string) []Key) {
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		f := fates[name]
		if f.remove.given() {
			n := p.add(f.remove, remove(name)).needs(users(name)...)
			n.step().Destructive = kind == "volume"
		}
		if f.create.given() {
			n := p.add(f.create, f.make).needs(p.leavesOf(name)...)
			if f.remove.given() {
				n.needs(remove(name).Key())
			}
		}
	}
}

// stopsOfNetwork are the steps after which no pod is attached to the network.
func (p *planner) stopsOfNetwork(name string) []Key {
	ends := p.endsOf(func(pod *engine.Pod) bool {
		return slices.Contains(networksOf(&pod.Spec), name) || slices.Contains(interfacesOf(pod), name)
	})
	return append(ends, p.leavesOf(name)...)
}

// removalsOfVolume are the steps after which no pod uses the volume.
func (p *planner) removalsOfVolume(name string) []Key {
	return p.endsOf(func(pod *engine.Pod) bool { return uses(pod, name) })
}

// endsOf are the steps after which matching pods hold nothing any more.
func (p *planner) endsOf(match func(*engine.Pod) bool) []Key {
	var ends []Key
	for _, u := range p.units {
		for _, s := range u.slots {
			if s.old != nil && match(s.old) {
				ends = append(ends, s.end()...)
			}
		}
	}
	return ends
}

func (p *planner) scheduleCreate(s *slot) {
	if !s.create.given() {
		return
	}
	n := p.add(s.create, CreatePod{*s.spec, s.image}).needs(p.resourcesOf(s.spec)...).after(removeKey(s.name))
	if s.old != nil {
		n.needs(s.end()...)
	}
	for _, b := range s.spec.Borrowed() {
		n.after(createKey(b.Of)) // volumes are looked up there
	}
}

// resourcesOf are the steps that make what a spec uses.
func (p *planner) resourcesOf(spec *engine.PodSpec) []Key {
	var keys []Key
	for _, name := range networksOf(spec) {
		if f := p.networks[name]; f != nil && f.create.given() {
			keys = append(keys, f.make.Key())
		}
		if _, keeps := p.keeps[name]; keeps {
			keys = append(keys, KeepAddresses{Network: name}.Key())
		}
	}
	for _, name := range volumesOf(spec) {
		if f := p.volumes[name]; f != nil && f.create.given() {
			keys = append(keys, f.make.Key())
		}
	}
	return keys
}

func (p *planner) scheduleStart(u *unit, s *slot) {
	if !s.start.given() {
		return
	}
	wait := p.waitsFor(u)
	if s.restore != nil {
		p.add(because(FilesLost), *s.restore)
	}
	n := p.add(s.start, StartPod{s.name, len(s.will().Container.PostStart)})
	wait(n)
	if s.restore != nil {
		n.needs(s.restore.Key())
	}
	if s.create.given() { // which came after its resources
		n.needs(createKey(s.name))
	} else {
		n.needs(s.end()...).needs(p.resourcesOf(s.will())...).needs(joinsOf(s)...)
	}
	for _, b := range namespacesOf(s.will()) {
		n.after(startKey(b.Of))
	}
	for _, o := range p.sharersOf(s) {
		n.needs(o.end()...) // they let go of the old namespace
	}
	for _, holder := range p.holders(s) {
		if holder != s {
			n.needs(holder.end()...)
		}
	}
	if before := u.beforeInRange(s); before != nil {
		n.past(startKey(before.name)) // each takes the first port that is free
	}
	n.needs(u.hooked...)
}

// beforeInRange is the replica that starts before s, if both take a port of a range: these go to the replicas in order.
func (u *unit) beforeInRange(s *slot) *slot {
	ranged := func(port netstack.Port) bool { return port.HostPort != 0 && !fixed(port) }
	if !slices.ContainsFunc(s.wants(), ranged) {
		return nil
	}
	for _, o := range slices.Backward(u.slots[:slices.Index(u.slots, s)]) {
		if o.start.given() && slices.ContainsFunc(o.wants(), ranged) {
			return o
		}
	}
	return nil
}

// holders are the slots whose pods must be stopped first, since they hold a port or address that s needs.
func (p *planner) holders(s *slot) []*slot {
	var holders []*slot
	for _, port := range s.wants() {
		if port.HostPort != 0 {
			holders = append(holders, p.portHolders(port)...)
		}
	}
	for _, e := range s.will().Network.Endpoints {
		holders = append(holders, p.addressHolders(e)...)
	}
	return holders
}
