// Package enginetest has an engine in memory, for tests of what drives an engine, and one suite of behaviours that it and
// every real engine share.
package enginetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
	"podc.example/podc/netstack"
	"podc.example/podc/volumes"
)

// Fake is an engine in memory. It "runs" two programs: a container whose command is {"true"} or {"false"} ends at once with
// code 0 or 1, every other runs until it is stopped. A health check succeeds at the first probe, unless its test is
// {"CMD", "false"}. The zero value is ready for use.
type Fake struct {
	// Fail, if set before use, is asked before each call that changes or awaits something, named as in Log; its error is the
	// call's result, and nothing happens.
	Fail func(call string) error

	mu       sync.Mutex // protects what follows
	pods     map[string]*engine.Pod
	networks map[string]netstack.Network
	volumes  map[string]volumes.Volume
	busy     map[netstack.Port]string // ports held outside of the engine, by owner
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
func (f *Fake) Put(p engine.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init()
	f.pods[p.Spec.Name] = &p
	f.change()
}

// Edit changes a pod, as if that had happened to it.
func (f *Fake) Edit(name string, fn func(*engine.Pod)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn(f.pods[name])
	f.change()
}

// Occupy makes the host port of p taken by owner, who is no pod.
func (f *Fake) Occupy(p netstack.Port, owner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init()
	f.busy[p] = owner
}

func (f *Fake) init() {
	if f.pods == nil {
		f.pods = map[string]*engine.Pod{}
		f.networks = map[string]netstack.Network{}
		f.volumes = map[string]volumes.Volume{}
		f.busy = map[netstack.Port]string{}
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

func (f *Fake) pod(name string) (*engine.Pod, error) {
	p, ok := f.pods[name]
	if !ok {
		return nil, fmt.Errorf("pod %q does not exist: %w", name, errdefs.ErrNotFound)
	}
	return p, nil
}

// Snapshot implements project.Engine.
func (f *Fake) Snapshot(_ context.Context, group string) (engine.Snapshot, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := engine.Snapshot{Networks: maps.Clone(f.networks), Volumes: maps.Clone(f.volumes)}
	for _, name := range slices.Sorted(maps.Keys(f.pods)) {
		if p := f.pods[name]; group == "" || p.Spec.Group == group {
			s.Pods = append(s.Pods, *p)
		}
	}
	return s, nil
}

// CreateNetwork implements project.Engine.
func (f *Fake) CreateNetwork(ctx context.Context, n netstack.Network) error {
	return f.do(ctx, "create network "+n.Name, func() error {
		if _, ok := f.networks[n.Name]; ok {
			return fmt.Errorf("network %q exists: %w", n.Name, errdefs.ErrAlreadyExists)
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
					return fmt.Errorf("network %q is in use by %s: %w", name, p.Spec.Name, errdefs.ErrFailedPrecondition)
				}
			}
		}
		delete(f.networks, name)
		return nil
	})
}

// CreateVolume implements project.Engine.
func (f *Fake) CreateVolume(ctx context.Context, v volumes.Volume) error {
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
					return fmt.Errorf("volume %q is in use by %s: %w", name, p.Spec.Name, errdefs.ErrFailedPrecondition)
				}
			}
		}
		delete(f.volumes, name)
		return nil
	})
}

// CreatePod implements project.Engine.
func (f *Fake) CreatePod(ctx context.Context, spec engine.PodSpec, img engine.Image) error {
	return f.do(ctx, "create pod "+spec.Name, func() error {
		if _, ok := f.pods[spec.Name]; ok {
			return fmt.Errorf("cannot create %q: a pod of that name exists: %w", spec.Name, errdefs.ErrAlreadyExists)
		}
		if len(img.Layers) == 0 {
			return fmt.Errorf("cannot create %q: image %q is not resolved: %w", spec.Name, spec.Container.Image, errdefs.ErrInvalidArgument)
		}
		if spec.Container.Health == nil {
			spec.Container.Health = img.Config.Health
		}
		f.made++
		f.pods[spec.Name] = &engine.Pod{Spec: spec, ID: fmt.Sprintf("%064x", f.made), Status: engine.StatusCreated, Volumes: f.mount(spec)}
		return nil
	})
}

// mount makes the volumes of a spec that are missing.
func (f *Fake) mount(spec engine.PodSpec) map[string]string {
	have := map[string]string{}
	for _, m := range spec.Container.Mounts {
		if m.Type != engine.MountVolume {
			continue
		}
		name := m.Source
		if name == "" {
			f.made++
			name = fmt.Sprintf("%064x", f.made)
		}
		if _, ok := f.volumes[name]; !ok {
			f.volumes[name] = volumes.Volume{Name: name, Labels: m.Labels, Anonymous: m.Source == ""}
		}
		have[m.Target] = name
	}
	return have
}

