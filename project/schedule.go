package project

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"podc.example/podc/api"
)

// scheduler makes the steps of what is decided, and their edges.
type scheduler struct {
	*roster
	*resources
	graph
	scheduling
	images map[string]api.Image
}

// scheduling is what concerns all steps of a plan.
type scheduling struct {
	timeout     *time.Duration // of stops; nil: each pod's own grace period
	ready       bool           // end only when all is ready
	waitTimeout time.Duration  // of every wait; 0: as long as a health check can take, or a day
	noStart     bool
	dropVolumes bool // anonymous volumes go with their pods
	shutdown    bool // what stops ends with the machine: what fails keeps nothing else from it
}

// schedule turns decisions into steps: stops and removals first, dependents before what they depend on; then networks and
// volumes; then creations, waits and starts in dependency order. That is the order of the list; the steps run as soon as
// those named in After allow.
func (c *scheduler) schedule() {
	for _, u := range slices.Backward(c.units) {
		for _, s := range u.slots {
			c.scheduleStop(u, s)
			c.scheduleLeaves(s)
		}
	}
	c.scheduleResources("network", c.networks, func(n string) Action { return RemoveNetwork{n} }, c.stopsOfNetwork)
	for _, name := range slices.Sorted(maps.Keys(c.keeps)) {
		c.add(because(AddressesChanged), KeepAddresses{name, api.KeeperOf(c.d.Name), c.keeps[name]})
	}
	c.scheduleResources("volume", c.volumes, func(n string) Action { return RemoveVolume{n} }, c.removalsOfVolume)
	for _, u := range c.units {
		for _, s := range u.slots {
			c.scheduleCreate(s)
			c.scheduleJoins(s)
		}
		u.hooked = c.scheduleHooks(u)
		for _, s := range u.slots {
			c.scheduleStart(u, s)
		}
		for _, s := range u.slots {
			c.scheduleReady(u, s)
		}
	}
}

// scheduleStop stops and removes the present pod of a slot, after those of its dependents and those that borrow from it.
func (c *scheduler) scheduleStop(u *unit, s *slot) {
	if s.old == nil {
		return
	}
	name := s.old.Spec.Name
	if s.kill != "" {
		c.add(because(AskedFor), KillPod{name, s.kill})
	}
	if s.pause.given() {
		c.add(s.pause, PausePod{name})
	}
	if s.unpause.given() {
		c.add(s.unpause, UnpausePod{name})
	}
	if s.stop.given() && c.shutdown {
		c.add(s.stop, ShutDownPod{name, api.ShutDownPatience(s.old.Spec)}).past(c.dependentStops(u, s)...)
		return
	}
	if s.stop.given() {
		c.add(s.stop, StopPod{name, c.timeout, s.old.Spec.Container.Grace(), s.remove.given(), len(s.old.Spec.Container.PreStop)}).after(c.dependentStops(u, s)...)
	}
	if s.remove.given() {
		n := c.add(s.remove, RemovePod{name, c.dropVolumes, halfMade(s.old)}).after(KillPod{Name: name}.Key())
		if s.stop.given() {
			n.needs(stopKey(name))
		}
		for _, o := range c.sharersOf(s) {
			n.after(removeKey(o.old.Spec.Name))
		}
	}
}

func (c *scheduler) scheduleResources(kind string, fates map[string]*fate, remove func(string) Action, users func(string) []Key) {
	for _, name := range slices.Sorted(maps.Keys(fates)) {
		f := fates[name]
		if f.remove.given() {
			n := c.add(f.remove, remove(name)).needs(users(name)...)
			n.step().Destructive = kind == "volume"
		}
		if f.create.given() {
			n := c.add(f.create, f.make).needs(c.leavesOf(name)...)
			if f.remove.given() {
				n.needs(remove(name).Key())
			}
		}
	}
}

// stopsOfNetwork are the steps after which no pod is attached to the network.
func (c *scheduler) stopsOfNetwork(name string) []Key {
	return append(c.endsOf(func(pod *api.Pod) bool { return pod.IsOn(name) }), c.leavesOf(name)...)
}

// removalsOfVolume are the steps after which no pod uses the volume.
func (c *scheduler) removalsOfVolume(name string) []Key {
	return c.endsOf(func(pod *api.Pod) bool { return uses(pod, name) })
}

func (c *scheduler) scheduleCreate(s *slot) {
	if !s.create.given() {
		return
	}
	n := c.add(s.create, CreatePod{*s.spec, s.image}).needs(c.resourcesOf(s.spec)...).after(removeKey(s.name))
	if s.old != nil {
		n.needs(s.end()...)
	}
	for _, b := range s.spec.Borrowed() {
		n.after(createKey(b.Of)) // volumes are looked up there
	}
}

// resourcesOf are the steps that make what a spec uses.
func (r *resources) resourcesOf(spec *api.PodSpec) []Key {
	var keys []Key
	for _, name := range networksOf(spec) {
		if f := r.networks[name]; f != nil && f.create.given() {
			keys = append(keys, f.make.Key())
		}
		if _, keeps := r.keeps[name]; keeps {
			keys = append(keys, KeepAddresses{Network: name}.Key())
		}
	}
	for _, name := range volumesOf(spec) {
		if f := r.volumes[name]; f != nil && f.create.given() {
			keys = append(keys, f.make.Key())
		}
	}
	return keys
}

