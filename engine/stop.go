package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/internal/valid"
)

// killDeadline bounds the wait for a process that was sent SIGKILL: one in an uninterruptible call may outlast it.
const killDeadline = 30 * time.Second

// StopPod ends a pod: its pre_stop hooks, its stop signal, its grace period (or timeout, if given; 0 means SIGKILL at once), then SIGKILL. It
// returns when the end is on record and cleared away. A pod that does not run is only kept from restarting.
func (e *Engine) StopPod(ctx context.Context, name string, timeout *time.Duration) error {
	return e.StopPodBy(ctx, name, "", timeout)
}

// StopPodBy is StopPod with another signal than the pod's own, which an empty one stands for.
func (e *Engine) StopPodBy(ctx context.Context, name, signal string, timeout *time.Duration) error {
	if signal != "" {
		if _, err := ParseSignal(signal); err != nil { // before a hook runs
			return podError("stop", name, err)
		}
	}
	if err := e.hooks().preStop(ctx, name); err != nil {
		return podError("stop", name, err)
	}
	return e.stopPod(ctx, name, stopRequest{signal: signal, timeout: timeout})
}

// stopRequest says how a pod is to end; its zero value, as the pod itself says.
type stopRequest struct {
	signal   string
	timeout  *time.Duration
	shutdown bool // the machine asks for it, and no person
}

// stopPod is StopPodBy without hooks.
func (e *Engine) stopPod(ctx context.Context, name string, how stopRequest) error {
	ran, err := e.halt(ctx, name, how)
	if err == nil {
		err = e.update(ctx, name, func(p *pod) error {
			err := p.retire(ctx)
			if ran && err == nil && p.state.Status != statusGone {
				p.note("stop", nil)
			}
			return err
		})
		if isMissing(err) && ran {
			return nil
		}
	}
	return podError("stop", name, err)
}

// HaltPod is StopPod for a pod that is removed next: it returns when the container has ended, and leaves the rest to the
// removal. Should that not follow, the exit handler does it.
func (e *Engine) HaltPod(ctx context.Context, name string, timeout *time.Duration) error {
	if err := e.hooks().preStop(ctx, name); err != nil {
		return podError("stop", name, err)
	}
	_, err := e.halt(ctx, name, stopRequest{timeout: timeout})
	return podError("stop", name, err)
}

// halt ends a pod and returns when its end is noted; ran tells whether it was running.
func (e *Engine) halt(ctx context.Context, name string, how stopRequest) (ran bool, err error) {
	var init, conmon kernel.Process
	var grace time.Duration
	err = e.update(ctx, name, func(p *pod) error {
		if err := p.recordStop(how); err != nil {
			return err
		}
		if p.state.Status == api.StatusRestarting {
			p.state.Status = api.StatusExited
		}
		if p.state.Status != api.StatusRunning {
			return nil
		}
		init, conmon = p.state.Init, p.state.Conmon
		var sig unix.Signal
		var err error
		if sig, grace, err = p.stopWay(how); err != nil {
			return err
		}
		p.state.Halting = true
		if err := p.save(); err != nil { // intent before effect
			return err
		}
		if err := ignoreDone(init.Signal(sig)); err != nil {
			return err
		}
		p.note("kill", signalAttribute(sig))
		return p.run().thaw() // what is asked to end must be able to
	})
	if err != nil || init == (kernel.Process{}) {
		return false, err
	}
	if err := e.awaitEnd(ctx, init, grace); err != nil {
		return true, err
	}
	return true, e.awaitNoted(ctx, name, conmon)
}

func signalAttribute(sig unix.Signal) map[string]string {
	return map[string]string{"signal": strconv.Itoa(int(sig))}
}

func (p *pod) stopWay(how stopRequest) (unix.Signal, time.Duration, error) {
	grace := p.Spec.Container.Grace()
	if how.timeout != nil {
		grace = *how.timeout
	}
	if how.shutdown && grace < 0 {
		grace = api.ShutdownGrace
	}
	if grace == 0 {
		return unix.SIGKILL, 0, nil
	}
	sig, err := StopSignal(api.Pod{Spec: p.Spec, Image: p.Image})
	if how.signal != "" {
		sig, err = ParseSignal(how.signal)
	}
	return sig, grace, err
}

// StopSignal is the signal that asks the pod to end: its own, else its image's, else SIGTERM; 0 with the error if it is none.
func StopSignal(p api.Pod) (unix.Signal, error) {
	return ParseSignal(cmp.Or(api.Effective(p.Spec.Container, p.Image.Config).StopSignal, "SIGTERM"))
}

