package project

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// returning is a pod that is due after a start of the machine.
func returning(name string) api.Pod {
	p := api.Pod{Spec: api.PodSpec{Name: name, Group: "shop"}, Status: api.StatusExited, Returns: true}
	p.Spec.Container.Restart.Name = "always"
	p.Spec.Labels = map[string]string{LabelProject: "shop", LabelService: name, LabelNumber: "1"}
	return p
}

// A machine that starts is busy: what fails is tried again until all that is due runs or is hopeless, and what is waited for is
// told.
func TestBootTriesAgainUntilAllRunsOrIsHopeless(t *testing.T) {
	late, missing := errors.New("not done within 10s"), fault.New(errdefs.ErrNotFound, "no such device")
	for _, tt := range []struct {
		name  string
		fails func(call string, n int) error // the nth time
		left  string                         // what does not run
		tries map[string]int
		err   error
	}{
		{"slow", func(call string, n int) error {
			if n <= 12 && call == "start pod slow" {
				return fmt.Errorf("%w (%d)", late, n/2) // it gets on
			}
			return nil
		}, "", map[string]int{"slow": 13, "other": 1}, nil},
		{"without a device", func(call string, n int) error {
			if call == "start pod slow" {
				return missing
			}
			return nil
		}, "slow", map[string]int{"slow": 3, "other": 1}, missing},
		{"stuck", func(call string, n int) error {
			if call == "start pod slow" {
				return late
			}
			return nil
		}, "slow", map[string]int{"slow": 10, "other": 1}, late},
		{"one hopeless, one slow", func(call string, n int) error {
			switch {
			case call == "start pod other":
				return missing
			case n <= 5 && call == "start pod slow":
				return late
			}
			return nil
		}, "other", map[string]int{"slow": 6, "other": 6}, missing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var mu sync.Mutex // protects calls: pods are started side by side
				calls := map[string]int{}
				w.fake.Fail = func(call string) error {
					mu.Lock()
					defer mu.Unlock()
					calls[call]++
					return tt.fails(call, calls[call])
				}
				w.fake.Put(returning("slow"))
				w.fake.Put(returning("other"))
				began := time.Now()
				if err := Boot(t.Context(), w.Deps, "shop", BootOptions{}); !errors.Is(err, tt.err) {
					t.Errorf("it returned %v", err)
				}
				if took := time.Since(began); took > 10*time.Minute {
					t.Errorf("it took %s", took)
				}
				var left []string
				s, _ := w.fake.Snapshot(t.Context(), "shop")
				for _, p := range s.Pods {
					if !p.Status.Live() {
						left = append(left, p.Spec.Name)
					}
				}
				if strings.Join(left, " ") != tt.left {
					t.Errorf("left %v", left)
				}
				for name, want := range tt.tries {
					if got := calls["start pod "+name]; got != want {
						t.Errorf("%s was tried %d times, want %d", name, got, want)
					}
				}
				said := slices.ContainsFunc(w.kinds(Warned), func(e Event) bool { return strings.Contains(e.Text, "waiting for slow, to be tried again in 1s: ") })
				if tt.name != "one hopeless, one slow" && !said {
					t.Errorf("nothing said what is waited for: %v", w.kinds(Warned))
				}
			})
		})
	}
}

// A failure that concerns nothing that is still due is told once, however often the rest is tried.
func TestBootTellsOfAFailureOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		calls := map[string]int{}
		w.fake.Fail = func(call string) error {
			calls[call]++
			switch {
			case call == "start pod hooked":
				w.fake.Edit("hooked", func(p *api.Pod) { p.Status, p.Returns = api.StatusRunning, false })
				return errors.New("post_start hook 1 exited with code 3")
			case call == "start pod slow" && calls[call] < 4:
				return errors.New("not done in time")
			}
			return nil
		}
		w.fake.Put(returning("hooked"))
		w.fake.Put(returning("slow"))
		err := Boot(t.Context(), w.Deps, "shop", BootOptions{})
		if err == nil || strings.Count(err.Error(), "exited with code 3") != 1 || strings.Contains(err.Error(), "in time") || calls["start pod hooked"] != 1 {
			t.Errorf("after %v: %v", calls, err)
		}
	})
}
