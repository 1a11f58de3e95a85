package engine

import (
	"context"
	"errors"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/internal/fault"
)

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
