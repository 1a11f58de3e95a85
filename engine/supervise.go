package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack"
)

// What a group's monitor (package engine/monitor) needs of the engine beside the verbs that everybody uses.

// Supervisor is the engine as a monitor, or conmon's exit handler, needs it.
type Supervisor struct{ e *Engine }

// Duty is what one pod asks of the monitor.
type Duty struct {
	Pod       api.Pod
	NextStart time.Time        // when a restarting pod is due
	Health    *api.HealthCheck // every default filled in; nil: no probe
	// Names says that names are to be answered inside the pod's namespace, as long as it has one.
	Names bool
	// Settled says that nothing of the last run is left to clear away, and no start is under way.
	Settled bool
	// Due says that the run has ended, nobody has put that on record yet, and nobody else was asked to.
	Due bool

	Login kernel.Login // of who asked for the run: its probes have it too

	init, conmon kernel.Process // of the run under way
}

// Idle reports whether the pod needs nobody: it neither runs, nor will restart, nor is being started or cleared away.
func (d Duty) Idle() bool {
	return d.Settled && d.Pod.Status != api.StatusRunning && d.Pod.Status != api.StatusRestarting
}

// Duty reads what one pod asks of its monitor; errdefs.IsNotFound if there is no such pod (yet).
func (s Supervisor) Duty(name string) (Duty, error) {
	p, err := s.e.read(name)
	if err != nil {
		return Duty{}, err
	}
	return p.duty(), nil
}

// Duties reads those of a whole group.
func (s Supervisor) Duties(group string) ([]Duty, error) {
	all, err := s.e.readAll()
	if err != nil {
		return nil, err
	}
	var duties []Duty
	for _, p := range all {
		if p.Spec.Group == group {
			duties = append(duties, p.duty())
		}
	}
	return duties, nil
}

func (p *pod) duty() Duty {
	d := Duty{Pod: p.view(), Settled: p.state.Settled, Health: p.healthCheck(), Login: p.state.Login, init: p.state.Init, conmon: p.state.Conmon}
	d.Pod.Status = p.state.Status // an end that is to be settled first is no restart yet
	if p.state.RunLost {
		d.Health = nil // there is no way into the container
	}
	d.Due = p.unrecorded && !p.state.Stopping
	if p.state.Status == api.StatusRestarting {
		d.NextStart = p.state.NextStart
	}
	d.Names = p.Spec.Network.Mode == api.NetworkPrivate && len(p.Spec.Network.Endpoints) > 0
	return d
}

// Supervise sees to it that the pods of group that run, or are to run again, have a monitor: one that was killed together
// with its guardian is missed by nobody else. It costs one request while all is well.
func (e *Engine) Supervise(ctx context.Context, group string) error {
	if e.Monitors().Ping(ctx, group) == nil {
		return nil
	}
	pods, err := e.Pods(group)
	if err != nil {
		return err
	}
	for _, p := range pods {
		if p.Status.Up() {
			return e.Monitors().renew(ctx, group)
		}
	}
	return nil
}

// PodsRunDir is the folder that has one folder per pod of this boot, in which StateFile is replaced whenever the pod changes.
func (s Supervisor) PodsRunDir() string { return s.e.paths.runPods() }

// StateFile is the name of the file whose replacement tells that a pod has changed.
const StateFile = "state.json"

// AwaitEnd returns nil when the run that d was read from has ended and waits to be settled: conmon has noted the end, or has
// died. An end that somebody asked for is left to who asked, and after that to the exit handler.
func (s Supervisor) AwaitEnd(ctx context.Context, d Duty) error {
	if err := d.init.Wait(ctx); err != nil {
		return err
	}
	if err := s.e.awaitNoted(ctx, d.Pod.Spec.Name, d.conmon); err != nil {
		return err
	}
	if p, err := s.e.read(d.Pod.Spec.Name); err == nil && p.state.Stopping {
		return d.conmon.Wait(ctx)
	}
	return nil
}

// KillMarked kills every process of a running pod's container whose environment holds an entry that begins with marker, and
// what these have started, until none is left or ctx ends. It is how a probe is ended with all its children, those that
// left its session or lost their parent included. The container's first process is never meant.
func (s Supervisor) KillMarked(ctx context.Context, name, marker string) error {
	p, err := s.e.read(name)
	if err != nil {
		return err
	}
	for {
		doomed := marked(p.run().pids(), p.state.Init.Pid, marker)
		if len(doomed) == 0 {
			return nil
		}
		for _, d := range doomed {
			d.Signal(unix.SIGKILL)
		}
		for _, d := range doomed {
			if err := d.Wait(ctx); err != nil {
				return fmt.Errorf("cannot end process %d of %q: %w", d.Pid, name, err)
			}
		}
	}
}

