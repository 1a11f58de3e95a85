package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// record is what a pod is, written once when it is made and kept over reboots.
type record struct {
	ID      string            `json:"id"`
	Created time.Time         `json:"created"`
	Spec    api.PodSpec       `json:"spec"`
	Image   api.Image         `json:"image"`
	Volumes map[string]string `json:"volumes,omitempty"` // target -> volume
	From    []api.Mount       `json:"from,omitempty"`    // what Spec.VolumesFrom came to
}

// state is what a pod does. It lies in RUN; only update writes it, under the pod's lock.
type state struct {
	Boot string `json:"boot"` // state of another boot is not believed
	// ID, Group and Volumes repeat the record: they are needed to clear away a pod whose record is damaged, and to keep what it
	// uses until then.
	ID      string            `json:"id"`
	Group   string            `json:"group"`
	Volumes map[string]string `json:"volumes,omitempty"`
	Status  api.Status        `json:"status"`
	Login   kernel.Login      `json:"login,omitempty"` // of who asked for the start; restarts keep it
	// Stopping says that somebody asked for the end that is under way: no restart policy applies to it.
	Stopping bool `json:"stopping,omitempty"`
	// Shutdown says of such an end that the machine asked for it, and no person.
	Shutdown bool `json:"shutdown,omitempty"`
	// Halting says that a stop is under way. Once its process has died nobody knows whether the signal was sent.
	Halting bool `json:"halting,omitempty"`
	// Paused says that the container's cgroup is frozen, or about to be; the kernel knows.
	Paused  bool           `json:"paused,omitempty"`
	Resumed time.Time      `json:"resumed,omitzero"` // when it last went on after a pause
	Init    kernel.Process `json:"init,omitzero"`    // the container's first process
	Conmon  kernel.Process `json:"conmon,omitzero"`  // its conmon
	// RunLost says that what podc needs of the run under way, beside its processes, is gone from RUN.
	RunLost bool `json:"run_lost,omitempty"`
	// HooksDue says that post_start has not succeeded in this run.
	HooksDue bool `json:"hooks_due,omitempty"`
	// Settled says that nothing of the last run is left: no network, no namespaces, no runtime state.
	Settled    bool            `json:"settled,omitempty"`
	Started    time.Time       `json:"started,omitzero"`
	NextStart  time.Time       `json:"next_start,omitzero"` // while restarting
	Restarts   int             `json:"restarts,omitempty"`
	Backoff    time.Duration   `json:"backoff,omitempty"` // before the last restart
	Error      string          `json:"error,omitempty"`
	Health     api.Health      `json:"health,omitempty"`
	Failing    int             `json:"failing,omitempty"` // probes failed in a row
	Probes     []api.Probe     `json:"probes,omitempty"`
	Interfaces []api.Interface `json:"interfaces,omitempty"`
	Ports      []api.Port      `json:"ports,omitempty"`
}

// lastRun is how a run ended; it lies in DATA, since people ask for it after a reboot.
type lastRun struct {
	Boot      string    `json:"boot,omitempty"` // while it lasts: the boot in which it was started
	Started   time.Time `json:"started,omitzero"`
	Finished  time.Time `json:"finished,omitzero"`
	ExitCode  int       `json:"exit_code"`
	ExitKnown bool      `json:"exit_known"`
	OOMKilled bool      `json:"oom_killed,omitempty"`
	// ByUser is kept for boot: `restart: unless-stopped` does not bring back what a person stopped.
	ByUser bool `json:"by_user,omitempty"`
	// GaveUp says that the restart policy had no try left, or no wish for one. It is kept for boot too.
	GaveUp bool `json:"gave_up,omitempty"`
}

// pod is one pod in the hands of update: loaded, brought in line with the kernel, and locked.
type pod struct {
	e *Engine
	record
	state state
	last  lastRun
	saved state // as it is on disk; slices of state are replaced or appended to, never changed
	lost  error // why the state was not found on disk, if it should have been there
	// lastDamaged says that there is a record of the last run, and that it cannot be read.
	lastDamaged bool
	// ending says that the container has ended and conmon has not noted it yet: the code is still to come.
	ending bool
	// unrecorded says that refresh has found the end of the run: it is not on record yet.
	unrecorded bool
}

// store is what is known of pods: it reads records and state, and update is the only writer of the latter.
type store struct{ e *Engine }

// What a pod does is in views of it: podNetwork, podFiles, podRun and podPolicy. They need its lock where they change anything.

// podNetwork is a pod's namespaces, networks and names.
type podNetwork struct{ *pod }

func (p *pod) network() podNetwork { return podNetwork{p} }

// podFiles is a pod's root filesystem, volumes, mounts and devices.
type podFiles struct{ *pod }

func (p *pod) files() podFiles { return podFiles{p} }

// podRun is a pod's container: how it is created, its processes, what of it has to go.
type podRun struct{ *pod }

