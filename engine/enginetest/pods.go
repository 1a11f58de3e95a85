package enginetest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// CreatePod implements project.Engine.
func (f *Fake) CreatePod(ctx context.Context, spec api.PodSpec, img api.Image) error {
	return f.do(ctx, "create pod "+spec.Name, func() error {
		if _, ok := f.pods[spec.Name]; ok {
			return fault.New(errdefs.ErrAlreadyExists, "cannot create %[1]q: the container name %[1]q is already in use", spec.Name)
		}
		if len(img.Layers) == 0 {
			return fault.New(errdefs.ErrInvalidArgument, "cannot create %q: image %q is not resolved", spec.Name, spec.Container.Image)
		}
		if spec.Container.Health == nil {
			spec.Container.Health = img.Config.Health
		}
		f.made++
		f.pods[spec.Name] = &api.Pod{Spec: spec, ID: fmt.Sprintf("%064x", f.made), Status: api.StatusCreated, Volumes: f.mount(spec)}
		return nil
	})
}

// mount makes the volumes of a spec that are missing.
func (f *Fake) mount(spec api.PodSpec) map[string]string {
	have := map[string]string{}
	for _, m := range spec.Container.Mounts {
		if m.Type != api.MountVolume {
			continue
		}
		name := m.Source
		if name == "" {
			f.made++
			name = fmt.Sprintf("%064x", f.made)
		}
		if _, ok := f.volumes[name]; !ok {
			f.volumes[name] = api.Volume{Name: name, Labels: m.Labels, Anonymous: m.Source == ""}
		}
		have[m.Target] = name
	}
	return have
}

// RestoreFiles implements project.Engine.
func (f *Fake) RestoreFiles(ctx context.Context, name string, _ map[string][]byte) error {
	return f.do(ctx, "restore files of "+name, func() error {
		p, err := f.pod(name)
		if err == nil {
			p.FilesLost = false
		}
		return err
	})
}

// StartPod implements project.Engine.
func (f *Fake) StartPod(ctx context.Context, name string) error {
	return f.do(ctx, "start pod "+name, func() error {
		p, err := f.pod(name)
		if err != nil || p.Status.Live() {
			return err
		}
		if of, ok := f.pods[p.Spec.Network.Pod]; p.Spec.Network.Pod != "" && (!ok || !of.Status.Live()) {
			return fault.New(errdefs.ErrFailedPrecondition, "cannot start %q: %q, whose network it shares, does not run", name, p.Spec.Network.Pod)
		}
		for _, e := range p.Spec.Network.Endpoints {
			if _, ok := f.networks[e.Network]; !ok {
				return fault.New(errdefs.ErrNotFound, "cannot start %q: network %q does not exist", name, e.Network)
			}
		}
		f.launch(p)
		return nil
	})
}

func (f *Fake) launch(p *api.Pod) {
	switch strings.Join(p.Spec.Container.Command, " ") {
	case "true":
		p.Status, p.ExitCode, p.ExitKnown = api.StatusExited, 0, true
		return
	case "false":
		p.Status, p.ExitCode, p.ExitKnown = api.StatusExited, 1, true
		return
	}
	p.Returns = false
	p.Status, p.Started, p.Ports, p.Interfaces = api.StatusRunning, time.Now(), p.Spec.Network.Ports, nil
	for i, e := range p.Spec.Network.Endpoints {
		p.Interfaces = append(p.Interfaces, api.Interface{Network: e.Network, Name: fmt.Sprint("eth", i)})
	}
	switch h := p.Spec.Container.Health; {
	case h == nil || len(h.Test) == 0 || h.Test[0] == "NONE":
	case h.Test[len(h.Test)-1] == "false":
		p.Health = api.HealthUnhealthy
	default:
		p.Health = api.HealthHealthy
	}
}

func end(p *api.Pod, code int) {
	if p.Status.Up() {
		p.Status, p.ExitCode, p.ExitKnown = api.StatusExited, code, true
	}
	p.Health, p.Interfaces, p.Ports = api.HealthNone, nil, nil
}

