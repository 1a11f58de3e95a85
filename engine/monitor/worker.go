package monitor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine"
)

const (
	// settleGrace is how long an end, or a start, may be under way before the monitor finishes or clears it: whoever was at
	// it is dead by then, or holds the pod's lock.
	settleGrace = 3 * time.Second
	// retryDelay is when something that failed is tried again without anything having changed.
	retryDelay = 30 * time.Second
)

// worker looks after one pod. It owns nothing that its death could lose: all that it does follows from the pod's state.
type worker struct {
	m    *Monitor
	name string
	log  *slog.Logger
	kick chan struct{} // capacity 1; the pod's state has changed
	id   string        // of the pod last seen

	// What is done for the run under way, if there is one.
	started time.Time
	over    chan struct{} // closed when the run's processes have ended
	stop    context.CancelFunc
	running sync.WaitGroup
}

// loop ends when the pod does not exist any more, or with ctx.
func (w *worker) loop(ctx context.Context, found bool) {
	defer w.leave(ctx)
	timer := time.NewTimer(0)
	timer.Stop()
	var unsettled time.Time // since when the pod is between two states
	for ctx.Err() == nil {
		var d engine.Duty
		var err error
		apart(func() { d, err = w.m.engine.Supervisor().Duty(w.name) })
		if errdefs.IsNotFound(err) || err == nil && (w.id != "" && w.id != d.Pod.ID) {
			return
		}
		if err != nil {
			w.log.Error("cannot read the pod", "err", err)
			timer.Reset(retryDelay)
		} else {
			w.id = d.Pod.ID
			w.m.report(w, !d.Idle())
			found = found && !w.resumeNames(ctx, d)
			if d.Settled || d.Pod.Status == api.StatusRunning {
				unsettled = time.Time{}
			} else if unsettled.IsZero() {
				unsettled = time.Now()
			}
			w.follow(ctx, d)
			if !w.act(ctx, d, unsettled, timer) {
				continue
			}
			if found && d.Pod.Status == api.StatusRunning {
				timer.Reset(retryDelay)
			}
		}
		select {
		case <-w.kick:
		case <-timer.C:
		case <-w.over:
			w.refresh(ctx)
		case <-ctx.Done():
		}
	}
}

// act does what is due, or sets the timer to when it will be; it reports whether the pod is worth a wait now.
func (w *worker) act(ctx context.Context, d engine.Duty, unsettled time.Time, timer *time.Timer) bool {
	timer.Stop()
	switch {
	case d.Pod.Status == api.StatusRunning, d.Pod.Status == api.StatusDead: // that one goes on as long as it can
	case d.Pod.Status == api.StatusRestarting:
		// A clock that was set back must not put it off.
		if wait := time.Until(d.NextStart); wait > 0 && wait <= engine.MaxBackoff {
			timer.Reset(wait)
			return true
		}
		w.log.Info("restart", "after", d.Pod.ExitCode, "restarts", d.Pod.Restarts)
		var err error
		if apart(func() { err = w.m.engine.Supervisor().RestartPod(ctx, w.name) }); err != nil {
			w.log.Warn("cannot restart the pod", "err", err)
			timer.Reset(retryDelay) // unless its state says otherwise, which a change of it tells at once
			return true
		}
		return false
	case !d.Settled:
		wait := settleGrace - time.Since(unsettled)
		if wait > 0 && !d.Due { // a run may be over before it was seen
			timer.Reset(wait)
			return true
		}
		w.refresh(ctx)
		timer.Reset(retryDelay)
	}
	return true
}

// refresh has an end noted that nobody noted, and what follows from it done.
func (w *worker) refresh(ctx context.Context) {
	w.over = nil
	var err error
	apart(func() { _, err = w.m.engine.Refresh(ctx, w.name) })
	if err != nil && !errdefs.IsNotFound(err) && ctx.Err() == nil {
		w.log.Warn("cannot settle the pod", "err", err)
	}
}

// follow begins what a new run asks for, and ends what was done for one that is over.
func (w *worker) follow(ctx context.Context, d engine.Duty) {
	running := d.Pod.Status == api.StatusRunning
	if running && w.started.Equal(d.Pod.Started) {
		return
	}
	w.endRun()
	if !running {
		return
	}
	ctx, w.stop = context.WithCancel(ctx)
	w.started = d.Pod.Started
	over := make(chan struct{})
	w.over = over
	w.running.Go(func() {
		if err := w.m.engine.Supervisor().AwaitEnd(ctx, d); err == nil {
			close(over)
		} else if ctx.Err() == nil {
			w.log.Error("cannot watch the container's process", "err", err)
		}
	})
	w.running.Go(func() {
		if err := w.m.engine.Supervisor().SplicePorts(ctx, d); err != nil && ctx.Err() == nil {
			w.log.Error("cannot serve published ports by IPv6", "err", err)
		}
	})
	if d.Health != nil {
		w.running.Go(func() { w.probes(ctx, d) })
	}
	if log := d.Pod.Spec.Container.Log; log.Kept() {
		w.running.Go(func() { w.keepLog(ctx, w.m.engine.Log(w.name, log)) })
	}
}

func (w *worker) endRun() {
	if w.stop != nil {
		w.stop()
		w.running.Wait()
	}
	w.stop, w.over, w.started = nil, nil, time.Time{}
}

// resumeNames is for a pod that an earlier monitor served. Not done: what it needs to know cannot be read now.
func (w *worker) resumeNames(ctx context.Context, d engine.Duty) (done bool) {
	if !d.Names || d.Idle() {
		return true
	}
	err := w.m.names.serve(ctx, d.Pod.ID, false)
	if err != nil && !errdefs.IsNotFound(err) && !errors.Is(err, fs.ErrNotExist) {
		w.log.Error("cannot answer names", "err", err)
		return false
	}
	return true
}

// leave is for a pod that is gone.
func (w *worker) leave(ctx context.Context) {
	w.endRun()
	if w.id != "" {
		w.m.names.stop(w.id)
	}
	w.m.forget(ctx, w)
}

// apart runs fn on a stack of its own, which goes with it: of the many goroutines that mostly wait, each would keep the
// large one that it needs for a moment.
func apart(fn func()) {
	var once sync.WaitGroup
	once.Go(fn)
	once.Wait()
}
