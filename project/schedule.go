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
		p.step("static addresses changed", KeepAddresses{name, engine.KeeperOf(p.d.Name), p.keeps[name]}, nil)
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

// step appends a step; names of steps that the plan does not have are dropped from what it comes after.
func (p *planner) step(why string, do Action, after []string, past ...string) *Step {
	id := do.Words().String()
	p.index[id] = len(p.plan.Steps)
	p.plan.Steps = append(p.plan.Steps, Step{ID: id, Why: why, Do: do, After: p.existing(after), Past: p.existing(past)})
	return &p.plan.Steps[len(p.plan.Steps)-1]
}

func (p *planner) existing(ids []string) []string {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !p.has(id) })
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (p *planner) has(id string) bool {
	_, ok := p.index[id]
	return ok
}

func stopID(s *slot) string      { return Words{"stop", "pod", s.old.Spec.Name, ""}.String() }
func removeID(pod string) string { return Words{"remove", "pod", pod, ""}.String() }
func createID(pod string) string { return Words{"create", "pod", pod, ""}.String() }
func startID(pod string) string  { return Words{"start", "pod", pod, ""}.String() }

// endID names the step after which the present pod of a slot holds no port, address or namespace any more: a stop leaves that
// to the removal that follows it.
func endID(s *slot) string {
	if s.remove != "" {
		return removeID(s.old.Spec.Name)
	}
	return stopID(s)
}

// scheduleStop stops and removes the present pod of a slot, after those of its dependents and those that borrow from it.
func (p *planner) scheduleStop(u *unit, s *slot) {
	if s.old == nil {
		return
	}
	name := s.old.Spec.Name
	if s.kill != "" {
		p.step("asked for", KillPod{name, s.kill}, nil)
	}
	if s.pause != "" {
		p.step(s.pause, PausePod{name}, nil)
	}
	if s.unpause != "" {
		p.step(s.unpause, UnpausePod{name}, nil)
	}
	if s.stop != "" {
		if p.shutdown {
			p.step(s.stop, ShutDownPod{name, engine.ShutDownPatience(s.old.Spec)}, nil, p.dependentStops(u, s)...)
			return
		}
		grace := 10 * time.Second
		if g := s.old.Spec.Container.StopGrace; g != nil {
			grace = *g
		}
		p.step(s.stop, StopPod{name, p.opt.Timeout, grace, s.remove != "", len(s.old.Spec.Container.PreStop)}, p.dependentStops(u, s))
	}
	if s.remove != "" {
		after := append(p.sharersOf(s, func(o *slot) string { return removeID(o.old.Spec.Name) }), stopID(s), Words{"kill", "pod", name, ""}.String())
		p.step(s.remove, RemovePod{name, p.dropVolumes, halfMade(s.old)}, after)
	}
}

func (p *planner) dependentStops(u *unit, s *slot) []string {
	var ids []string
	for _, other := range p.units {
		depends := func(d Dependency) bool { return d.Service == u.Name && u.Name != "" }
		all := slices.ContainsFunc(dependencies(other.Service), depends)
		for _, o := range other.slots {
			if o.old != nil && (all || borrowsFrom(&o.old.Spec, s.old.Spec.Name)) {
				ids = append(ids, stopID(o))
			}
		}
	}
	return ids
}

// sharersOf names a step of every pod that borrows from the present pod of s.
func (p *planner) sharersOf(s *slot, id func(*slot) string) []string {
	var ids []string
	for _, u := range p.units {
		for _, o := range u.slots {
			if s.old != nil && o.old != nil && borrowsFrom(&o.old.Spec, s.old.Spec.Name) {
				ids = append(ids, id(o))
			}
		}
	}
	return ids
}

func (p *planner) scheduleResources(kind string, fates map[string]*fate, remove func(string) Action, users func(string) []string) {
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		f := fates[name]
		if f.remove != "" {
			s := p.step(f.remove, remove(name), users(name))
			s.Destructive = kind == "volume"
		}
		if f.create != "" {
			p.step(f.create, f.make, append(p.leavesOf(name), Words{"remove", kind, name, ""}.String()))
		}
	}
}

// stopsOfNetwork are the steps after which no pod is attached to the network.
func (p *planner) stopsOfNetwork(name string) []string {
	ids := p.endsOf(func(pod *engine.Pod) bool {
		return slices.Contains(networksOf(&pod.Spec), name) || slices.Contains(interfacesOf(pod), name)
	})
	return append(ids, p.leavesOf(name)...)
}

// removalsOfVolume are the steps after which no pod uses the volume.
func (p *planner) removalsOfVolume(name string) []string {
	return p.endsOf(func(pod *engine.Pod) bool { return uses(pod, name) })
}

// endsOf are the steps after which matching pods hold nothing any more.
func (p *planner) endsOf(match func(*engine.Pod) bool) []string {
	var ids []string
	for _, u := range p.units {
		for _, s := range u.slots {
			if s.old != nil && match(s.old) {
				ids = append(ids, endID(s))
			}
		}
	}
	return ids
}

func (p *planner) scheduleCreate(s *slot) {
	if s.create == "" {
		return
	}
	after := append(p.resourceIDs(s.spec), removeID(s.name))
	if s.old != nil {
		after = append(after, removeID(s.old.Spec.Name))
	}
	for _, b := range s.spec.Borrowed() {
		after = append(after, createID(b.Of)) // volumes are looked up there
	}
	p.step(s.create, CreatePod{*s.spec, s.image}, after)
}

// resourceIDs are the creations of what a spec uses.
func (p *planner) resourceIDs(spec *engine.PodSpec) []string {
	var ids []string
	for _, n := range networksOf(spec) {
		ids = append(ids, Words{"create", "network", n, ""}.String(), KeepAddresses{Network: n}.Words().String())
	}
	for _, v := range volumesOf(spec) {
		ids = append(ids, Words{"create", "volume", v, ""}.String())
	}
	return ids
}

func (p *planner) scheduleStart(u *unit, s *slot) {
	if s.start == "" {
		return
	}
	after, past := p.needs(u)
	if s.restore != nil {
		p.step("configs and secrets lost in a reboot", *s.restore, nil)
		after = append(after, s.restore.Words().String())
	}
	if s.create != "" { // which came after its resources
		after = append(after, createID(s.name))
	} else {
		after = append(after, stopID(s))
		after = append(after, p.resourceIDs(s.will())...)
		after = append(after, joinIDs(s)...)
	}
	for _, b := range namespacesOf(s.will()) {
		after = append(after, startID(b.Of))
	}
	after = append(after, p.sharersOf(s, endID)...) // they let go of the old namespace
	for _, holder := range p.holders(s) {
		if holder != s {
			after = append(after, endID(holder))
		}
	}
	if before := u.beforeInRange(s); before != nil {
		past = append(past, startID(before.name)) // each takes the first port that is free
	}
	p.step(s.start, StartPod{s.name, len(s.will().Container.PostStart)}, append(after, u.hooked...), past...)
}

// beforeInRange is the replica that starts before s, if both take a port of a range: these go to the replicas in order.
func (u *unit) beforeInRange(s *slot) *slot {
	ranged := func(port netstack.Port) bool { return port.HostPort != 0 && !fixed(port) }
	if !slices.ContainsFunc(s.wants(), ranged) {
		return nil
	}
	for _, o := range slices.Backward(u.slots[:slices.Index(u.slots, s)]) {
		if o.start != "" && slices.ContainsFunc(o.wants(), ranged) {
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