// ConnectPod implements project.Engine.
func (f *Fake) ConnectPod(ctx context.Context, name string, e api.Endpoint, prefer []netip.Addr) error {
	return f.do(ctx, "connect pod "+name+" to "+e.Network, func() error {
		p, err := f.pod(name)
		if err != nil {
			return err
		}
		if _, ok := f.networks[e.Network]; !ok {
			return fault.New(errdefs.ErrNotFound, "cannot connect %q: network %q does not exist", name, e.Network)
		}
		on := func(o api.Endpoint) bool { return o.Network == e.Network }
		if !slices.ContainsFunc(p.Spec.Network.Endpoints, on) {
			p.Spec.Network.Endpoints = append(slices.Clone(p.Spec.Network.Endpoints), e)
		}
		attached := func(i api.Interface) bool { return i.Network == e.Network }
		if !p.Status.Live() || slices.ContainsFunc(p.Interfaces, attached) {
			return nil
		}
		i := api.Interface{Network: e.Network, Name: fmt.Sprint("eth", len(p.Interfaces))}
		if len(prefer) > 0 {
			i.IPv4 = netip.PrefixFrom(prefer[0], prefer[0].BitLen())
		}
		p.Interfaces = append(p.Interfaces, i)
		return nil
	})
}

// DisconnectPod implements project.Engine.
func (f *Fake) DisconnectPod(ctx context.Context, name, network string) error {
	return f.do(ctx, "disconnect pod "+name+" from "+network, func() error {
		p, err := f.pod(name)
		if err == nil {
			p.Interfaces = slices.DeleteFunc(p.Interfaces, func(i api.Interface) bool { return i.Network == network })
		}
		return err
	})
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

// HaltPod implements project.Engine.
func (f *Fake) HaltPod(ctx context.Context, name string, timeout *time.Duration) error {
	return f.StopPod(ctx, name, timeout)
}

// ShutDownPod implements project.Engine.
func (f *Fake) ShutDownPod(ctx context.Context, name string) error { return f.StopPod(ctx, name, nil) }

// KillPod implements project.Engine. Every signal ends the container.
func (f *Fake) KillPod(ctx context.Context, name, _ string) error {
	return f.do(ctx, "kill pod "+name, func() error {
		p, err := f.pod(name)
		if err != nil {
			return err
		}
		if !p.Status.Live() {
			return fault.New(errdefs.ErrFailedPrecondition, "cannot kill %q: it is not running", name)
		}
		end(p, 137)
		return nil
	})
}

// PausePod implements project.Engine.
func (f *Fake) PausePod(ctx context.Context, name string) error {
	return f.turn(ctx, "pause", name, api.StatusRunning, api.StatusPaused)
}

// UnpausePod implements project.Engine.
func (f *Fake) UnpausePod(ctx context.Context, name string) error {
	return f.turn(ctx, "unpause", name, api.StatusPaused, api.StatusRunning)
}

func (f *Fake) turn(ctx context.Context, verb, name string, from, to api.Status) error {
	return f.do(ctx, verb+" pod "+name, func() error {
		p, err := f.pod(name)
		if err != nil {
			return err
		}
		if p.Status != from {
			return fault.New(errdefs.ErrConflict, "cannot %s %q: it is %s", verb, name, p.Status)
		}
		p.Status = to
		return nil
	})
}

// RemovePod implements project.Engine.
func (f *Fake) RemovePod(ctx context.Context, name string, opt api.RemoveOptions) error {
	return f.do(ctx, "remove pod "+name, func() error {
		p, ok := f.pods[name]
		if !ok {
			return nil
		}
		if p.Status.Live() && !opt.Force {
			return fault.New(errdefs.ErrFailedPrecondition, "cannot remove %q: it is running; stop it first", name)
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
func (f *Fake) WaitPod(ctx context.Context, name string, until api.Condition) error {
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

func (f *Fake) look(name string, until api.Condition) (bool, <-chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.pod(name)
	if err != nil {
		return false, nil, err
	}
	done, never := meets(p, until)
	if never != "" {
		return false, nil, &api.WaitError{Pod: *p, Until: until, Reason: never}
	}
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return done, f.changed, nil
}

func meets(p *api.Pod, until api.Condition) (met bool, never string) {
	up := p.Status.Live()
	ended := p.Status == api.StatusExited
	well := ended && p.ExitKnown && p.ExitCode == 0
	switch until {
	case api.Running:
		return up, ""
	case api.Stopped:
		return ended, ""
	case api.Healthy:
		if p.Spec.Container.Health == nil {
			return false, "has no health check to become healthy by"
		}
		met = up && p.Health == api.HealthHealthy
	case api.Ready:
		met = well || up && (p.Health == api.HealthNone || p.Health == api.HealthHealthy)
	case api.Completed:
		met = well
	default:
		met = up || well
	}
	switch {
	case met:
		return true, ""
	case ended:
		return false, fmt.Sprintf("exited (%d)", p.ExitCode)
	case up && p.Health == api.HealthUnhealthy && until != api.Completed:
		return false, "is unhealthy"
	}
	return false, ""
}
