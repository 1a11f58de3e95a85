package project

import (
	"fmt"
	"slices"
	"strconv"

	"podc.example/podc/api"
)

// pre_start hooks are pods of their own, that run to their end, one after another, before a service is started of which
// nothing runs yet. They have the volumes of its first replica. One that succeeds is removed; one that fails stays, for
// people to look at, until the service is started again or goes.

// hookOf names the service whose pre_start hook a pod is, "" of other pods.
func hookOf(p *api.Pod) string {
	if p.Spec.Labels[LabelHook] == "" {
		return ""
	}
	return serviceOf(p)
}

// addHooks adds a unit for the hooks of each service that earlier starts have left.
func (r *roster) addHooks(pods []api.Pod) {
	left := map[string]*unit{}
	for i := range pods {
		pod := &pods[i]
		name := hookOf(pod)
		if name == "" || pod.Status == api.StatusDead {
			continue
		}
		if left[name] == nil {
			left[name] = &unit{hooksOf: name}
			r.units = append(r.units, left[name])
		}
		left[name].slots = append(left[name].slots, &slot{old: pod, name: pod.Spec.Name})
	}
}

// planHooks plans the hooks of a service that is to be started while no replica of it runs.
func (p *planner) planHooks(u *unit) {
	starts := func(s *slot) bool { return s.start.given() }
	if len(u.PreStart) == 0 || u.fresh || !slices.ContainsFunc(u.slots, starts) || slices.ContainsFunc(u.slots, (*slot).stays) {
		return
	}
	p.dropHooks([]string{u.Name}, because(HooksAgain), true)
	for i := range u.PreStart {
		u.hooks = append(u.hooks, p.hook(u, i))
	}
}

// stays reports whether a replica runs on.
func (s *slot) stays() bool { return running(s.old) && !s.stop.given() && !s.remove.given() }

// hook is the slot of a hook that will be made. Its template is that of a pod: it lacks image and labels.
func (p *planner) hook(u *unit, i int) *slot {
	why := because(BeforeStart)
	s := Service{Name: u.Name, Pod: u.PreStart[i], FixedName: true, Pull: u.Service.Pull, Build: u.Build, Hash: u.Hash}
	s.Pod.Name = p.freeName(s.Pod.Name)
	for _, ref := range s.images() {
		p.needImage(&unit{Service: s, model: true}, ref)
	}
	img := p.o.Images[s.Pod.Container.Image]
	spec := Replica(s, 1, img)
	delete(spec.Labels, LabelNumber)
	spec.Labels[LabelHook], spec.Labels[LabelOneoff] = "pre_start", "True"
	p.nameLenders(u, &spec)
	p.resolveMounts(&spec)
	return &slot{name: spec.Name, spec: &spec, image: img, create: why, start: why}
}

// freeName is name, or the first that begins with it and is not that of a hook which an earlier start has left.
func (p *planner) freeName(name string) string {
	taken := func(n string) bool {
		return slices.ContainsFunc(p.o.Pods, func(pod api.Pod) bool { return pod.Spec.Name == n })
	}
	for n, free := 2, name; ; n++ {
		if !taken(free) {
			return free
		}
		free = name + "-" + strconv.Itoa(n)
	}
}

// scheduleHooks makes, runs and removes the hooks of a service one after another, and returns what its own starts come after.
func (c *scheduler) scheduleHooks(u *unit) []Key {
	var last []Key
	for _, s := range u.hooks {
		c.scheduleCreate(s)
		wait := c.waitsFor(u)
		start := c.add(s.start, StartPod{s.name, 0}).needs(createKey(s.name)).needs(last...)
		wait(start)
		for _, b := range namespacesOf(s.spec) {
			start.after(startKey(b.Of))
		}
		end := WaitPod{Name: s.name, Until: api.Completed, Timeout: c.completionPatience()}
		c.add(because(Needed, u.Name), end).needs(startKey(s.name))
		last = []Key{end.Key()}
		c.add(because(Succeeded), RemovePod{s.name, true, false}).needs(last...)
	}
	return last
}

// HookName is what the pod of a service's i-th pre_start hook is called, base being the name of its pods.
func HookName(base, sep string, i int) string {
	return base + sep + "pre_start" + sep + strconv.Itoa(i)
}

// HookContent names the content of a file of a hook, as ContentKey that of a service: for it the hook's key path is one.
func HookContent(service string, i int, target string) string {
	return ContentKey(fmt.Sprintf("%s.pre_start[%d]", service, i), target)
}

// dropHooks removes what hooks have left; those that run only if all is asked for.
func (p *planner) dropHooks(services []string, why Reason, all bool) {
	p.eachHook(services, func(s *slot) {
		if all || !running(s.old) {
			s.discard(why)
		}
	})
}

// eachHook calls do for what hooks have left of the services named, or chosen where none is.
func (r *roster) eachHook(services []string, do func(*slot)) {
	for u, s := range r.slots() {
		if u.hooksOf != "" && r.chosen(services, u.hooksOf) {
			do(s)
		}
	}
}
