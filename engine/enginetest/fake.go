// Package enginetest has an engine in memory, for tests of what drives an engine, and one suite of behaviours that it and
// every real engine share.
package enginetest

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Fake is an engine in memory. It "runs" two programs: a container whose command is {"true"} or {"false"} ends at once with
// code 0 or 1, every other runs until it is stopped. A health check succeeds at the first probe, unless its test is
// {"CMD", "false"}. The zero value is ready for use.
type Fake struct {
	Possible
	// Fail, if set before use, is asked before each call that changes or awaits something, named as in Log; its error is the
	// call's result, and nothing happens.
	Fail func(call string) error

	mu       sync.Mutex // protects what follows
	pods     map[string]*api.Pod
	networks map[string]api.Network
	volumes  map[string]api.Volume
	busy     map[api.Port]string // ports held outside of the engine, by owner
	log      []string
	made     int
	changed  chan struct{} // closed at the next change; nil while nobody waits
}

// Log returns the calls made so far that change or await something: "start pod web", in order.
func (f *Fake) Log() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.log)
}

// Put places a pod, as if it had been made and had come so far on its own.
func (f *Fake) Put(p api.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init()
	f.pods[p.Spec.Name] = &p
	f.change()
}

// Edit changes a pod, as if that had happened to it.
func (f *Fake) Edit(name string, fn func(*api.Pod)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f.pods[name])
	f.change()
}

// Occupy makes the host port of p taken by owner, who is no pod.
func (f *Fake) Occupy(p api.Port, owner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init()
	f.busy[p] = owner
}

func (f *Fake) init() {
	if f.pods == nil {
		f.pods = map[string]*api.Pod{}
		f.networks = map[string]api.Network{}
		f.volumes = map[string]api.Volume{}
		f.busy = map[api.Port]string{}
	}
}

func (f *Fake) change() {
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// do logs a call and applies it under the lock.
func (f *Fake) do(ctx context.Context, call string, apply func() error) error {
	if err := f.note(ctx, call); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.change()
	return apply()
}

func (f *Fake) note(ctx context.Context, call string) error {
	f.mu.Lock()
	f.init()
	f.log = append(f.log, call)
	f.mu.Unlock()
	if f.Fail != nil {
		if err := f.Fail(call); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (f *Fake) pod(name string) (*api.Pod, error) {
	p, ok := f.pods[name]
	if !ok {
		return nil, fault.New(errdefs.ErrNotFound, "container %q does not exist", name)
	}
	return p, nil
}

// Snapshot implements project.Engine.
func (f *Fake) Snapshot(_ context.Context, group string) (api.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := api.Snapshot{Networks: maps.Clone(f.networks), Volumes: maps.Clone(f.volumes)}
	for _, name := range slices.Sorted(maps.Keys(f.pods)) {
		if p := f.pods[name]; group == "" || p.Spec.Group == group {
			s.Pods = append(s.Pods, *p)
		}
	}
	return s, nil
}

// CreateNetwork implements project.Engine.
func (f *Fake) CreateNetwork(ctx context.Context, n api.Network) error {
	return f.do(ctx, "create network "+n.Name, func() error {
		if _, ok := f.networks[n.Name]; ok {
			return fault.New(errdefs.ErrAlreadyExists, "network %q exists", n.Name)
		}
		f.networks[n.Name] = n
		return nil
	})
}

// RemoveNetwork implements project.Engine.
func (f *Fake) RemoveNetwork(ctx context.Context, name string) error {
	return f.do(ctx, "remove network "+name, func() error {
		for _, p := range f.pods {
			for _, i := range p.Interfaces {
				if i.Network == name {
					return fault.New(errdefs.ErrFailedPrecondition, "network %q is in use by %s", name, p.Spec.Name)
				}
			}
		}
		delete(f.networks, name)
		return nil
	})
}

// CreateVolume implements project.Engine.
func (f *Fake) CreateVolume(ctx context.Context, v api.Volume) error {
	return f.do(ctx, "create volume "+v.Name, func() error {
		if _, ok := f.volumes[v.Name]; !ok {
			f.volumes[v.Name] = v
		}
		return nil
	})
}

// RemoveVolume implements project.Engine.
func (f *Fake) RemoveVolume(ctx context.Context, name string) error {
	return f.do(ctx, "remove volume "+name, func() error {
		for _, p := range f.pods {
			for _, v := range p.Volumes {
				if v == name {
					return fault.New(errdefs.ErrFailedPrecondition, "volume %q is in use by %s", name, p.Spec.Name)
				}
			}
		}
		delete(f.volumes, name)
		return nil
	})
}

// Supervise implements project.Engine: nothing in memory needs watching.
func (f *Fake) Supervise(context.Context, string) error { return nil }

// Tidy implements project.Engine: nothing dies half-way in memory.
func (f *Fake) Tidy(context.Context, string) error { return nil }

// KeepAddresses implements project.Engine.
func (f *Fake) KeepAddresses(ctx context.Context, network, owner string, addrs []netip.Addr) error {
	return f.do(ctx, "keep addresses of "+network, func() error {
		n := f.networks[network]
		n.Kept = maps.Clone(n.Kept)
		if n.Kept == nil {
			n.Kept = map[string][]netip.Addr{}
		}
		n.Kept[owner] = addrs
		f.networks[network] = n
		return nil
	})
}

// CheckPorts implements project.Engine.
func (f *Fake) CheckPorts(_ context.Context, claims []api.PortClaim) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	held := maps.Clone(f.busy)
	for name, p := range f.pods {
		for _, port := range p.Ports {
			held[port] = name
		}
	}
	for _, c := range claims {
		for port, owner := range held {
			if owner != c.Owner && port.HostPort == c.Port.HostPort && port.Protocol == c.Port.Protocol {
				return fault.New(errdefs.ErrConflict, "port %d/%s wanted by %s is held by %s", port.HostPort, port.Protocol, c.Owner, owner)
			}
		}
	}
	return nil
}
