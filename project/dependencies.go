package project

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// The names that docker compose gives to conditions, in the file and in its label.
var conditionNames = map[api.Condition]string{
	api.Started:   "service_started",
	api.Healthy:   "service_healthy",
	api.Completed: "service_completed_successfully",
}

// formatDependsOn writes the value of LabelDependsOn: "db:service_healthy:true,...", the last part being restart.
func formatDependsOn(deps []Dependency) string {
	var parts []string
	for _, d := range deps {
		parts = append(parts, fmt.Sprintf("%s:%s:%t", d.Service, conditionNames[cmp.Or(d.Condition, api.Started)], d.Restart))
	}
	return strings.Join(parts, ",")
}

// parseDependsOn reads LabelDependsOn. The label does not say whether a dependency is required: all are.
func parseDependsOn(label string) []Dependency {
	var deps []Dependency
	for part := range strings.SplitSeq(label, ",") {
		f := strings.Split(part, ":")
		if f[0] == "" {
			continue
		}
		d := Dependency{Service: f[0], Condition: api.Started, Required: true}
		for cond, name := range conditionNames {
			if len(f) > 1 && f[1] == name {
				d.Condition = cond
			}
		}
		d.Restart = len(f) > 2 && f[2] == "true"
		deps = append(deps, d)
	}
	return deps
}

// recall makes up the services of pods that no model describes, from their labels, dependencies before dependents. Labels of
// different ages may contradict each other: a cycle is then cut where it is found, in the order of names.
func recall(pods []*api.Pod) []Service {
	services := map[string]Service{}
	owner := map[string]string{} // pod -> service
	for _, p := range pods {
		owner[p.Spec.Name] = serviceOf(p)
	}
	for _, p := range pods {
		s := services[serviceOf(p)]
		s.Name = serviceOf(p)
		s.DependsOn = append(s.DependsOn, parseDependsOn(p.Spec.Labels[LabelDependsOn])...)
		for _, b := range p.Spec.Borrowed() {
			if of := owner[b.Of]; of != "" && of != s.Name {
				s.DependsOn = append(s.DependsOn, Dependency{Service: of, Condition: api.Started, Restart: b.What != api.BorrowVolumes, Required: true})
			}
		}
		services[s.Name] = s
	}
	var ordered []Service
	state := map[string]bool{} // seen
	var visit func(name string)
	visit = func(name string) {
		s, ok := services[name]
		if !ok || state[name] {
			return
		}
		state[name] = true
		s.DependsOn = unique(s.DependsOn)
		for _, d := range dependencies(s) {
			visit(d.Service)
		}
		ordered = append(ordered, s)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		visit(name)
	}
	return ordered
}

func unique(deps []Dependency) []Dependency {
	slices.SortStableFunc(deps, func(a, b Dependency) int { return strings.Compare(a.Service, b.Service) })
	return slices.CompactFunc(deps, func(a, b Dependency) bool { return a.Service == b.Service })
}

// LenderPrefix begins what a template says instead of the name of a pod that its own pods borrow a namespace or volumes from:
// it is not known before replicas are planned. No pod is called so.
const LenderPrefix = "service:"

// lender is a service from whose pod those of another one borrow.
type lender struct{ what, service string }

func (l lender) namespace() bool { return l.what != api.BorrowVolumes }

// phrase says what is borrowed from pod.
func phrase(b api.Borrowed) string {
	if b.What == api.BorrowVolumes {
		return "uses the volumes of " + b.Of
	}
	return "shares the " + b.What + " of " + b.Of
}

// lenders lists the services that the template of s borrows from.
func (s Service) lenders() []lender {
	var list []lender
	for _, b := range s.Pod.Borrowed() {
		if name, ok := strings.CutPrefix(b.Of, LenderPrefix); ok {
			list = append(list, lender{b.What, name})
		}
	}
	return list
}

// dependencies returns what s depends on, the services that it borrows from included.
func dependencies(s Service) []Dependency {
	deps := s.DependsOn
	for _, l := range s.lenders() {
		if !slices.ContainsFunc(deps, func(d Dependency) bool { return d.Service == l.service }) {
			deps = append(slices.Clip(deps), Dependency{Service: l.service, Condition: api.Started, Restart: l.namespace(), Required: true})
		}
	}
	return deps
}

// lenderSlot is the slot of the pod that is borrowed from: the first replica of the service; nil if there is none.
func (r *roster) lenderSlot(service string) *slot {
	of := r.byName[service]
	if of == nil {
		return nil
	}
	for _, s := range of.slots {
		if s.name != "" {
			return s
		}
	}
	return nil
}

// nameLenders puts the names of pods into a spec that was made from the template of u.
func (p *planner) nameLenders(u *unit, spec *api.PodSpec) {
	spec.MapBorrowed(func(b api.Borrowed) string {
		service, ok := strings.CutPrefix(b.Of, LenderPrefix)
		if !ok {
			return b.Of
		}
		if s := p.lenderSlot(service); s != nil {
			return s.name
		}
		p.refuse(errdefs.ErrFailedPrecondition, "cannot create %s: it %s, which has no replica", spec.Name, phrase(api.Borrowed{What: b.What, Of: "service " + service}))
		return ""
	})
}

// lenderReason compares the pods that old borrows from with those that it should. One that is only restarted asks for a
// restart, not for a new pod (planRestarts).
func (c *comparison) lenderReason(u *unit, old *api.Pod) Reason {
	have := old.Spec.Borrowed()
	for i, b := range u.Pod.Borrowed() {
		service, ok := strings.CutPrefix(b.Of, LenderPrefix)
		if !ok {
			continue
		}
		switch s := c.lenderSlot(service); {
		case s == nil:
			return because(LenderMissing, b.What, service) // make fails
		case i >= len(have) || have[i].Of != s.name:
			return because(LenderChanged, b.What, s.name)
		case s.create.given():
			return because(LenderRemade, b.What, have[i].Of)
		case b.What == api.BorrowVolumes && s.old.Created.After(old.Created): // it looked at another pod of that name
			return because(LenderReplaced, b.What, have[i].Of)
		}
	}
	return Reason{}
}

// borrowsFrom reports whether pod borrows something from name.
func borrowsFrom(spec *api.PodSpec, name string) bool {
	return slices.ContainsFunc(spec.Borrowed(), func(b api.Borrowed) bool { return b.Of == name })
}

// namespacesOf lists what a pod shares of others that is gone while they do not run.
func namespacesOf(spec *api.PodSpec) []api.Borrowed {
	return slices.DeleteFunc(spec.Borrowed(), func(b api.Borrowed) bool { return b.What == api.BorrowVolumes })
}
