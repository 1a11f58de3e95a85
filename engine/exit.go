package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// HandleExit is what conmon runs when the container id of a pod has ended: it notes the end and either hands the pod to its
// restart policy or clears everything of the run away. Idempotent: whoever comes first does it, be it the exit handler, the
// monitor, a stop, or the next command. A pod that is gone, or is another one by now, is fine.
func (s Supervisor) HandleExit(ctx context.Context, name, id string) error {
	err := s.e.update(ctx, name, func(p *pod) error {
		if p.ID != id || p.state.Status == api.StatusRunning || p.state.Status == api.StatusCreating {
			return nil
		}
		return p.retire(ctx)
	})
	return podError("clean up after", name, unlessMissing(err))
}

// settle brings the pod to rest after a run: the end is on record, and nothing of the run is left but, while the pod waits
// to be restarted, its namespaces, network and mounts. It needs the pod's lock, is idempotent and tries everything.
func (p *pod) settle(ctx context.Context) error {
	if p.state.Settled || p.state.Status == api.StatusRunning {
		return nil
	}
	if p.state.Status == api.StatusExited && !p.last.Finished.IsZero() {
		// Before the exit file goes: a reader must find the end here or there.
		if err := p.recordEnd(); err != nil {
			return err
		}
	}
	p.run().killStray()
	if p.state.Status == api.StatusRestarting {
		return p.run().clearRuntime()
	}
	if p.policy().restartsNext() && !p.e.Shutdown().Noted() {
		if err := p.run().clearRuntime(); err != nil {
			return err
		}
		p.policy().scheduleRestart()
		return p.e.Monitors().Ensure(ctx, p.Spec.Group)
	}
	// The runtime's remains come last: the kernel takes its time to let ended tasks out of their cgroups.
	shared, err := p.clearPod(ctx)
	if err = errors.Join(err, p.run().clearRuntime()); err != nil || shared {
		return err
	}
	p.state.Settled, p.state.Interfaces = true, nil
	for _, of := range lenders(p.Spec) {
		if err := p.e.Supervisor().settleProvider(ctx, of); err != nil {
			return err
		}
	}
	return nil
}

// restartsNext reports whether a run has ended, and the pod is to be started again as soon as somebody settles it.
func (p podPolicy) restartsNext() bool {
	return p.state.Status == api.StatusExited && !p.state.Settled && p.endedAlone() && p.wantsRestart()
}

// endedAlone tells the end of a run that took place from a start that failed half-way.
func (p podPolicy) endedAlone() bool {
	return !p.state.Started.IsZero() && !p.last.Finished.Before(p.state.Started)
}

// recordEnd puts the end of a run on record, and tells of it the first time.
func (p *pod) recordEnd() error {
	if p.unrecorded {
		p.noteEnd()
	}
	return errors.Join(p.saveLast(), p.save())
}

// noteEnd tells of the end of a run.
func (p *pod) noteEnd() {
	if p.last.OOMKilled = p.last.OOMKilled || p.run().outOfMemory(); p.last.OOMKilled {
		p.note("oom", nil)
	}
	p.note("die", map[string]string{
		"exitCode":     strconv.Itoa(p.last.ExitCode),
		"execDuration": strconv.Itoa(int(p.last.Finished.Sub(p.last.Started).Seconds())),
	})
	p.unrecorded = false
}

func (p *pod) saveLast() error {
	p.last.OOMKilled = p.last.OOMKilled || p.run().outOfMemory()
	p.last.ByUser = p.last.ByUser || p.policy().stoppedByUser()
	p.last.GaveUp = p.last.GaveUp || p.policy().stoppedByUser() || !p.policy().restarts()
	byUser := p.policy().stoppedByUser()
	underWay := lastRun{Started: p.last.Started, ByUser: byUser, GaveUp: byUser} // as recordStart, or recordStop, has put it on record
	return p.writeLast(p.last, p.policy().durability(underWay, p.last))
}

