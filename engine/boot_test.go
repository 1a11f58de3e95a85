package engine

import (
	"testing"
	"time"
)

func TestWhatTheStartOfTheMachineBringsBack(t *testing.T) {
	ran := time.Now()
	failed := lastRun{Started: ran, Finished: ran, ExitCode: 1, ExitKnown: true}
	cut := lastRun{Started: ran, ExitCode: 255} // as noteStart leaves it when the power goes
	byUser, gaveUp, well := failed, failed, failed
	byUser.ByUser, gaveUp.GaveUp, well.ExitCode = true, true, 0
	here := state{Status: StatusExited, Started: ran} // it ran since the machine was started
	stopped := state{Status: StatusExited, Stopping: true}
	for _, tt := range []struct {
		name   string
		policy string
		last   lastRun
		state  state
		want   bool
	}{
		{"always, cut short", "always", cut, state{Status: StatusExited}, true},
		{"always, although stopped by hand", "always", byUser, state{Status: StatusExited}, true},
		{"always, although it ended well", "always", well, state{Status: StatusExited}, true},
		{"always, but stopped since", "always", cut, stopped, false},
		{"always, ended with the machine, which stayed", "always", failed, state{Status: StatusExited, Started: ran, Stopping: true, Shutdown: true}, true},
		{"on-failure, ended with the machine, which stayed", "on-failure", failed, state{Status: StatusExited, Started: ran, Stopping: true, Shutdown: true}, true},
		{"always, but never started", "always", lastRun{}, state{Status: StatusCreated}, false},
		{"always, and running", "always", lastRun{}, state{Status: StatusRunning, Started: ran}, false},
		{"always, and about to restart", "always", failed, state{Status: StatusRestarting}, false},
		{"unless-stopped, cut short", "unless-stopped", cut, state{Status: StatusExited}, true},
		{"unless-stopped, stopped by hand", "unless-stopped", byUser, state{Status: StatusExited}, false},
		{"on-failure, cut short", "on-failure", cut, state{Status: StatusExited}, true},
		{"on-failure, failed", "on-failure", failed, state{Status: StatusExited}, true},
		{"on-failure, ended well", "on-failure", well, state{Status: StatusExited}, false},
		{"on-failure, out of tries", "on-failure", gaveUp, state{Status: StatusExited}, false},
		{"on-failure, stopped by hand", "on-failure", byUser, state{Status: StatusExited}, false},
		{"on-failure, failed since", "on-failure", failed, here, false},
		{"no", "no", cut, state{Status: StatusExited}, false},
		{"none", "", cut, state{Status: StatusExited}, false},
	} {
		p := &pod{last: tt.last, state: tt.state}
		p.Spec.Container.Restart.Name = tt.policy
		if got := p.returns(); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
