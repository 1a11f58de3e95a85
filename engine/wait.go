package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// WaitError says why a wait for a pod failed, with what helps to understand it.
type WaitError struct {
	Pod    Pod
	Until  Condition
	Reason string
	Log    []string // the last lines of its output
}

func (w *WaitError) Error() string {
	return "container " + w.Pod.Spec.Name + " " + w.Reason + w.Evidence()
}

// Evidence is what the pod and its health check said last, in lines below the reason; "" if nothing.
func (w *WaitError) Evidence() string {
	var b strings.Builder
	if n := len(w.Pod.Probes); n > 0 && (w.Until == Healthy || w.Until == Ready) {
		last := w.Pod.Probes[n-1]
		fmt.Fprintf(&b, "\n  last probe: %s", probeResult(last))
		for line := range strings.Lines(strings.TrimSpace(last.Output)) {
			fmt.Fprintf(&b, "\n    %s", strings.TrimRight(line, "\r\n"))
		}
	}
	if len(w.Log) > 0 {
		b.WriteString("\n  last output:")
		for _, l := range w.Log {
			fmt.Fprintf(&b, "\n    %s", l)
		}
	}
	return b.String()
}

func probeResult(p Probe) string {
	if p.ExitCode < 0 {
		return fmt.Sprintf("killed after %s", p.End.Sub(p.Start).Round(time.Millisecond))
	}
	return fmt.Sprintf("exit code %d", p.ExitCode)
}

// waitLogLines is how much output a failed wait shows.
const waitLogLines = 10

// WaitPod returns when the pod meets until, or, as a *WaitError, when it no longer can: it exited, it is unhealthy, it has
// no probe to become healthy by. It follows the pod's state file, so it costs nothing while nothing happens. When ctx ends,
// the error says what the pod was doing.
func (e *Engine) WaitPod(ctx context.Context, name string, until Condition) error {
	if _, err := e.read(name); err != nil {
		return err
	}
	err := e.watch.Until(ctx, e.paths.runPod(name), func() (bool, time.Duration, error) {
		p, err := e.read(name)
		if isMissing(err) && until == Stopped {
			return true, 0, nil
		}
		if err != nil {
			return false, 0, err
		}
		met, reason := p.meets(until)
		if reason != "" {
			return false, 0, e.waitError(p, until, reason)
		}
		if met && until == Ready {
			left := p.unproven()
			return left <= 0, left, nil
		}
		return met, 0, nil
	})
	if err != nil && ctx.Err() != nil {
		if p, rerr := e.read(name); rerr == nil {
			return errors.Join(e.waitError(p, until, "is "+describe(p.view())+" and was not "+string(until)+" in time"), context.Cause(ctx))
		}
	}
	return err
}

func (e *Engine) waitError(p *pod, until Condition, reason string) *WaitError {
	return &WaitError{Pod: p.view(), Until: until, Reason: reason, Log: e.lastLines(p.Spec.Name, waitLogLines)}
}

func describe(p Pod) string {
	if p.Status == StatusRunning && p.Health != HealthNone {
		return string(p.Status) + " (" + string(p.Health) + ")"
	}
	return string(p.Status)
}

// provenAfter is how long a container without a health check runs before it counts as ready: many a one that cannot work ends
// at once. docker compose looks as long after the start.
const provenAfter = 500 * time.Millisecond

// unproven is what a running container without a health check has left to run until it counts as ready.
func (p *pod) unproven() time.Duration {
	if p.state.Status != StatusRunning || p.healthCheck() != nil {
		return 0
	}
	return provenAfter - time.Since(p.state.Started)
}

// meets decides one condition: met, not yet, or, with a reason, never.
func (p *pod) meets(until Condition) (met bool, never string) {
	v := p.view()
	exited := v.Status == StatusExited || v.Status == StatusCreated && p.state.Error != ""
	switch until {
	case Running:
		return v.Status.Live(), ""
	case Stopped:
		return v.Status == StatusExited || v.Status == StatusCreated, ""
	case Completed:
		if exited && v.ExitCode == 0 && v.ExitKnown {
			return true, ""
		}
	case Started:
		if v.Status.Live() || exited && v.ExitKnown && v.ExitCode == 0 {
			return true, ""
		}
	case Healthy, Ready:
		if until == Healthy && p.healthCheck() == nil {
			return false, "has no health check to become healthy by"
		}
		if until == Ready && exited && v.ExitKnown && v.ExitCode == 0 {
			return true, ""
		}
		if until == Ready && v.Status == StatusRestarting && p.healthCheck() == nil {
			return false, explainExit(v) + " and is restarted by its policy"
		}
		if v.Status.Live() {
			if v.Health == HealthUnhealthy {
				return false, "is unhealthy"
			}
			if v.Health == HealthStarting && v.Status == StatusPaused {
				return false, "is paused and will not become healthy"
			}
			return v.Health == HealthHealthy || until == Ready && v.Health == HealthNone, ""
		}
	}
	if exited {
		if p.state.Error != "" {
			return false, "did not start: " + p.state.Error
		}
		return false, explainExit(v)
	}
	return false, ""
}
