package project

import (
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// checkNames refuses to make a pod under a name that another one keeps.
func (p *planner) checkNames() {
	owner := map[string]*unit{}
	for _, u := range p.units {
		for _, s := range u.slots {
			if s.name == "" {
				continue
			}
			other, taken := owner[s.name]
			owner[s.name] = u
			switch {
			case !taken:
			case u.fresh:
				p.fail(errdefs.ErrConflict, "cannot create %[1]s: the container name %[1]q is already in use", s.name)
			case !other.model && slices.Contains(p.d.Disabled, other.Name) || !u.model && slices.Contains(p.d.Disabled, u.Name):
				p.failInactive(s.name, other, u)
			case !other.model || !u.model:
				p.fail(errdefs.ErrConflict, "cannot create %[1]s: the container name %[1]q is already in use by one that is not in the compose file%[2]s", s.name, p.remedy(DropOrphans, ""))
			default:
				p.fail(errdefs.ErrConflict, "cannot create %[1]s: the container name %[1]q is already in use: services %[2]s and %[3]s both ask for it", s.name, other.Name, u.Name)
			}
		}
	}
}

// failInactive refuses a name that a service of an inactive profile holds: it is one of the two.
func (p *planner) failInactive(name string, a, b *unit) {
	holder := a
	if a.model {
		holder = b
	}
	p.fail(errdefs.ErrConflict, "cannot create %[1]s: the container name %[1]q is already in use by service %[2]s, whose profile is not active%[3]s",
		name, holder.Name, p.remedy(RemoveService, holder.Name))
}

// checkHealth refuses a wait for the health of what has no health check: it would never end well.
func (p *planner) checkHealth() {
	for _, u := range p.units {
		if !u.model || u.policy == leave {
			continue
		}
		for _, d := range u.DependsOn {
			dep := p.byName[d.Service]
			if d.Condition != api.Healthy || dep == nil || dep.policy == leave || !unprobed(dep, p.o.Images) {
				continue
			}
			if d.Required {
				p.fail(errdefs.ErrFailedPrecondition, "cannot start %s: it waits for %s to be healthy, which has no health check", u.Name, d.Service)
			} else {
				p.warn("%s does not wait for %s to be healthy: it has no health check", u.Name, d.Service)
			}
		}
	}
}

// unprobed reports whether replicas of u surely have no health check; of an image that is not here that is not known.
func unprobed(u *unit, images map[string]api.Image) bool {
	img, ok := images[u.Pod.Container.Image]
	if !ok && (u.Pod.Container.Health == nil || len(u.Pod.Container.Health.Test) == 0) {
		return false
	}
	return !api.EffectiveHealth(u.Pod.Container.Health, img.Config.Health).Probes()
}
