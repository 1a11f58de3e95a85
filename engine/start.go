package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack"
)

// StartPod starts a pod: namespaces, network, names, conmon, the container. It returns when the container's process runs.
// A pod that runs already is left as it is, but for post_start hooks that have not succeeded.
func (e *Engine) StartPod(ctx context.Context, name string) error { return e.startPod(ctx, name, nil) }

// startPod calls created, unless it is nil, once the container exists and before its process runs.
func (e *Engine) startPod(ctx context.Context, name string, created func() error) error {
	err := e.update(ctx, name, func(p *pod) error {
		if p.ending {
			if err := e.awaitNoted(ctx, name, p.state.Conmon); err != nil {
				return err
			}
			p.refresh()
		}
		switch p.state.Status {
		case api.StatusRunning:
			if p.run().paused() {
				return errPaused
			}
			return nil
		case api.StatusCreating, api.StatusRemoving:
			return fault.New(errdefs.ErrFailedPrecondition, "it is half made; remove it and create it anew")
		case api.StatusDead:
			return fault.New(errdefs.ErrFailedPrecondition, "it can only be removed and created anew: %s", p.state.Error)
		}
		if err := e.Shutdown().allowStart(); err != nil {
			return err
		}
		p.state.Restarts, p.state.Backoff, p.state.NextStart, p.state.Login = 0, 0, time.Time{}, kernel.OwnLogin()
		if err := p.start(ctx, created); err != nil {
			return errors.Join(err, p.giveUp(ctx))
		}
		p.state.HooksDue = len(p.Spec.Container.PostStart) > 0
		p.note("start", nil)
		return nil
	})
	if err == nil {
		err = e.hooks().postStart(ctx, name)
	}
	return podError("start", name, err)
}

// RestartPod starts a pod again by its restart policy, if it still waits for that. The monitor calls it.
func (s Supervisor) RestartPod(ctx context.Context, name string) error {
	err := s.e.update(ctx, name, func(p *pod) error {
		if p.state.Status != api.StatusRestarting {
			return nil
		}
		if s.e.Ending() {
			return p.giveUp(ctx)
		}
		err := p.start(ctx, nil)
		p.state.Restarts++ // one that was cut short by the death of this process is tried again, and does not count
		switch {
		case err == nil:
			p.note("start", nil)
			return nil
		case p.policy().wantsRestart():
			p.policy().scheduleRestart()
			return errors.Join(err, p.settle(context.WithoutCancel(ctx)))
		}
		return errors.Join(err, p.giveUp(ctx))
	})
	return podError("restart", name, err)
}

// giveUp clears away what a failed start has left, even if the caller has gone.
func (p *pod) giveUp(ctx context.Context) error {
	if p.state.Status == api.StatusRestarting {
		p.state.Status = api.StatusExited
	}
	return p.settle(context.WithoutCancel(ctx))
}

// start needs the pod's lock. A pod that restarts keeps that status until it runs, so that the restart outlives the death of
// the process that does it. On failure the state says why, and the caller decides what follows.
func (p *pod) start(ctx context.Context, created func() error) error {
	// Leftovers of an earlier run, or of a start whose process died, would get in the way.
	if err := p.settle(ctx); err != nil {
		return err
	}
	active, err := p.e.paths.cgroups().Use(ctx)
	if err != nil {
		return err
	}
	defer active.Unlock()
	p.state.Settled, p.state.Stopping, p.state.Shutdown, p.state.Halting, p.state.Error = false, false, false, false, ""
	p.state.HooksDue, p.state.RunLost = false, false
	p.state.Health, p.state.Failing, p.state.Probes = api.HealthNone, 0, nil
	p.state.Started = time.Time{}    // of the run before; a start that fails has no run to judge
	if err := p.save(); err != nil { // intent before effect
		return err
	}
	err = p.launch(ctx, created)
	if err != nil {
		err = p.e.paths.blameFullDisk(err)
		p.state.Error = err.Error()
	}
	return err
}

// blameFullDisk adds to an error that a disk is full, which not every program that fails for that reason says.
func (p paths) blameFullDisk(err error) error {
	if disk.IsFull(err) {
		return err
	}
	for _, dir := range []string{p.run, p.data} {
		if disk.Full(dir) {
			return fmt.Errorf("%w (no space left on device of %s)", err, dir)
		}
	}
	return err
}

