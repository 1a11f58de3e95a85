package engine

import (
	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/internal/kernel"
)

// Usage reads what a running pod uses. errdefs.IsFailedPrecondition if it does not run.
func (s *store) Usage(name string) (api.Usage, error) {
	p, err := s.read(name)
	if err != nil {
		return api.Usage{}, err
	}
	if p.state.Status != api.StatusRunning {
		return api.Usage{}, podError("read the usage of", name, notRunning(p))
	}
	u := cgroups.Usage(p.run().cgroup())
	if u.Host, u.CPUs, err = kernel.CPUs(); err != nil {
		return u, err
	}
	if p.Spec.Network.Mode != api.NetworkHost {
		u.Networks = kernel.NetworkUsage(p.state.Init.Pid)
	}
	return u, nil
}