// clearRuntime removes what conmon and the runtime made for the run: conmon itself, cgroups, state. The runtime's own delete
// would do the same with a process of its own, and trusts a record that a killed runtime has not written; so podc goes by
// the names it chose itself. The container's processes have ended by then.
func (p podRun) clearRuntime() error {
	pp, name := p.e.paths, p.Spec.Name
	p.dismissExitHandler()
	err := errors.Join(p.clearNamed(), os.RemoveAll(pp.conmonDir(name)))
	for _, f := range []string{"attach", "ctl", "winsz"} {
		os.Remove(filepath.Join(pp.bundle(name), f))
	}
	p.state.Init, p.state.Conmon = kernel.Process{}, kernel.Process{}
	return err
}

// clearNamed removes what bears the container's id; it needs to know no more of the pod.
func (p podRun) clearNamed() error {
	pp := p.e.paths
	errs := []error{cgroups.Remove(p.cgroup())}
	if p.Spec.Container.CgroupParent != "" {
		errs = append(errs, pp.cgroups().RemoveParents(p.cgroup()))
	}
	unfinished, _ := filepath.Glob(filepath.Join(pp.exits(), p.ID+".*")) // as conmon writes it, before it gets its name
	for _, f := range append(unfinished, pp.exit(p.ID)) {
		errs = append(errs, os.RemoveAll(f))
	}
	return errors.Join(append(errs, os.RemoveAll(filepath.Join(pp.runtime(), p.ID)))...)
}

// killStray ends what may still run of the container: a start that was cut short leaves conmon and a created container, a
// killed conmon leaves the container alone. After a proper end only conmon is left, which is only held here (see
// dismissExitHandler), and in a pid namespace of others whatever the first process left behind.
func (p podRun) killStray() {
	startersOf := p.e.runner.Starters
	if _, err := os.Stat(p.e.paths.exit(p.ID)); err == nil {
		if p.state.Conmon.Pid != os.Getppid() {
			p.state.Conmon.Signal(unix.SIGSTOP)
		}
		if p.Spec.PID.Mode == api.NamespacePrivate {
			return
		}
		startersOf = func(string) []kernel.Process { return nil }
	}
	ctx, cancel := context.WithTimeout(context.Background(), killDeadline)
	defer cancel()
	// conmon forks the runtime, the runtime the container: once a look finds none of them, nothing is left to fork more.
	for ctx.Err() == nil {
		strays := append(startersOf(p.ID), p.processes()...)
		if len(strays) == 0 {
			return
		}
		for _, s := range strays {
			s.Signal(unix.SIGKILL)
		}
		cgroups.FreezerOf(p.cgroup()).Thaw() // a frozen process does not end
		for _, s := range strays {
			s.Wait(ctx)
		}
	}
}

// processes are those of the container. A zombie counts as gone: it is its parent's to reap.
func (p podRun) processes() []kernel.Process {
	var list []kernel.Process
	for _, pid := range p.pids() {
		if proc := kernel.Find(pid); proc != (kernel.Process{}) {
			list = append(list, proc)
		}
	}
	return list
}

// dismissExitHandler ends conmon before it runs the exit handler, or with it: who settles the pod does its work, under the
// lock that it would wait for. The handler itself does not, of course.
func (p podRun) dismissExitHandler() {
	c := p.state.Conmon
	if c.Pid == os.Getppid() || !c.Freeze() {
		return
	}
	dismissed := []kernel.Process{c}
	for _, pid := range kernel.Children(c.Pid) {
		dismissed = append(dismissed, kernel.Find(pid))
	}
	ctx, cancel := context.WithTimeout(context.Background(), killDeadline)
	defer cancel()
	for _, d := range dismissed {
		d.Signal(unix.SIGKILL)
	}
	for _, d := range dismissed {
		d.Wait(ctx)
	}
}