func (p *pod) run() podRun { return podRun{p} }

// podPolicy is what an end of a pod means by its restart policy, and by who asked for it.
type podPolicy struct{ *pod }

func (p *pod) policy() podPolicy { return podPolicy{p} }

// lockDeadline bounds the wait for a pod's lock. A holder starts or stops the pod, which has deadlines of its own.
const lockDeadline = 2 * time.Minute

// update locks the pod, loads it, refreshes it from the kernel, calls fn and saves its state, unless fn removed the pod.
// It is the only writer of pod state. fn's error is returned, and the state is saved all the same: it says what is so.
func (s *store) update(ctx context.Context, name string, fn func(*pod) error) error {
	l, err := s.lockPod(ctx, name)
	if err != nil {
		return err
	}
	defer l.Unlock()
	p, err := s.load(name)
	if isMissing(err) {
		return errors.Join(err, s.removeRunDir(name)) // taking the lock has made it anew
	}
	if err != nil {
		return err
	}
	if p.lost == nil {
		p.saved = p.state
	}
	p.refresh()
	err = fn(p)
	if p.state.Status == statusGone {
		return err
	}
	if p.unrecorded {
		err = errors.Join(err, p.recordEnd())
	}
	if p.state.equal(p.saved) {
		return err
	}
	return errors.Join(err, p.save())
}

// statusGone marks a pod that fn has removed.
const statusGone api.Status = "gone"

func (s *store) lockPod(ctx context.Context, name string) (*disk.Lock, error) {
	if !disk.IsName(name) {
		return nil, fault.New(errdefs.ErrInvalidArgument, "container name %q is not valid", name)
	}
	return disk.LockWait(ctx, s.e.paths.podLock(name), disk.Wait{For: fmt.Sprintf("container %q", name), Patience: lockDeadline})
}

// missingPod is the error that the pod itself does not exist, and not something that it needs. Its class is NotFound.
type missingPod string

func (m missingPod) Error() string { return fmt.Sprintf("container %q does not exist", string(m)) }

// NotFound makes errdefs.IsNotFound hold.
func (missingPod) NotFound() {}

func isMissing(err error) bool {
	var m missingPod
	return errors.As(err, &m)
}

// unlessMissing is for what is done once the pod is gone.
func unlessMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

func (s *store) load(name string) (*pod, error) {
	p := &pod{e: s.e}
	err := disk.ReadJSON(s.e.paths.spec(name), &p.record)
	if err == nil && (p.Spec.Name != name || !isID(p.ID)) {
		err = fmt.Errorf("%w %s: it is not that of this container", disk.ErrDamaged, s.e.paths.spec(name))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, missingPod(name)
	case errors.Is(err, disk.ErrDamaged):
		return s.loadDead(name, err), nil
	case err != nil:
		return nil, fmt.Errorf("cannot read container %q: %w", name, err)
	}
	err = disk.ReadJSON(s.e.paths.state(name), &p.state)
	if err == nil && p.state.Boot == kernel.BootID() && (p.state.Status == api.StatusRunning || p.state.Status == api.StatusCreated && p.state.Error == "") {
		return p, nil // how the run before ended is of no interest, or there was none
	}
	if err := disk.ReadJSON(s.e.paths.last(name), &p.last); err != nil {
		p.last = lastRun{} // that it ended counts, not how: a damaged record is not worth a pod
		if p.lastDamaged = errors.Is(err, disk.ErrDamaged); p.lastDamaged {
			p.last = lastRun{Started: p.Created, ExitCode: 255} // but there is one: it has run, and returns with the machine
		}
	}
	switch {
	case err != nil:
		p.state, p.lost = stateAfterBoot(p), err
		p.run().findRun()
	case p.state.Boot != kernel.BootID():
		p.state = stateAfterBoot(p)
		if p.run().findRun(); p.state.Status == api.StatusRunning { // in this boot, whatever its state says
			p.lost = fmt.Errorf("%w %s: it says that it is of another boot", disk.ErrDamaged, s.e.paths.state(name))
		}
	case p.state.Status == api.StatusDead: // until somebody put its record right
		p.state.Status = api.StatusExited
	}
	return p, nil
}

// stateAfterBoot is the state of a pod of which this boot knows nothing.
func stateAfterBoot(p *pod) state {
	s := state{Boot: kernel.BootID(), Status: api.StatusCreated}
	if !p.last.Started.IsZero() {
		s.Status = api.StatusExited
	}
	return s
}

func (p *pod) save() error {
	p.state.Boot, p.state.ID, p.state.Group, p.state.Volumes = kernel.BootID(), p.ID, p.Spec.Group, p.Volumes
	if err := disk.WriteJSON(p.e.paths.state(p.Spec.Name), &p.state, disk.Volatile); err != nil {
		return fmt.Errorf("cannot save the state of container %q: %w", p.Spec.Name, err)
	}
	p.saved = p.state
	return nil
}

