package project

import (
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

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
