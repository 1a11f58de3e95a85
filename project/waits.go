package project

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/engine"
)

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
		return pod.Status.Live() && pod.Health == engine.HealthHealthy
	case engine.Completed:
		return completed(pod)
	case engine.Ready: // of what has no health check it takes a look at the clock, which planning does not have
		return pod.Status.Live() && pod.Health == engine.HealthHealthy || completed(pod)
	default:
		return running(pod) || completed(pod)
	}
}

// wait adds a wait, or joins the one that is planned already.
func (p *planner) wait(u *unit, s *slot, cond engine.Condition, why string, optional bool) string {
	do := WaitPod{s.name, cond, p.patience(u, s, cond), strings.HasPrefix(why, neededBy)}
	id := do.Words().String()
	if i, ok := p.index[id]; ok {
		step := &p.plan.Steps[i]
		if shared := step.Do.(WaitPod); do.Needed && !shared.Needed {
			shared.Needed = true
			step.Do = shared
		}
		step.Optional = step.Optional && optional
		step.Why = joinReasons(step.Why, why)
		return id
	}
	p.step(why, do, []string{startID(s.name)}).Optional = optional
	return id
}

// joinReasons adds a reason of a shared wait: "needed by a" and "needed by b" make "needed by a, b". Replicas of one service
// have one reason.
func joinReasons(why, more string) string {
	by, needed := strings.CutPrefix(more, neededBy)
	_, others, joins := strings.Cut(why, neededBy)
	switch {
	case !needed || !joins:
		return why + ", " + more
	case slices.Contains(strings.Split(others, ", "), by):
		return why
	}
	return why + ", " + by
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

// patience bounds a wait: by --wait-timeout, else that for health by the time after which the health check has spoken either way.
func (p *planner) patience(u *unit, s *slot, cond engine.Condition) time.Duration {
	if cond == engine.Completed {
		return p.completionPatience()
	}
	img := p.o.Images[u.Pod.Container.Image]
	return cmp.Or(p.opt.WaitTimeout, probeTime(s.will().Container.Health, img.Config.Health)+time.Minute)
}

// completionPatience bounds a wait for something to end.
func (p *planner) completionPatience() time.Duration {
	return cmp.Or(p.opt.WaitTimeout, forever)
}

// probeTime is the longest time that a health check, with docker's defaults, takes to say healthy or unhealthy.
func probeTime(own, image *engine.HealthCheck) time.Duration {
	var h engine.HealthCheck
	if is := api.EffectiveHealth(own, image); is != nil {
		h = *is
	}
	interval, timeout := cmp.Or(h.Interval, 30*time.Second), cmp.Or(h.Timeout, 30*time.Second)
	return h.StartPeriod + time.Duration(cmp.Or(h.Retries, 3)+1)*(interval+timeout)
}