func (c *scheduler) scheduleStart(u *unit, s *slot) {
	if !s.start.given() {
		return
	}
	wait := c.waitsFor(u)
	if s.restore != nil {
		c.add(because(FilesLost), *s.restore)
	}
	n := c.add(s.start, StartPod{s.name, len(s.will().Container.PostStart)})
	wait(n)
	if s.restore != nil {
		n.needs(s.restore.Key())
	}
	if s.create.given() { // which came after its resources
		n.needs(createKey(s.name))
	} else {
		n.needs(s.end()...).needs(c.resourcesOf(s.will())...).needs(joinsOf(s)...)
	}
	for _, b := range namespacesOf(s.will()) {
		n.after(startKey(b.Of))
	}
	for _, o := range c.sharersOf(s) {
		n.needs(o.end()...) // they let go of the old namespace
	}
	for _, holder := range c.slots() {
		if holder != s && holder.inTheWay(s) {
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
	ranged := func(port api.Port) bool { return port.HostPort != 0 && !fixed(port) }
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

// inTheWay reports whether the present pod of s must be stopped before o starts: it holds a port or an address that o needs.
func (s *slot) inTheWay(o *slot) bool {
	return s.stop.given() && (slices.ContainsFunc(o.wants(), func(port api.Port) bool { return port.HostPort != 0 && s.leaves(port) }) ||
		slices.ContainsFunc(o.will().Network.Endpoints, s.holdsAddress))
}

// waitsFor plans the waits for what u depends on, which are shared by all who need them, and returns what gives the start of a
// replica of u its edges.
func (c *scheduler) waitsFor(u *unit) func(node) {
	var needs, after, past []Key
	for _, d := range dependencies(u.Service) {
		dep := c.byName[d.Service]
		if dep == nil {
			continue
		}
		for _, s := range dep.slots {
			key, ok := c.readyAt(u, d, dep, s)
			switch {
			case !ok:
			case !d.Required:
				past = append(past, key)
			case u.model && dep.model:
				needs = append(needs, key)
			default: // where labels contradict each other dependencies are a cycle, which is cut at what is planned first
				after = append(after, key)
			}
		}
	}
	return func(n node) { n.needs(needs...).after(after...).past(past...) }
}

// readyAt returns the step at which one replica of a dependency is ready for u; not ok if it is so already or is none of this plan's
// business.
func (c *scheduler) readyAt(u *unit, d Dependency, dep *unit, s *slot) (key Key, ok bool) {
	cond := cmp.Or(d.Condition, api.Started)
	switch {
	case s.name == "" || c.noStart && !s.start.given():
		return Key{}, false
	case cond == api.Started, cond == api.Healthy && dep.model && unprobed(dep, c.images): // not required, or checkHealth had refused
		return startKey(s.name), s.start.given()
	case !s.start.given() && (dep.policy == leave || met(s.old, cond)):
		return Key{}, false
	}
	return c.wait(dep, s, cond, because(Needed, u.Name), !d.Required), true
}

// met reports whether an untouched pod fulfils the condition already.
func met(pod *api.Pod, cond api.Condition) bool {
	switch cond {
	case api.Healthy:
		return pod.Status.Live() && pod.Health == api.HealthHealthy
	case api.Completed:
		return completed(pod)
	case api.Ready: // of what has no health check it takes a look at the clock, which planning does not have
		return pod.Status.Live() && pod.Health == api.HealthHealthy || completed(pod)
	default:
		return running(pod) || completed(pod)
	}
}

// wait adds a wait, or joins the one that is planned already.
func (c *scheduler) wait(u *unit, s *slot, cond api.Condition, why Reason, optional bool) Key {
	do := WaitPod{s.name, cond, c.patience(u, s, cond), why.Kind == Needed}
	if n, ok := c.find(do.Key()); ok {
		step := n.step()
		if shared := step.Do.(WaitPod); do.Needed && !shared.Needed {
			shared.Needed = true
			step.Do = shared
		}
		step.Optional = step.Optional && optional
		step.Why = step.Why.join(why)
		return step.Key
	}
	c.add(why, do).after(startKey(s.name)).step().Optional = optional
	return do.Key()
}

// join adds a reason to that of a shared wait. Replicas of one service have one reason.
func (r Reason) join(more Reason) Reason {
	if more.Kind == Awaited {
		r.Kind = Awaited
	}
	for _, service := range more.About {
		if !slices.Contains(r.About, service) {
			r.About = append(r.About, service)
		}
	}
	return r
}

// scheduleReady adds the wait that opt.Wait asks for.
func (c *scheduler) scheduleReady(u *unit, s *slot) {
	if !c.ready || u.policy == leave || u.policy == drop || s.name == "" {
		return
	}
	cond := api.Ready
	if c.awaited(u) {
		cond = api.Completed
	}
	if s.start.given() || !met(s.old, cond) {
		c.wait(u, s, cond, because(Awaited), false)
	}
}

// patience bounds a wait: by what was asked for, else that for health by the time after which the health check has spoken either way.
func (c *scheduler) patience(u *unit, s *slot, cond api.Condition) time.Duration {
	if cond == api.Completed {
		return c.completionPatience()
	}
	img := c.images[u.Pod.Container.Image]
	return cmp.Or(c.waitTimeout, probeTime(s.will().Container.Health, img.Config.Health)+time.Minute)
}

// completionPatience bounds a wait for something to end.
func (c *scheduler) completionPatience() time.Duration {
	return cmp.Or(c.waitTimeout, forever)
}

// probeTime is the longest time that a health check, with docker's defaults, takes to say healthy or unhealthy.
func probeTime(own, image *api.HealthCheck) time.Duration {
	var h api.HealthCheck
	if is := api.EffectiveHealth(own, image); is != nil {
		h = *is
	}
	interval, timeout := cmp.Or(h.Interval, 30*time.Second), cmp.Or(h.Timeout, 30*time.Second)
	return h.StartPeriod + time.Duration(cmp.Or(h.Retries, 3)+1)*(interval+timeout)
}
