package engine

import (
	"context"
	"errors"
	"time"

	"podc.example/podc/api"
)

// waitLogLines is how much output a failed wait shows.
const waitLogLines = 10

// WaitPod returns when the pod meets until, or, as a *api.WaitError, when it no longer can: it exited, it is unhealthy, it has
// no probe to become healthy by. It follows the pod's state file, so it costs nothing while nothing happens. When ctx ends,
// the error says what the pod was doing.
func (s *store) WaitPod(ctx context.Context, name string, until api.Condition) error {
	if _, err := s.read(name); err != nil {
		return err
	}
	err := s.e.watch.Until(ctx, s.e.paths.runPod(name), func() (bool, time.Duration, error) {
		p, err := s.read(name)
		if isMissing(err) && until == api.Stopped {
			return true, 0, nil
		}
		if err != nil {
			return false, 0, err
		}
		met, reason := p.meets(until)
		if reason != "" {
			return false, 0, s.waitError(p, until, reason)
		}
		if met && until == api.Ready {
			left := p.unproven()
			return left <= 0, left, nil
		}
		return met, 0, nil
	})
	if err != nil && ctx.Err() != nil {
		if p, rerr := s.read(name); rerr == nil {
			return errors.Join(s.waitError(p, until, "is "+describe(p.view())+" and was not "+string(until)+" in time"), context.Cause(ctx))
		}
	}
	return err
}

func (s *store) waitError(p *pod, until api.Condition, reason string) *api.WaitError {
	return &api.WaitError{Pod: p.view(), Until: until, Reason: reason, Log: s.lastLines(p.Spec.Name, waitLogLines)}
}

func describe(p api.Pod) string {
	if p.Status == api.StatusRunning && p.Health != api.HealthNone {
		return string(p.Status) + " (" + string(p.Health) + ")"
	}
	return string(p.Status)
}

// provenAfter is how long a container without a health check runs before it counts as ready: many a one that cannot work ends
// at once. docker compose looks as long after the start.
const provenAfter = 500 * time.Millisecond

// unproven is what a running container without a health check has left to run until it counts as ready.
func (p *pod) unproven() time.Duration {
	if p.state.Status != api.StatusRunning || p.healthCheck() != nil {
		return 0
	}
	return provenAfter - time.Since(p.state.Started)
}

// meets decides one condition: met, not yet, or, with a reason, never.
func (p *pod) meets(until api.Condition) (met bool, never string) {
	v := p.view()
	exited := v.Status == api.StatusExited || v.Status == api.StatusCreated && p.state.Error != ""
	switch until {
	case api.Running:
		return v.Status.Live(), ""
	case api.Stopped:
		return v.Status == api.StatusExited || v.Status == api.StatusCreated, ""
	case api.Completed:
		if exited && v.ExitCode == 0 && v.ExitKnown {
			return true, ""
		}
	case api.Started:
		if v.Status.Live() || exited && v.ExitKnown && v.ExitCode == 0 {
			return true, ""
		}
	case api.Healthy, api.Ready:
		if until == api.Healthy && p.healthCheck() == nil {
			return false, "has no health check to become healthy by"
		}
		if until == api.Ready && exited && v.ExitKnown && v.ExitCode == 0 {
			return true, ""
		}
		if until == api.Ready && v.Status == api.StatusRestarting && p.healthCheck() == nil {
			return false, explainExit(v) + " and is restarted by its policy"
		}
		if v.Status.Live() {
			if v.Health == api.HealthUnhealthy {
				return false, "is unhealthy"
			}
			if v.Health == api.HealthStarting && v.Status == api.StatusPaused {
				return false, "is paused and will not become healthy"
			}
			return v.Health == api.HealthHealthy || until == api.Ready && v.Health == api.HealthNone, ""
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

// Await returns the pod as it is when its run has ended. It does not settle the pod: that is done by a removal, by Refresh, or by
// the monitor. Of one that somebody else removed by then, the journal tells how it ended.
func (s *store) Await(ctx context.Context, name string) (api.Pod, error) {
	p, err := s.read(name)
	if err != nil {
		return api.Pod{}, err
	}
	if p.state.Status == api.StatusRunning {
		if err := p.state.Init.Wait(ctx); err != nil {
			return api.Pod{}, err
		}
		if err := s.awaitNoted(ctx, name, p.state.Conmon); err != nil {
			return api.Pod{}, err
		}
	}
	v, err := s.Pod(name)
	if isMissing(err) && p.state.Status == api.StatusRunning {
		return s.e.EndOf(p.view())
	}
	return v, err
}