func (s state) equal(o state) bool {
	return s.Boot == o.Boot && s.Status == o.Status && s.Login == o.Login && s.Stopping == o.Stopping && s.Shutdown == o.Shutdown && s.Halting == o.Halting && s.RunLost == o.RunLost && s.HooksDue == o.HooksDue &&
		s.Paused == o.Paused && s.Resumed.Equal(o.Resumed) && s.Init == o.Init && s.Conmon == o.Conmon && s.Settled == o.Settled && s.Started.Equal(o.Started) && s.NextStart.Equal(o.NextStart) && s.Restarts == o.Restarts &&
		s.Backoff == o.Backoff && s.Error == o.Error && s.Health == o.Health && s.Failing == o.Failing &&
		slices.Equal(s.Probes, o.Probes) && slices.Equal(s.Interfaces, o.Interfaces) && slices.Equal(s.Ports, o.Ports)
}

// refresh brings the state in line with the kernel: a run whose exit file exists, or whose processes are gone, has ended.
// It has no side effect but on p, so it serves readers without the lock as well.
func (p *pod) refresh() {
	if p.state.Status != api.StatusRunning || p.noted() || p.state.Init.Life() == kernel.Living {
		return
	}
	if p.ending = p.state.Conmon.Alive(); p.ending {
		return // the run is not over for us
	}
	if !p.noted() { // conmon may have written it since the first look, and ended
		p.ended(lastRun{Started: p.state.Started, Finished: time.Now(), ExitCode: 255})
	}
}

// noted takes the end of the run from what conmon has written, if it has.
func (p *pod) noted() bool {
	if _, err := os.Stat(p.e.paths.exit(p.ID)); err != nil {
		return false // as of every pod that runs, with one look
	}
	oom := p.run().outOfMemory() // first: it goes after the exit file
	exit, ok := p.e.runner.Exit(p.ID)
	if ok {
		end := lastRun{Started: p.state.Started, Finished: exit.At, ExitCode: exit.Code, ExitKnown: exit.Known, OOMKilled: oom}
		if !end.Finished.After(end.Started) {
			end.Finished = end.Started
		}
		p.ended(end)
	}
	return ok
}

// ended notes the end of a run; what follows (restart, or nothing) is settle's business.
func (p *pod) ended(end lastRun) {
	end.ByUser = p.policy().stoppedByUser()
	p.last, p.unrecorded = end, true
	p.state.Status, p.state.Halting, p.state.Paused = api.StatusExited, false, false
	p.state.Init = kernel.Process{}
	if p.state.Health != api.HealthNone {
		p.state.Health = api.HealthUnhealthy
	}
}

// outOfMemory reports whether conmon noted that the kernel killed for want of memory in this run.
func (p podRun) outOfMemory() bool {
	_, err := os.Stat(filepath.Join(p.e.paths.conmonDir(p.Spec.Name), "oom"))
	return err == nil
}

// view is the pod as the outside sees it.
func (p *pod) view() api.Pod {
	s, l := p.state, p.last
	v := api.Pod{
		Spec: p.Spec, ID: p.ID, Created: p.Created,
		Status: s.Status, Started: s.Started, Error: s.Error, Restarts: s.Restarts,
		Finished: l.Finished, ExitCode: l.ExitCode, ExitKnown: l.ExitKnown, OOMKilled: l.OOMKilled,
		Interfaces: s.Interfaces, Ports: s.Ports, Volumes: p.Volumes,
		From: p.From, Image: p.Image, Args: slices.Concat(api.EffectiveCommand(p.Spec.Container, p.Image.Config)), Exposed: api.EffectivePorts(p.Spec.Container, p.Image.Config),
	}
	if s.Started.IsZero() {
		v.Started = l.Started
	}
	if p.policy().restartsNext() {
		v.Status = api.StatusRestarting
	}
	if s.Status == api.StatusRunning {
		v.Pid, v.Health, v.Failing, v.Probes, v.Halting = s.Init.Pid, s.Health, s.Failing, s.Probes, s.Halting
		v.HooksDue, v.RunLost = s.HooksDue, s.RunLost
		v.ExitCode, v.ExitKnown, v.OOMKilled = 0, false, false
		if p.run().paused() {
			v.Status = api.StatusPaused
		}
	} else {
		v.Probes = s.Probes
		v.Returns = p.policy().returns()
	}
	if s.Status != api.StatusRunning || s.RunLost {
		v.FilesLost = len(p.Spec.Container.Files) > 0 && !rootfs.HasFiles(p.e.paths.files(p.Spec.Name))
	}
	return v
}

func (p *pod) note(action string, attributes map[string]string) {
	p.e.NoteEvent(api.Pod{Spec: p.Spec, ID: p.ID}, action, attributes)
}
