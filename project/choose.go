package project

import (
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// choose gives every unit its policy and number of replicas.
func (p *planner) choose() {
	named := p.opt.Services
	for _, name := range p.opt.Services {
		if u := p.byName[name]; u == nil || !u.model {
			p.fail(errdefs.ErrNotFound, "no such service: %s", name)
			named = nil
		}
	}
	for _, u := range p.units {
		if u.model && len(p.opt.Services) == 0 || slices.Contains(named, u.Name) && u.Name != "" {
			u.policy = p.mainPolicy()
		}
	}
	if !p.opt.NoDeps {
		for _, name := range named {
			p.chooseDependencies(p.byName[name])
		}
	}
	p.chooseUnborn()
	p.chooseOrphans()
	p.chooseScale()
	p.addNew(p.opt.OneOff)
}

// chooseUnborn drops one-offs that were to go with their end, and whose maker died before their start.
func (p *planner) chooseUnborn() {
	for u, s := range p.slots() {
		if u.Name == "" && s.old.Spec.AutoRemove && s.old.Status == api.StatusCreated {
			s.discard(because(LeftOver))
		}
	}
}

func (p *planner) mainPolicy() policy {
	switch {
	case p.opt.ForceRecreate || p.opt.RenewAnon:
		return force
	case p.opt.NoRecreate:
		return keep
	default:
		return diverged
	}
}

func (p *planner) dependencyPolicy() policy {
	switch p.opt.Deps {
	case RecreateForce:
		return force
	case RecreateNever:
		return keep
	default:
		return diverged
	}
}

func (p *planner) chooseDependencies(u *unit) {
	for _, d := range dependencies(u.Service) {
		dep := p.byName[d.Service]
		if dep == nil || !dep.model || dep.policy != leave {
			continue
		}
		dep.policy = p.dependencyPolicy()
		p.chooseDependencies(dep)
	}
}

// chooseOrphans finds the pods that no service accounts for: those of services that are neither in the model nor switched off
// by a profile, and what `run` left behind.
func (p *planner) chooseOrphans() {
	var names []string
	for _, u := range p.units {
		if u.model || u.dead || p.knows(u.hooksOf) || slices.Contains(p.d.Disabled, u.Name) {
			continue
		}
		for _, s := range u.slots {
			if u.Name != "" || p.orphanOneOff(s.old) && !s.remove.given() {
				names = append(names, s.old.Spec.Name)
			}
		}
		if p.opt.RemoveOrphans && !p.opt.IgnoreOrphans {
			u.policy = drop
		}
	}
	if len(names) > 0 && !p.opt.RemoveOrphans && !p.opt.IgnoreOrphans {
		slices.Sort(names)
		p.warn("Found orphan containers (%s) for this project%s", strings.Join(names, ", "), p.remedy(DropOrphans, ""))
	}
}

func (p *planner) chooseScale() {
	for _, name := range slices.Sorted(maps.Keys(p.opt.Scale)) {
		n, u := p.opt.Scale[name], p.byName[name]
		switch {
		case u == nil || !u.model:
			p.fail(errdefs.ErrNotFound, "no such service: %s", name)
		case n < 0:
			p.fail(errdefs.ErrInvalidArgument, "cannot scale %s to %d: the number of replicas must not be negative", name, n)
		default:
			u.Replicas = n
		}
	}
	for _, u := range p.units {
		if u.FixedName && u.Replicas > 1 && u.policy > leave {
			p.fail(errdefs.ErrInvalidArgument, "cannot run %d replicas of %s: container_name %q can be taken only once", u.Replicas, u.Name, u.Pod.Name)
		}
	}
}