func (p *pod) launch(ctx context.Context, created func() error) error {
	e, spec := p.e, p.Spec.Container
	e.paths.host().StartSlice(ctx)
	if err := e.Monitors().Ensure(ctx, p.Spec.Group); err != nil {
		return err
	}
	if err := p.files().mount(); err != nil {
		return err
	}
	if err := p.files().makeVolumes(ctx, true); err != nil {
		return err
	}
	if err := p.files().mountVolumes(ctx); err != nil {
		return err
	}
	hostname, err := p.network().hostname()
	if err != nil {
		return err
	}
	if err := p.network().enter(ctx, hostname); err != nil {
		return err
	}
	c, mounts, err := p.run().configure(ctx, hostname)
	if err != nil {
		return err
	}
	if spec.CgroupParent != "" {
		if err := e.paths.cgroups().MakeParents(p.run().cgroup()); err != nil {
			return err
		}
	}
	if err := p.run().renewLog(); err != nil { // conmon would wait for the reader of a FIFO
		return err
	}
	if err := p.run().create(ctx, c, mounts); err != nil {
		return err
	}
	if created != nil {
		if err := created(); err != nil {
			return err
		}
	}
	started := time.Now() // before the fact: a container may end before its start is reported
	if err := e.runner.Call(ctx, c.Runtime, c.ID, "start"); err != nil {
		return err
	}
	p.state.Started = started
	if err := p.recordStart(); err != nil {
		return err
	}
	p.state.Status = api.StatusRunning
	if p.healthCheck() != nil {
		p.state.Health = api.HealthStarting
	}
	return nil
}

// create has conmon create the container, and sees that what it was to get is in its place.
func (p podRun) create(ctx context.Context, c conmon.Container, mounts []specs.Mount) (err error) {
	os.Remove(p.e.paths.exit(p.ID))
	if c.Ports, err = netstack.Reserve(p.state.Ports); err != nil {
		return err
	}
	defer conmon.CloseAll(c.Ports)
	if p.state.Init, p.state.Conmon, err = p.e.runner.Create(ctx, c); err != nil {
		return err
	}
	if err := rootfs.CheckPlaces(p.state.Init.Pid, mounts); err != nil {
		return err
	}
	return p.files().checkDevices(p.state.Init.Pid)
}

// recordStart puts on record in DATA that the pod has run: after a reboot it counts as exited, not as created.
func (p *pod) recordStart() error {
	now := lastRun{Boot: kernel.BootID(), Started: p.state.Started, ExitCode: 255}
	return p.writeLast(now, p.policy().durability(p.last, now))
}

// hostname is what the pod calls itself. In a network that is not its own, by default, it is the name that is known there: a
// program that looks itself up finds it.
func (p podNetwork) hostname() (string, error) {
	switch {
	case p.Spec.UTS.Mode == api.NamespaceHost:
		return os.Hostname()
	case p.Spec.UTS.Mode == api.NamespacePod:
		return p.e.hostnameOf(p.Spec.UTS.Pod)
	case p.Spec.Hostname != "":
		return p.Spec.Hostname, nil
	case p.Spec.Network.Mode == api.NetworkHost:
		return os.Hostname()
	case p.Spec.Network.Mode == api.NetworkPod:
		return p.e.hostnameOf(p.Spec.Network.Pod)
	}
	return p.ID[:12], nil
}

func (s *store) hostnameOf(name string) (string, error) {
	p, err := s.read(name)
	if err != nil {
		return "", err
	}
	return cmp.Or(p.Spec.Hostname, p.ID[:12]), nil
}

