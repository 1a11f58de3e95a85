package project

import (
	"cmp"
	"slices"
	"time"

	"podc.example/podc/api"
)

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
