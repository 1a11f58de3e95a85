package engine

import (
	"context"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

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
		if n := len(p.state.Probes); n > keptProbes {
			p.state.Probes = p.state.Probes[n-keptProbes:]
		}
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
	full.Interval = orDuration(h.Interval, 30*time.Second)
	full.Timeout = orDuration(h.Timeout, 30*time.Second)
	full.StartInterval = orDuration(h.StartInterval, 5*time.Second)
	if full.Retries <= 0 {
		full.Retries = 3
	}
	return &full
}

func orDuration(d, def time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return def
}
