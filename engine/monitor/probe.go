package monitor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine"
)

const (
	// maxOutput is how much of a probe's output is kept, as in docker.
	maxOutput = 4096
	// outputDelay is how long a probe's output may stay open, in the hands of what it left running, after it has ended.
	outputDelay = 500 * time.Millisecond
	// killDeadline bounds the end of a probe that is killed: a process that hangs in the kernel may outlast it.
	killDeadline = 5 * time.Second
)

// probeMark is the variable by which the processes of a probe are found, wherever they went.
const probeMark = "PODC_PROBE="

// markOf begins the mark of every probe in a container; a podc that runs inside of it has other ids.
func markOf(id string) string { return probeMark + id[:12] + "-" }

// probes runs the health check of one run of a pod until ctx ends: one probe at a time, the next one an interval after the
// end of the last, more often while the pod is starting.
func (w *worker) probes(ctx context.Context, d engine.Duty) {
	// A monitor that was killed may have left a probe running.
	clean, cancel := context.WithTimeout(ctx, killDeadline)
	var err error
	apart(func() { err = w.m.engine.Supervisor().KillMarked(clean, w.name, markOf(d.Pod.ID)) })
	cancel()
	if err != nil && ctx.Err() == nil {
		w.log.Warn("cannot end an old probe", "err", err)
	}
	health, started := d.Pod.Health, d.Pod.Started
	wait := interval(d.Health, health, started) - sinceLast(d.Pod)
	timer := time.NewTimer(max(0, wait))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		over := false
		if apart(func() { health, over = w.probeOnce(ctx, d, health) }); over {
			return
		}
		timer.Reset(interval(d.Health, health, started))
	}
}

// probeOnce probes and records the outcome; over says that the run has ended.
func (w *worker) probeOnce(ctx context.Context, d engine.Duty, was api.Health) (now api.Health, over bool) {
	gone := func(err error) bool {
		return ctx.Err() != nil || errdefs.IsFailedPrecondition(err) || errdefs.IsNotFound(err)
	}
	p, err := w.probe(ctx, d)
	switch {
	case gone(err):
		return was, true
	case errdefs.IsConflict(err): // the pod is paused
		return was, false
	}
	if err != nil {
		p.ExitCode, p.Output = 126, "cannot run the probe: "+err.Error()
	}
	now, err = w.m.engine.Supervisor().RecordProbe(ctx, w.name, d.Pod.Started, p)
	switch {
	case errdefs.IsConflict(err):
		return was, false
	case err != nil && !gone(err):
		w.log.Error("cannot record a probe", "err", err)
		return was, false
	}
	return now, gone(err)
}

// interval is docker's rule: start_interval applies while the pod is starting, within its start_period.
func interval(h *api.HealthCheck, health api.Health, started time.Time) time.Duration {
	if health == api.HealthStarting && time.Since(started) < h.StartPeriod {
		return h.StartInterval
	}
	return h.Interval
}

// sinceLast is how long ago the last probe ended, or the run began. A clock that was set may make that anything; then the
// interval begins anew.
func sinceLast(p api.Pod) time.Duration {
	last := p.Started
	if n := len(p.Probes); n > 0 {
		last = p.Probes[n-1].End
	}
	return max(0, time.Since(last))
}

// probe runs the health check once. What it started is killed at its timeout, and when ctx ends.
func (w *worker) probe(ctx context.Context, d engine.Duty) (api.Probe, error) {
	args, err := probeArgs(d.Health.Test)
	if err != nil {
		return api.Probe{Start: time.Now(), End: time.Now()}, err
	}
	mark := markOf(d.Pod.ID) + rand.Text()
	limited, cancel := context.WithTimeout(ctx, d.Health.Timeout)
	defer cancel()
	x, err := w.m.engine.ExecCommand(limited, w.name, engine.ExecOptions{ExecOptions: api.ExecOptions{Args: args}, Mark: []string{mark}, Login: d.Login})
	if err != nil {
		return api.Probe{Start: time.Now(), End: time.Now()}, err
	}
	var out output
	x.Stdout, x.Stderr = &out, &out
	x.WaitDelay = outputDelay
	x.Cancel = func() error { return w.killProbe(x.Process, mark) }
	p := api.Probe{Start: time.Now()}
	err = x.Run()
	p.End, p.Output = time.Now(), out.String()
	switch state := x.ProcessState; {
	case state == nil:
		return p, err
	case limited.Err() != nil && ctx.Err() == nil:
		p.ExitCode = -1
	default:
		p.ExitCode = exitCode(state)
	}
	return p, nil
}

func exitCode(state *os.ProcessState) int {
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return state.ExitCode()
}

// killProbe ends a probe with all its children, then the runtime that waits for it. The runtime goes too when the container
// is gone already.
func (w *worker) killProbe(runtime *os.Process, mark string) error {
	ctx, cancel := context.WithTimeout(context.Background(), killDeadline)
	defer cancel()
	err := w.m.engine.Supervisor().KillMarked(ctx, w.name, mark)
	if err != nil && !errdefs.IsNotFound(err) {
		w.log.Warn("cannot end a probe", "err", err)
	}
	if err := runtime.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	// A child may have been on its way into the container: there it is now, or it is not.
	return w.m.engine.Supervisor().KillMarked(ctx, w.name, mark)
}

func probeArgs(test []string) ([]string, error) {
	switch {
	case len(test) > 1 && test[0] == "CMD":
		return test[1:], nil
	case len(test) > 1 && test[0] == "CMD-SHELL": // further words are the line's $0, $1, ..., as docker has it
		return append([]string{"/bin/sh", "-c"}, test[1:]...), nil
	}
	return nil, fmt.Errorf("the health check %q is none of NONE, CMD with a command, CMD-SHELL with a line", test)
}

// output keeps the beginning of what is written to it.
type output struct{ b []byte }

func (o *output) Write(p []byte) (int, error) {
	o.b = append(o.b, p[:min(len(p), maxOutput-len(o.b))]...)
	return len(p), nil
}

func (o *output) String() string { return string(o.b) }
