package engine

import (
	"testing"
	"time"

	"podc.example/podc/api"
)

func TestRestartPolicies(t *testing.T) {
	for _, c := range []struct {
		policy   string
		max      int
		exit     int
		restarts int
		error    string
		stopping bool
		want     bool
	}{
		{policy: "", exit: 1},
		{policy: "no", exit: 1},
		{policy: "always", want: true},
		{policy: "always", exit: 1, stopping: true},
		{policy: "unless-stopped", want: true},
		{policy: "on-failure"},
		{policy: "on-failure", exit: 1, want: true},
		{policy: "on-failure", exit: 1, max: 3, restarts: 2, want: true},
		{policy: "on-failure", exit: 1, max: 3, restarts: 3},
		{policy: "on-failure", error: "the network is gone", want: true},
	} {
		p := &pod{}
		p.Spec.Container.Restart = api.RestartPolicy{Name: c.policy, MaxRetries: c.max}
		p.last.ExitCode = c.exit
		p.state = state{Status: api.StatusExited, Restarts: c.restarts, Error: c.error, Stopping: c.stopping}
		if got := p.policy().wantsRestart(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestAnEndThatARestartFollowsIsNoEnd(t *testing.T) {
	p := &pod{}
	p.Spec.Container.Restart.Name = "on-failure"
	p.state = state{Status: api.StatusRunning, Started: time.Now()}
	p.ended(lastRun{Started: p.state.Started, Finished: time.Now(), ExitCode: 1, ExitKnown: true})
	if s := p.view().Status; s != api.StatusRestarting {
		t.Errorf("before it is settled, it is %s", s)
	}
	if s := p.duty().Pod.Status; s != api.StatusExited {
		t.Errorf("to the monitor, which settles it, it is %s", s)
	}
	p.state.Settled = true // a stop, say, made it so
	if s := p.view().Status; s != api.StatusExited {
		t.Errorf("settled, it is %s", s)
	}
}

func TestBackoffDoublesUpToAMinuteAndForgets(t *testing.T) {
	p := &pod{}
	run := func(d time.Duration) time.Duration {
		p.last.Started = time.Now()
		p.last.Finished = p.last.Started.Add(d)
		p.state.Status = api.StatusExited
		p.policy().scheduleRestart()
		if wait := time.Until(p.state.NextStart); p.state.Status != api.StatusRestarting || wait > p.state.Backoff {
			t.Errorf("state %+v", p.state)
		}
		return p.state.Backoff
	}
	want := 100 * time.Millisecond
	for range 13 {
		if got := run(time.Second); got != want {
			t.Errorf("waits %s, want %s", got, want)
		}
		want = min(2*want, time.Minute)
	}
	if got := run(10 * time.Second); got != 100*time.Millisecond {
		t.Errorf("after a good run: %s", got)
	}
	run(time.Second)
	p.state.Error = "cannot start"
	if got := run(10 * time.Second); got != 400*time.Millisecond {
		t.Errorf("a start that failed is no good run: %s", got)
	}
}
