package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// ticking counts in a file of the container, so that a look at the file shows whether it runs.
func ticking(name string) api.PodSpec {
	return shell(name, `trap 'exit 3' TERM; echo x > /tmp/ticks; echo up; while sleep 0.01; do echo x >> /tmp/ticks; done`)
}

func ticks(t *testing.T, e *Engine, name string) int64 {
	t.Helper()
	fi, err := os.Stat(filepath.Join(e.paths.merged(name), "tmp/ticks"))
	if err != nil {
		t.Fatal(err)
	}
	return fi.Size()
}

func TestAPausedPodDoesNothingUntilItIsUnpaused(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	spec := ticking("p")
	spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", "true"}, Interval: 50 * time.Millisecond}
	mustRun(t, e, spec, img)
	awaitOutput(t, e, "p", "up")
	if err := e.UnpausePod(t.Context(), "p"); !errdefs.IsConflict(err) {
		t.Errorf("a pod that is not paused was unpaused: %v", err)
	}
	if err := e.PausePod(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	p, err := e.Pod("p")
	if err != nil || p.Status != api.StatusPaused || p.Pid == 0 {
		t.Fatalf("paused, it is %+v, %v", p, err)
	}
	before, probes := ticks(t, e, "p"), len(p.Probes)
	<-time.After(300 * time.Millisecond) // nothing happens, which no event tells
	if after := ticks(t, e, "p"); after != before {
		t.Errorf("while paused it went from %d to %d", before, after)
	}
	if p, _ = e.Pod("p"); p.Health != api.HealthStarting && p.Health != api.HealthHealthy || len(p.Probes) > probes+1 {
		t.Errorf("while paused its health is %s after %d probes, %d before", p.Health, len(p.Probes), probes)
	}
	for what, err := range map[string]error{
		"pause": e.PausePod(t.Context(), "p"), "start": e.StartPod(t.Context(), "p"), "remove": e.RemovePod(t.Context(), "p", api.RemoveOptions{}), "exec": func() error {
			_, err := e.ExecCommand(t.Context(), "p", ExecOptions{ExecOptions: api.ExecOptions{Args: []string{"true"}}})
			return err
		}(),
	} {
		if err == nil || !strings.Contains(err.Error(), "paused") {
			t.Errorf("%s of a paused pod: %v", what, err)
		}
	}
	if err := e.UnpausePod(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.WaitPod(ctx, "p", api.Healthy); err != nil {
		t.Error(err)
	}
	if ticks(t, e, "p") == before {
		t.Error("unpaused, it does not go on")
	}
}

func TestAPausedPodEndsWhenItIsToldTo(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	for name, end := range map[string]func(string) error{
		"stopped": func(name string) error { return e.StopPod(t.Context(), name, nil) },
		"killed":  func(name string) error { return e.KillPod(t.Context(), name, "SIGKILL") },
		"termed":  func(name string) error { return e.KillPod(t.Context(), name, "SIGTERM") },
	} {
		mustRun(t, e, ticking(name), img)
		awaitOutput(t, e, name, "up")
		if err := e.PausePod(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := end(name); err != nil {
			t.Error(err)
		}
		want := 3
		if name == "killed" {
			want = 137
		}
		if p, _ := outcome(t, e, name); p.ExitCode != want {
			t.Errorf("%s ended with %d, want %d", name, p.ExitCode, want)
		}
	}
	mustRun(t, e, ticking("forced"), img)
	if err := e.PausePod(t.Context(), "forced"); err != nil {
		t.Fatal(err)
	}
	if err := e.RemovePod(t.Context(), "forced", api.RemoveOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

func TestASignalReachesAPausedPodOnceItGoesOn(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	mustRun(t, e, shell("p", `trap 'echo got it; exit 5' USR1; echo up; while :; do sleep 0.01; done`), img)
	awaitOutput(t, e, "p", "up")
	if err := e.PausePod(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if err := e.KillPod(t.Context(), "p", "USR1"); err != nil {
		t.Fatal(err)
	}
	if p, _ := e.Pod("p"); p.Status != api.StatusPaused {
		t.Fatalf("it is %s", p.Status)
	}
	if err := e.UnpausePod(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if p, out := outcome(t, e, "p"); p.ExitCode != 5 || !strings.HasSuffix(out, "got it") {
		t.Errorf("it ended with %d: %s", p.ExitCode, out)
	}
}

func TestAPodThatWasPausedIsKnownAsSuchWithoutItsState(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	mustRun(t, e, ticking("p"), img)
	if err := e.PausePod(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(e.paths.state("p")); err != nil {
		t.Fatal(err)
	}
	if p, err := e.Pod("p"); err != nil || p.Status != api.StatusPaused {
		t.Errorf("it is %s, %v", p.Status, err)
	}
	if err := e.UnpausePod(t.Context(), "p"); err != nil {
		t.Error(err)
	}
}

// What a pause that was cut short before it took effect leaves: a record, and a pod that runs.
func TestAPauseCutShortIsNone(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	mustRun(t, e, ticking("p"), img)
	if err := e.update(t.Context(), "p", func(p *pod) error { p.state.Paused = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if p, err := e.Pod("p"); err != nil || p.Status != api.StatusRunning {
		t.Errorf("it is %s, %v", p.Status, err)
	}
	if err := e.PausePod(t.Context(), "p"); err != nil {
		t.Error(err)
	}
}
