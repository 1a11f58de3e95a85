package project

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// checkNames refuses to make a pod under a name that another one keeps.
func (p *planner) checkNames() {
	owner := map[string]*unit{}
	for u, s := range p.slots() {
		if s.name == "" {
			continue
		}
		other, taken := owner[s.name]
		owner[s.name] = u
		holder := other // which is not of the model, if one is not
		if taken && other.model {
			holder = u
		}
		var by string
		switch {
		case !taken:
			continue
		case u.fresh:
		case !holder.model && slices.Contains(p.d.Disabled, holder.Name):
			by = fmt.Sprintf(" by service %s, whose profile is not active%s", holder.Name, p.remedy(RemoveService, holder.Name))
		case !holder.model:
			by = " by one that is not in the compose file" + p.remedy(DropOrphans, "")
		default:
			by = fmt.Sprintf(": services %s and %s both ask for it", other.Name, u.Name)
		}
		p.fail(errdefs.ErrConflict, "cannot create %[1]s: the container name %[1]q is already in use%[2]s", s.name, by)
	}
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