// ParseSignal reads the name of a signal, with or without "SIG", or its number. Errors are errdefs.IsInvalidArgument.
func ParseSignal(name string) (unix.Signal, error) {
	s, err := valid.Signal(name)
	if err != nil {
		return 0, fault.New(errdefs.ErrInvalidArgument, "%w", err)
	}
	return s, nil
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// awaitEnd waits for a process that was asked to end; after grace it kills it. A negative grace has no end.
func (e *Engine) awaitEnd(ctx context.Context, init kernel.Process, grace time.Duration) error {
	if grace < 0 {
		return init.Wait(ctx)
	}
	if grace > 0 {
		soft, cancel := context.WithTimeout(ctx, grace)
		err := init.Wait(soft)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	if err := init.Signal(unix.SIGKILL); err != nil {
		return ignoreDone(err)
	}
	hard, cancel := context.WithTimeoutCause(ctx, killDeadline, fmt.Errorf("process %d did not end %s after SIGKILL: it may hang in the kernel", init.Pid, killDeadline))
	defer cancel()
	return init.Wait(hard)
}

// noteDeadline bounds the wait for conmon to note the end of its container.
const noteDeadline = 10 * time.Second

// awaitNoted returns when a container whose first process has ended counts as ended: conmon has noted it, or has died. One
// that hangs is killed, and the exit code stays unknown.
func (s *store) awaitNoted(ctx context.Context, name string, conmon kernel.Process) error {
	wait, cancel := context.WithTimeout(ctx, noteDeadline)
	defer cancel()
	gone := make(chan struct{})
	go func() {
		if conmon.Wait(wait) == nil {
			close(gone)
		}
	}()
	err := s.waitExit(wait, name, gone)
	if err == nil || ctx.Err() != nil {
		return err
	}
	conmon.Signal(unix.SIGKILL)
	killed, cancel := context.WithTimeoutCause(ctx, killDeadline, errors.New("conmon did not note the end of the container, nor end itself"))
	defer cancel()
	return conmon.Wait(killed)
}

// waitExit returns when the pod no longer counts as running, which the exit file or the death of conmon decides.
func (s *store) waitExit(ctx context.Context, name string, conmonGone <-chan struct{}) error {
	w, err := s.e.watch.Dir(s.e.paths.exits())
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		p, err := s.read(name)
		if err != nil || p.state.Status != api.StatusRunning {
			return nil
		}
		select {
		case <-w.Events:
		case <-conmonGone:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// KillPod sends a signal to the first process of a running pod (errdefs.IsFailedPrecondition if it does not run). It does
// not wait. A SIGKILL, and the pod's own stop signal, count as a stop: no restart follows, and a paused pod goes on to its end.
// Other signals reach a paused pod once it is unpaused.
func (e *Engine) KillPod(ctx context.Context, name, sig string) error {
	s, err := ParseSignal(cmp.Or(sig, "SIGKILL"))
	if err != nil {
		return podError("kill", name, err)
	}
	err = e.update(ctx, name, func(p *pod) error {
		if p.state.Status != api.StatusRunning {
			return fault.New(errdefs.ErrFailedPrecondition, "it is not running")
		}
		stop, _, err := p.stopWay(stopRequest{})
		ends := err == nil && (s == unix.SIGKILL || s == stop)
		if ends {
			p.state.Stopping = true
		}
		if err := p.state.Init.Signal(s); err != nil {
			return err
		}
		p.note("kill", signalAttribute(s))
		if ends {
			return p.run().thaw()
		}
		return nil
	})
	return podError("kill", name, err)
}

// PausePod stops all processes of a running pod without their knowing, and returns once none of them runs. Its probes rest
// meanwhile. errdefs.IsFailedPrecondition if it does not run, errdefs.IsConflict if it is paused already.
func (e *Engine) PausePod(ctx context.Context, name string) error {
	err := e.update(ctx, name, func(p *pod) error {
		switch {
		case p.state.Status != api.StatusRunning:
			return notRunning(p)
		case p.run().paused():
			return fault.New(errdefs.ErrConflict, "it is already paused")
		}
		p.state.Paused = true
		if err := p.save(); err != nil { // intent before effect
			return err
		}
		if err := cgroups.FreezerOf(p.run().cgroup()).Freeze(ctx, e.watch); err != nil {
			p.state.Paused = false
			return err
		}
		p.note("pause", nil)
		return nil
	})
	return podError("pause", name, err)
}

// UnpausePod lets the processes of a paused pod go on. errdefs.IsFailedPrecondition if it does not run, errdefs.IsConflict if
// it is not paused.
func (e *Engine) UnpausePod(ctx context.Context, name string) error {
	err := e.update(ctx, name, func(p *pod) error {
		switch {
		case p.state.Status != api.StatusRunning:
			return notRunning(p)
		case !p.state.Paused:
			return fault.New(errdefs.ErrConflict, "it is not paused")
		}
		if err := p.run().thaw(); err != nil {
			return err
		}
		p.note("unpause", nil)
		return nil
	})
	return podError("unpause", name, err)
}

func notRunning(p *pod) error {
	return fault.New(errdefs.ErrFailedPrecondition, "it is %s, not running", p.view().Status)
}

// errPaused refuses what cannot be done with a paused pod.
var errPaused = fault.New(errdefs.ErrConflict, "it is paused; unpause it first")

// paused reports whether the pod was paused and the kernel agrees: a pause that was cut short before it took effect is none.
func (p podRun) paused() bool {
	return p.state.Status == api.StatusRunning && p.state.Paused && cgroups.FreezerOf(p.cgroup()).Asked()
}

// thaw lets a pod go on that may be paused. Effect before record: one that counts as paused and is not comes to no harm.
func (p podRun) thaw() error {
	if !p.state.Paused {
		return nil
	}
	if err := cgroups.FreezerOf(p.cgroup()).Thaw(); err != nil {
		return errors.Join(errors.New("cannot let its processes go on"), err)
	}
	p.state.Paused, p.state.Resumed = false, time.Now()
	return nil
}
