package project

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"podc.example/podc/engine"
)

// schedule turns decisions into steps: stops and removals first, dependents before what they depend on; then networks and
// volumes; then creations, waits and starts in dependency order. That is the order of the list; the steps run as soon as
// those named in After allow.
func (p *planner) schedule() {
	for _, u := range slices.Backward(p.units) {
		for _, s := range u.slots {
			p.scheduleStop(u, s)
		}
	}
	p.scheduleResources("network", p.networks, func(n string) Action { return RemoveNetwork{n} }, p.stopsOfNetwork)
	p.scheduleResources("volume", p.volumes, func(n string) Action { return RemoveVolume{n} }, p.removalsOfVolume)
	for _, u := range p.units {
		for _, s := range u.slots {
			p.scheduleCreate(s)
		}
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

// scheduleStop stops and removes the present pod of a slot, after those of its dependents and those that share its network.
func (p *planner) scheduleStop(u *unit, s *slot) {
	if s.old == nil {
		return
	}
	name := s.old.Spec.Name
	if s.kill != "" {
		p.step("asked for", KillPod{name, s.kill}, nil)
	}
	if s.stop != "" {
		grace := 10 * time.Second
		if g := s.old.Spec.Container.StopGrace; g != nil {
			grace = *g
		}
		p.step(s.stop, StopPod{name, p.opt.Timeout, grace}, p.dependentStops(u, s))
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
			if o.old != nil && (all || o.old.Spec.Network.Pod == s.old.Spec.Name) {
				ids = append(ids, stopID(o))
			}
		}
	}
	return ids
}

// sharersOf names a step of every pod that shares the network namespace of the present pod of s.
func (p *planner) sharersOf(s *slot, id func(*slot) string) []string {
	var ids []string
	for _, u := range p.units {
		for _, o := range u.slots {
			if s.old != nil && o.old != nil && o.old.Spec.Network.Pod == s.old.Spec.Name {
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
			p.step(f.create, f.make, []string{Words{"remove", kind, name, ""}.String()})
		}
	}
}

// stopsOfNetwork are the steps after which no pod is attached to the network.
func (p *planner) stopsOfNetwork(name string) []string {
	return p.endsOf(func(pod *engine.Pod) bool {
		return slices.Contains(networksOf(&pod.Spec), name) || slices.Contains(interfacesOf(pod), name)
	})
}

// removalsOfVolume are the steps after which no pod uses the volume.
func (p *planner) removalsOfVolume(name string) []string {
	return p.endsOf(func(pod *engine.Pod) bool { return uses(pod, name) })
}

// endsOf are the removals of pods, or their stops where they are not removed.
func (p *planner) endsOf(match func(*engine.Pod) bool) []string {
	var ids []string
	for _, u := range p.units {
		for _, s := range u.slots {
			switch {
			case s.old == nil || !match(s.old):
			case s.remove != "":
				ids = append(ids, removeID(s.old.Spec.Name))
			default:
				ids = append(ids, stopID(s))
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
	p.step(s.create, CreatePod{*s.spec, s.image}, after)
}

// resourceIDs are the creations of what a spec uses.
func (p *planner) resourceIDs(spec *engine.PodSpec) []string {
	var ids []string
	for _, n := range networksOf(spec) {
		ids = append(ids, Words{"create", "network", n, ""}.String())
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
	if s.create != "" { // which came after its resources
		after = append(after, createID(s.name))
	} else {
		after = append(after, stopID(s))
		after = append(after, p.resourceIDs(s.will())...)
	}
	if of := s.will().Network.Pod; of != "" {
		after = append(after, startID(of))
	}
	after = append(after, p.sharersOf(s, stopID)...) // they let go of the old namespace
	for _, holder := range p.holders(s) {
		if holder != s {
			after = append(after, stopID(holder))
		}
	}
	p.step(s.start, StartPod{s.name}, after, past...)
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

// needs returns what must have succeeded, and what must only have ended, before a replica of u starts. Waits are shared by
// all who need them.
func (p *planner) needs(u *unit) (after, past []string) {
	for _, d := range dependencies(u.Service) {
		dep := p.byName[d.Service]
		if dep == nil {
			continue
		}
		for _, s := range dep.slots {
			id := p.need(u, d, dep, s)
			if d.Required {
				after = append(after, id)
			} else {
				past = append(past, id)
			}
		}
	}
	return after, past
}

// need returns the step at which one replica of a dependency is ready for u, "" if it is so already or is none of this
// plan's business.
func (p *planner) need(u *unit, d Dependency, dep *unit, s *slot) string {
	cond := cmp.Or(d.Condition, engine.Started)
	switch {
	case s.name == "" || p.opt.NoStart && s.start == "":
		return ""
	case cond == engine.Started:
		return startID(s.name)
	case cond == engine.Healthy && dep.model && p.unprobed(dep):
		return startID(s.name) // not required, or checkHealth had refused
	case s.start == "" && (dep.policy == leave || met(s.old, cond)):
		return ""
	}
	return p.wait(dep, s, cond, neededBy+u.Name, !d.Required)
}

// met reports whether an untouched pod fulfils the condition already.
func met(pod *engine.Pod, cond engine.Condition) bool {
	switch cond {
	case engine.Healthy:
		return pod.Status == engine.StatusRunning && pod.Health == engine.HealthHealthy
	case engine.Completed:
		return completed(pod)
	case engine.Ready:
		return pod.Status == engine.StatusRunning && (pod.Health == engine.HealthNone || pod.Health == engine.HealthHealthy) || completed(pod)
	default:
		return running(pod) || completed(pod)
	}
}

// wait adds a wait, or joins the one that is planned already.
func (p *planner) wait(u *unit, s *slot, cond engine.Condition, why string, optional bool) string {
	do := WaitPod{s.name, cond, p.patience(u, s, cond)}
	id := do.Words().String()
	if i, ok := p.index[id]; ok {
		step := &p.plan.Steps[i]
		step.Optional = step.Optional && optional
		step.Why = joinReasons(step.Why, why)
		return id
	}
	p.step(why, do, []string{startID(s.name)}).Optional = optional
	return id
}

// joinReasons adds a reason of a shared wait: "needed by a" and "needed by b" make "needed by a, b".
func joinReasons(why, more string) string {
	if by, ok := strings.CutPrefix(more, neededBy); ok && strings.Contains(why, neededBy) {
		return why + ", " + by
	}
	return why + ", " + more
}

const neededBy = "needed by "

// scheduleReady adds the wait that --wait asks for.
func (p *planner) scheduleReady(u *unit, s *slot) {
	if !p.opt.Wait || u.policy == leave || u.policy == drop || s.name == "" {
		return
	}
	cond := engine.Ready
	if p.awaited(u) {
		cond = engine.Completed
	}
	if s.start != "" || !met(s.old, cond) {
		p.wait(u, s, cond, "--wait", false)
	}
}

// patience bounds a wait: for health, by the time after which the health check has spoken either way.
func (p *planner) patience(u *unit, s *slot, cond engine.Condition) time.Duration {
	switch {
	case cond == engine.Ready && p.opt.WaitTimeout > 0, cond == engine.Completed && p.opt.Wait && p.opt.WaitTimeout > 0:
		return p.opt.WaitTimeout
	case cond == engine.Completed:
		return cmp.Or(p.opt.CompleteWithin, forever)
	}
	img := p.o.Images[u.Pod.Container.Image]
	return probeTime(s.will().Container.Health, img.Config.Health) + time.Minute
}

// probeTime is the longest time that a health check, with docker's defaults, takes to say healthy or unhealthy.
func probeTime(own, image *engine.HealthCheck) time.Duration {
	var h engine.HealthCheck
	for _, layer := range []*engine.HealthCheck{own, image} {
		if layer == nil {
			continue
		}
		h.Interval = cmp.Or(h.Interval, layer.Interval)
		h.Timeout = cmp.Or(h.Timeout, layer.Timeout)
		h.Retries = cmp.Or(h.Retries, layer.Retries)
		h.StartPeriod = cmp.Or(h.StartPeriod, layer.StartPeriod)
	}
	interval, timeout := cmp.Or(h.Interval, 30*time.Second), cmp.Or(h.Timeout, 30*time.Second)
	return h.StartPeriod + time.Duration(cmp.Or(h.Retries, 3)+1)*(interval+timeout)
}