// clearPod gives back namespaces, network and mounts. While another running pod shares one of them, all stay; the last
// sharer's own settle comes back for it.
func (p *pod) clearPod(ctx context.Context) (shared bool, err error) {
	e, name := p.e, p.Spec.Name
	if sharers, err := e.sharers(name); err != nil || len(sharers) > 0 {
		return true, err
	}
	var errs []error
	if p.Spec.Network.Mode == api.NetworkPrivate {
		e.Monitors().releaseNames(ctx, p.Spec.Group, p.ID) // sockets pin a namespace: the resolver's go first
		errs = append(errs, e.net.Detach(ctx, p.ID))
		if p.state.RunLost {
			errs = append(errs, e.net.DetachLost(ctx, p.network().attachment()))
		}
	}
	errs = append(errs, rootfs.RemoveFiles(e.paths.shm(name)), kernel.UnpinNamespaces(filepath.Dir(e.paths.ns(name, "net"))))
	if p.state.Status != api.StatusCreated {
		errs = append(errs, disk.Unmount(e.paths.merged(name)), p.files().unmountOwn(), p.files().releaseVolumes(ctx))
	}
	return false, errors.Join(append(errs, os.RemoveAll(e.paths.etc(name)))...)
}

// settleProvider finishes the clean-up of a pod that ended while its namespaces were still in use.
func (s Supervisor) settleProvider(ctx context.Context, name string) error {
	return unlessMissing(s.e.update(ctx, name, func(p *pod) error {
		if p.state.Status == api.StatusRunning || p.state.Status == api.StatusRestarting {
			return nil
		}
		return p.retire(ctx)
	}))
}

// Restart back-off, as docker's: 100 ms, doubled up to a minute, forgotten after a run of 10 s.
const (
	firstBackoff = 100 * time.Millisecond
	MaxBackoff   = time.Minute
	goodRun      = 10 * time.Second
)

// wantsRestart applies the restart policy to the run that has ended, or to a start by policy that failed.
func (p podPolicy) wantsRestart() bool {
	return !p.state.Stopping && p.restarts()
}

func (p podPolicy) restarts() bool {
	switch r := p.Spec.Container.Restart; r.Name {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return (p.last.ExitCode != 0 || p.state.Error != "") && (r.MaxRetries == 0 || p.state.Restarts < r.MaxRetries)
	}
	return false
}

func (p podPolicy) scheduleRestart() {
	switch {
	case p.state.Backoff == 0 || p.state.Error == "" && p.last.Finished.Sub(p.last.Started) >= goodRun:
		p.state.Backoff = firstBackoff
	default:
		p.state.Backoff = min(2*p.state.Backoff, MaxBackoff)
	}
	p.state.Status = api.StatusRestarting
	p.state.NextStart = time.Now().Add(p.state.Backoff)
}

// explainExit says how a run ended, for messages.
func explainExit(p api.Pod) string {
	if !p.ExitKnown {
		return "ended unseen, its exit code is not known"
	}
	return fmt.Sprintf("exited (%d)", p.ExitCode) + p.ExitNote()
}

// A pod with AutoRemove goes with its run: whoever settles it removes it. Somebody who waits for its end, and wants to see how
// it ended, holds the pod's lock "attended" meanwhile and removes it himself; if he dies, the lock is free.

// retire settles the pod and removes one that is left over. It needs the pod's lock.
func (p *pod) retire(ctx context.Context) error {
	cutShort := p.Spec.AutoRemove && p.state.Status == api.StatusCreated && !p.state.Settled // its start was
	if err := p.settle(ctx); err != nil || !p.outlived() && !cutShort {
		return err
	}
	attended, err := disk.TryLock(p.e.paths.attended(p.Spec.Name))
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer attended.Unlock()
	return p.remove(ctx, api.RemoveOptions{Volumes: true})
}

// outlived reports whether the pod is one that goes with its run, and the run is over.
func (p *pod) outlived() bool {
	return p.Spec.AutoRemove && p.state.Settled && p.state.Status == api.StatusExited
}

// leftOver reports whether the pod should have gone with its run, and nobody is at that.
func (c Checker) leftOver(p *pod) bool {
	return p.outlived() && !disk.Held(c.e.paths.attended(p.Spec.Name))
}