// enter pins the pod's namespaces and joins its networks; a start after a restart finds both in place.
func (p podNetwork) enter(ctx context.Context, hostname string) error {
	e, name := p.e, p.Spec.Name
	var kinds []string
	for kind, owner := range p.namespaceOwners() {
		switch {
		case owner == name:
			kinds = append(kinds, kind)
		case !kernel.IsNamespace(e.paths.ns(owner, kind)):
			return notLent(kind+" namespace", owner)
		}
		if owner != name {
			if err := p.beSharerOf(owner); err != nil {
				return err
			}
		}
	}
	path := func(kind string) string { return e.paths.ns(name, kind) }
	if err := kernel.PinNamespaces(path, kinds, hostname, p.Spec.Domainname); err != nil {
		return err
	}
	if p.Spec.Network.Mode != api.NetworkPrivate {
		return nil
	}
	a, err := e.net.Attach(ctx, p.attachment())
	if err != nil {
		return err
	}
	p.state.Interfaces, p.state.Ports = a.Interfaces, a.Ports
	if len(p.Spec.Network.Endpoints) == 0 {
		return nil
	}
	return e.Monitors().serveNames(ctx, p.Spec.Group, p.ID)
}

// configure collects what the OCI configuration follows from, and writes it.
func (p podRun) configure(ctx context.Context, hostname string) (conmon.Container, []specs.Mount, error) {
	e, name, spec := p.e, p.Spec.Name, p.Spec.Container
	root := e.paths.merged(name)
	c := oci.Container{
		ID: p.ID, Hostname: hostname, Spec: spec, Image: p.Image.Config, Rootfs: root, Host: e.host().Host,
		CgroupPath: p.cgroup(), InitBinary: e.programs.Helper("podc-monitor"),
	}
	run, err := p.conmonRun()
	if err != nil {
		return run, nil, err
	}
	if c.User, err = rootfs.LookupUser(root, api.Effective(spec, p.Image.Config).User, spec.GroupAdd); err != nil {
		return run, nil, err
	}
	if c.Namespaces, err = p.network().namespacePaths(); err != nil {
		return run, nil, err
	}
	c.HostPID = p.Spec.PID.Mode == api.NamespaceHost
	if c.Shm, err = p.files().mountShm(); err != nil {
		return run, nil, err
	}
	if c.Mounts, err = p.files().userMounts(); err != nil {
		return run, nil, err
	}
	if c.Etc, err = p.network().writeEtc(hostname); err != nil {
		return run, nil, err
	}
	if c.Files, err = rootfs.OwnFiles(e.paths.files(name), root, spec.Files); err != nil {
		return run, nil, err
	}
	if c.Spec.Devices, c.Devices, err = p.files().devices(); err != nil {
		return run, nil, err
	}
	if c.BlockIO, err = host.BlockIO(spec.Resources.BlockIO, c.Host); err != nil {
		return run, nil, err
	}
	if c.Seccomp, err = host.SeccompProfile(spec.SecurityOpt); err != nil {
		return run, nil, err
	}
	s, err := c.Generate()
	if err != nil {
		return run, nil, err
	}
	if err := rootfs.ResolveTargets(root, s.Mounts); err != nil {
		return run, nil, err
	}
	if s.Process.Cwd, err = rootfs.ResolveWorkingDir(root, s.Mounts, s.Process.Cwd); err != nil {
		return run, nil, err
	}
	if s.Process.ApparmorProfile == oci.DefaultProfile {
		if err := e.programs.LoadProfile(ctx); err != nil {
			return run, nil, err
		}
	}
	return run, s.Mounts, disk.WriteJSON(e.paths.config(name), s, disk.Volatile)
}

// conmonRun is what conmon is told of the pod's container.
func (p podRun) conmonRun() (conmon.Container, error) {
	e, name, spec := p.e, p.Spec.Name, p.Spec.Container
	program, err := host.Lookup("conmon")
	if err != nil {
		return conmon.Container{}, err
	}
	runtime, err := e.programs.RuntimePath(spec.Runtime)
	return conmon.Container{
		ID: p.ID, Name: name, Conmon: program, Runtime: runtime, Bundle: e.paths.bundle(name), Dir: e.paths.conmonDir(name), Login: p.state.Login,
		Terminal: spec.TTY, Stdin: spec.StdinOpen, StdinOnce: spec.StdinOnce, Log: e.paths.log(name), LogConfig: spec.Log,
		OnExit: []string{e.programs.Helper("podc-monitor"), "exit", "--root", e.paths.data, "--runroot", e.paths.run, name, p.ID}, Escape: e.paths.cgroups().Escape,
	}, err
}
