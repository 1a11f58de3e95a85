package engine

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// What pods share: networks, volumes, host ports. The engine adds to netstack and volumes only what they cannot know, namely
// which pods use what.

// shared is what pods share.
type shared struct{ e *Engine }

// CreateNetwork makes a network; errdefs.IsAlreadyExists if the name is taken.
func (s *shared) CreateNetwork(ctx context.Context, n api.Network) error {
	_, err := s.e.net.CreateNetwork(ctx, n)
	return err
}

// CheckNetworks fails with everything for which networks could not be created once those of the names given are gone. It makes
// nothing.
func (s *shared) CheckNetworks(want []api.Network, leaving []string) error {
	return s.e.net.CheckNetworks(want, leaving)
}

// KeepAddresses has owner keep addrs of a network, and none else, from whoever asks for no address there. Idempotent.
func (s *shared) KeepAddresses(ctx context.Context, network, owner string, addrs []netip.Addr) error {
	return s.e.net.KeepAddresses(ctx, network, owner, addrs)
}

// CheckAddresses fails with every static address that cannot be had, once the pods of leaving have stopped and those of gone are
// removed.
func (s *shared) CheckAddresses(want []api.AddressClaim, leaving, gone []string) error {
	return s.e.net.CheckAddresses(want, leaving, gone)
}

// keepAddresses has the pod keep its static addresses, or let go of them.
func (p podNetwork) keepAddresses(ctx context.Context, keep bool) error {
	var errs []error
	for _, ep := range p.Spec.Network.Endpoints {
		if addrs := ep.Static(); len(addrs) > 0 {
			if !keep {
				addrs = nil
			}
			errs = append(errs, p.e.net.KeepAddresses(ctx, ep.Network, p.Spec.Name, addrs))
		}
	}
	return errors.Join(errs...)
}

// RemoveNetwork removes a network that no pod is attached to. Idempotent.
func (s *shared) RemoveNetwork(ctx context.Context, name string) error {
	return s.e.net.RemoveNetwork(ctx, name)
}

// CreateVolume makes a volume unless there is one of that name.
func (s *shared) CreateVolume(ctx context.Context, v api.Volume) error {
	_, err := s.e.volumes.Create(ctx, v)
	return err
}

// RemoveVolume deletes a volume and its data, unless a pod uses it (errdefs.IsFailedPrecondition). Idempotent.
func (s *shared) RemoveVolume(ctx context.Context, name string) error {
	users, err := s.e.usersOf(name, "")
	if err != nil {
		return err
	}
	if len(users) > 0 {
		return fault.New(errdefs.ErrFailedPrecondition, "cannot remove volume %q: it is used by %s (remove them first)", name, strings.Join(users, ", "))
	}
	return s.e.volumes.Remove(ctx, name)
}

// usersOf lists the pods that mount a volume, but for one.
func (s *store) usersOf(volume, but string) ([]string, error) {
	pods, err := s.readAll()
	var users []string
	for _, p := range pods {
		if p.Spec.Name != but && slices.Contains(slices.Collect(maps.Values(p.Volumes)), volume) {
			users = append(users, p.Spec.Name)
		}
	}
	return users, err
}

// CheckPorts fails with every claim that cannot be met, naming who holds the port. It reserves nothing.
func (s *shared) CheckPorts(ctx context.Context, claims []api.PortClaim) error {
	return s.e.net.CheckPorts(ctx, claims, nil)
}

// TryPorts fails with every fixed port of a pod at rest that somebody else has by now: the pod could not be started.
func (s *shared) TryPorts(ctx context.Context) error {
	pods, err := s.e.Pods("")
	if err != nil {
		return err
	}
	var claims []api.PortClaim
	for _, p := range pods {
		for _, port := range p.Spec.Network.Ports {
			if p.Status != api.StatusRunning && p.Status != api.StatusRestarting && port.HostPort != 0 && port.HostEnd == 0 {
				claims = append(claims, api.PortClaim{Owner: p.Spec.Name, Port: port})
			}
		}
	}
	return s.CheckPorts(ctx, claims)
}