// StartPod implements project.Engine.
func (f *Fake) StartPod(ctx context.Context, name string) error {
	return f.do(ctx, "start pod "+name, func() error {
		p, err := f.pod(name)
		if err != nil || p.Status == engine.StatusRunning {
			return err
		}
		if of, ok := f.pods[p.Spec.Network.Pod]; p.Spec.Network.Pod != "" && (!ok || of.Status != engine.StatusRunning) {
			return fmt.Errorf("cannot start %q: %q, whose network it shares, does not run: %w", name, p.Spec.Network.Pod, errdefs.ErrFailedPrecondition)
		}
		for _, e := range p.Spec.Network.Endpoints {
			if _, ok := f.networks[e.Network]; !ok {
				return fmt.Errorf("cannot start %q: network %q does not exist: %w", name, e.Network, errdefs.ErrNotFound)
			}
		}
		f.launch(p)
		return nil
	})
}

func (f *Fake) launch(p *engine.Pod) {
	switch strings.Join(p.Spec.Container.Command, " ") {
	case "true":
		p.Status, p.ExitCode, p.ExitKnown = engine.StatusExited, 0, true
		return
	case "false":
		p.Status, p.ExitCode, p.ExitKnown = engine.StatusExited, 1, true
		return
	}
	p.Status, p.Started, p.Ports, p.Interfaces = engine.StatusRunning, time.Now(), p.Spec.Network.Ports, nil
	for i, e := range p.Spec.Network.Endpoints {
		p.Interfaces = append(p.Interfaces, netstack.Interface{Network: e.Network, Name: fmt.Sprint("eth", i)})
	}
	switch h := p.Spec.Container.Health; {
	case h == nil || len(h.Test) == 0 || h.Test[0] == "NONE":
	case h.Test[len(h.Test)-1] == "false":
		p.Health = engine.HealthUnhealthy
	default:
		p.Health = engine.HealthHealthy
	}
}

func end(p *engine.Pod, code int) {
	if p.Status == engine.StatusRunning || p.Status == engine.StatusRestarting {
		p.Status, p.ExitCode, p.ExitKnown = engine.StatusExited, code, true
	}
	p.Health, p.Interfaces, p.Ports = engine.HealthNone, nil, nil
}

// StopPod implements project.Engine.
func (f *Fake) StopPod(ctx context.Context, name string, _ *time.Duration) error {
	return f.do(ctx, "stop pod "+name, func() error {
		p, err := f.pod(name)
		if err == nil {
			end(p, 143)
		}
		return err
	})
}

// KillPod implements project.Engine. Every signal ends the container.
func (f *Fake) KillPod(ctx context.Context, name, _ string) error {
	return f.do(ctx, "kill pod "+name, func() error {
		p, err := f.pod(name)
		if err != nil {
			return err
		}
		if p.Status != engine.StatusRunning {
			return fmt.Errorf("cannot kill %q: it is not running: %w", name, errdefs.ErrFailedPrecondition)
		}
		end(p, 137)
		return nil
	})
}

// RemovePod implements project.Engine.
func (f *Fake) RemovePod(ctx context.Context, name string, opt engine.RemoveOptions) error {
	return f.do(ctx, "remove pod "+name, func() error {
		p, ok := f.pods[name]
		if !ok {
			return nil
		}
		if p.Status == engine.StatusRunning && !opt.Force {
			return fmt.Errorf("cannot remove %q: it is running; stop it first: %w", name, errdefs.ErrFailedPrecondition)
		}
		delete(f.pods, name)
		for _, v := range p.Volumes {
			if opt.Volumes && f.volumes[v].Anonymous {
				delete(f.volumes, v)
			}
		}
		return nil
	})
}

// WaitPod implements project.Engine.
func (f *Fake) WaitPod(ctx context.Context, name string, until engine.Condition) error {
	if err := f.note(ctx, fmt.Sprintf("wait pod %s %s", name, until)); err != nil {
		return err
	}
	for {
		done, changed, err := f.look(name, until)
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (f *Fake) look(name string, until engine.Condition) (bool, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.pod(name)
	if err != nil {
		return false, nil, err
	}
	done, never := meets(p, until)
	if never != "" {
		return false, nil, &engine.WaitError{Pod: *p, Until: until, Reason: never}
	}
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return done, f.changed, nil
}

func meets(p *engine.Pod, until engine.Condition) (met bool, never string) {
	up := p.Status == engine.StatusRunning
	ended := p.Status == engine.StatusExited
	well := ended && p.ExitKnown && p.ExitCode == 0
	switch until {
	case engine.Stopped:
		return ended, ""
	case engine.Healthy:
		if p.Spec.Container.Health == nil {
			return false, "has no health check to become healthy by"
		}
		met = up && p.Health == engine.HealthHealthy
	case engine.Ready:
		met = well || up && (p.Health == engine.HealthNone || p.Health == engine.HealthHealthy)
	case engine.Completed:
		met = well
	default:
		met = up || well
	}
	switch {
	case met:
		return true, ""
	case ended:
		return false, fmt.Sprintf("exited with code %d", p.ExitCode)
	case up && p.Health == engine.HealthUnhealthy && until != engine.Completed:
		return false, "is unhealthy"
	}
	return false, ""
}

// CheckPorts implements project.Engine.
func (f *Fake) CheckPorts(_ context.Context, claims []netstack.PortClaim) error {
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
				return fmt.Errorf("port %d/%s wanted by %s is held by %s: %w", port.HostPort, port.Protocol, c.Owner, owner, errdefs.ErrConflict)
			}
		}
	}
	return nil
}