// marked picks the processes that carry the marker, and their descendants.
func marked(pids []int, init int, marker string) []kernel.Process {
	parents := map[int]int{}
	hit := map[int]bool{}
	for _, pid := range pids {
		parents[pid] = parentOf(pid)
		hit[pid] = slices.ContainsFunc(kernel.Environ(pid), func(kv string) bool { return strings.HasPrefix(kv, marker) })
	}
	var found []kernel.Process
	for _, pid := range pids {
		doomed := false
		// Pids are few, and a chain that is longer than they are many is a circle of reused numbers.
		for up, n := pid, 0; up != init && up > 1 && n <= len(pids) && !doomed; up, n = parents[up], n+1 {
			doomed = hit[up]
		}
		if proc := kernel.Find(pid); doomed && proc != (kernel.Process{}) {
			found = append(found, proc)
		}
	}
	return found
}

func parentOf(pid int) int {
	s, _ := kernel.StatOf(pid)
	return s.Parent
}

// pids lists the processes of the container.
func (p podRun) pids() []int {
	return cgroups.PIDs(p.cgroup())
}

// cgroup is that of the pod's container, below each hierarchy's mount.
func (p podRun) cgroup() string { return p.e.paths.cgroups().Of(p.ID, p.Spec.Container.CgroupParent) }

// SplicePorts serves, until ctx ends, those published ports of the run that d was read from to which the kernel cannot lead what
// comes for them (see netstack.Splices). Their sockets are conmon's, so that connections outlast whoever serves them.
func (s Supervisor) SplicePorts(ctx context.Context, d Duty) error {
	places := netstack.Splices(d.Pod.Ports)
	if len(places) == 0 {
		return nil
	}
	holder, err := d.conmon.Open()
	if err != nil {
		return fmt.Errorf("cannot take over published ports: %w", err)
	}
	defer holder.Close()
	files := make([]*os.File, len(places))
	for i, place := range places {
		fd, err := unix.PidfdGetfd(int(holder.Fd()), conmon.FirstPort+place, 0)
		if err != nil {
			conmon.CloseAll(files[:i])
			return fmt.Errorf("cannot take over published ports: %w", err)
		}
		files[i] = os.NewFile(uintptr(fd), "published port")
	}
	errs := make([]error, len(places))
	var serving sync.WaitGroup
	for i, place := range places {
		serving.Go(func() { errs[i] = s.e.net.Splice(ctx, d.Pod.ID, d.Pod.Ports, place, files[i]) })
	}
	serving.Wait()
	return errors.Join(errs...)
}

// keptProbes is how many outcomes a pod remembers, as in docker.
const keptProbes = 5

// RecordProbe notes the outcome of a probe of the run that began at started, and returns the health that follows. Failures
// within the start period, counted from started, do not count, until a first success ends it. A probe of a run that is over
// is dropped (errdefs.IsFailedPrecondition), and so is one that a pause got in the way of (errdefs.IsConflict).
func (s Supervisor) RecordProbe(ctx context.Context, name string, started time.Time, probe api.Probe) (api.Health, error) {
	var health api.Health
	err := s.e.update(ctx, name, func(p *pod) error {
		h := p.healthCheck()
		if h == nil || p.state.Status != api.StatusRunning || !p.state.Started.Equal(started) {
			return errdefs.ErrFailedPrecondition
		}
		if p.state.Paused || probe.Start.Before(p.state.Resumed) {
			return errdefs.ErrConflict
		}
		p.state.Probes = append(p.state.Probes, probe)
		p.state.Probes = p.state.Probes[max(0, len(p.state.Probes)-keptProbes):]
		inStart := p.state.Health == api.HealthStarting && probe.Start.Sub(started) < h.StartPeriod
		was := p.state.Health
		switch {
		case probe.ExitCode == 0:
			p.state.Failing, p.state.Health = 0, api.HealthHealthy
		case !inStart:
			p.state.Failing++
			if p.state.Failing >= h.Retries {
				p.state.Health = api.HealthUnhealthy
			}
		}
		health = p.state.Health
		if health != was {
			p.note("health_status: "+string(health), nil)
		}
		return nil
	})
	return health, err
}

// Refresh brings one pod in line with the kernel and does what is due: an end that nobody noted is noted, and its restart
// policy applied. It returns the pod as it is then. The monitor calls it when something happened to the pod.
func (e *Engine) Refresh(ctx context.Context, name string) (api.Pod, error) {
	var v api.Pod
	err := e.update(ctx, name, func(p *pod) error {
		err := p.retire(ctx)
		v = p.view()
		return err
	})
	return v, err
}

// healthCheck is the probe that applies, with docker's defaults for what nobody says; nil if there is none.
func (p *pod) healthCheck() *api.HealthCheck {
	h := api.EffectiveHealth(p.Spec.Container.Health, p.Image.Config.Health)
	if !h.Probes() {
		return nil
	}
	full := *h
	full.Interval = cmp.Or(max(0, h.Interval), 30*time.Second)
	full.Timeout = cmp.Or(max(0, h.Timeout), 30*time.Second)
	full.StartInterval = cmp.Or(max(0, h.StartInterval), 5*time.Second)
	full.Retries = cmp.Or(max(0, h.Retries), 3)
	return &full
}
