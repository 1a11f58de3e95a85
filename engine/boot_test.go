package engine

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
)

func TestWhatTheStartOfTheMachineBringsBack(t *testing.T) {
	ran := time.Now()
	failed := lastRun{Started: ran, Finished: ran, ExitCode: 1, ExitKnown: true}
	cut := lastRun{Started: ran, ExitCode: 255} // as recordStart leaves it when the power goes
	byUser, gaveUp, well := failed, failed, failed
	byUser.ByUser, gaveUp.GaveUp, well.ExitCode = true, true, 0
	here := state{Status: api.StatusExited, Started: ran} // it ran since the machine was started
	stopped := state{Status: api.StatusExited, Stopping: true}
	for _, tt := range []struct {
		name   string
		policy string
		last   lastRun
		state  state
		want   bool
	}{
		{"always, cut short", "always", cut, state{Status: api.StatusExited}, true},
		{"always, although stopped by hand", "always", byUser, state{Status: api.StatusExited}, true},
		{"always, although it ended well", "always", well, state{Status: api.StatusExited}, true},
		{"always, but stopped since", "always", cut, stopped, false},
		{"always, ended with the machine, which stayed", "always", failed, state{Status: api.StatusExited, Started: ran, Stopping: true, Shutdown: true}, true},
		{"on-failure, ended with the machine, which stayed", "on-failure", failed, state{Status: api.StatusExited, Started: ran, Stopping: true, Shutdown: true}, true},
		{"always, but never started", "always", lastRun{}, state{Status: api.StatusCreated}, false},
		{"always, and running", "always", lastRun{}, state{Status: api.StatusRunning, Started: ran}, false},
		{"always, and about to restart", "always", failed, state{Status: api.StatusRestarting}, false},
		{"unless-stopped, cut short", "unless-stopped", cut, state{Status: api.StatusExited}, true},
		{"unless-stopped, stopped by hand", "unless-stopped", byUser, state{Status: api.StatusExited}, false},
		{"on-failure, cut short", "on-failure", cut, state{Status: api.StatusExited}, true},
		{"on-failure, failed", "on-failure", failed, state{Status: api.StatusExited}, true},
		{"on-failure, ended well", "on-failure", well, state{Status: api.StatusExited}, false},
		{"on-failure, out of tries", "on-failure", gaveUp, state{Status: api.StatusExited}, false},
		{"on-failure, stopped by hand", "on-failure", byUser, state{Status: api.StatusExited}, false},
		{"on-failure, failed since", "on-failure", failed, here, false},
		{"no", "no", cut, state{Status: api.StatusExited}, false},
		{"none", "", cut, state{Status: api.StatusExited}, false},
	} {
		p := &pod{last: tt.last, state: tt.state}
		p.Spec.Container.Restart.Name = tt.policy
		if got := p.policy().returns(); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestWhatTheStartOfTheMachineGoesByIsSynced(t *testing.T) {
	ran := lastRun{Started: time.Now(), ExitCode: 255}
	byUser, gaveUp := ran, ran
	byUser.ByUser, gaveUp.GaveUp = true, true
	for _, tt := range []struct {
		name     string
		old, now lastRun
		policies string // of which a sync is wanted
	}{
		{"first start", lastRun{}, ran, "always unless-stopped on-failure"},
		{"restart by policy", ran, ran, ""},
		{"stop by a person", ran, byUser, "unless-stopped on-failure"},
		{"start after it", byUser, ran, "unless-stopped on-failure"},
		{"last try", ran, gaveUp, "unless-stopped on-failure"},
	} {
		for _, policy := range []string{"", "no", "always", "unless-stopped", "on-failure"} {
			p := &pod{}
			p.Spec.Container.Restart.Name = policy
			if got, want := p.policy().durability(tt.old, tt.now), slices.Contains(strings.Fields(tt.policies), policy); bool(got) != want {
				t.Errorf("%s, restart: %s: durable is %v", tt.name, policy, got)
			}
		}
	}
}

// After a power cut a file may be there and empty.
func TestAPodWhoseLastRunIsLostReturnsWithTheMachine(t *testing.T) {
	e := plainEngine(t)
	p := put(t, e, "p", api.StatusExited)
	p.Created, p.Spec.Container.Restart.Name = time.Now(), "always"
	err := errors.Join(p.saveRecord(), os.WriteFile(e.paths.last("p"), nil, 0o600), os.RemoveAll(e.paths.runPod("p")))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Pod("p"); err != nil || got.Status != api.StatusExited || !got.Returns {
		t.Errorf("it is %s, returns: %v, %v", got.Status, got.Returns, err)
	}
}
