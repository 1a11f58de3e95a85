package monitor

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/engine"
	"podc.example/podc/engine/logfile"
)

// names is a Resolver that takes notes.
type names struct{ asked []string }

func (n *names) Serve(_ context.Context, id string) error {
	n.asked = append(n.asked, "serve "+id)
	if id == "bad" {
		return errors.New("no such attachment")
	}
	return nil
}

func (n *names) Stop(id string) { n.asked = append(n.asked, "stop "+id) }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func openEngine(t *testing.T, dir string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(engine.Config{Root: dir + "/data", RunRoot: dir + "/run", Helpers: dir})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestAMonitorWithoutPodsEndsAtOnce(t *testing.T) {
	e := openEngine(t, t.TempDir())
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	release, err := Run(ctx, Config{Engine: e, Group: group, Log: quiet(), Names: &names{}, Ready: w, Guardian: func() (*os.File, error) { return nil, errors.New("none here") }})
	release()
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 10)
	if n, _ := r.Read(line); string(line[:n]) != "ready\n" {
		t.Errorf("it said %q", line[:n])
	}
	if !endedInOrder(e.Monitors().Dir(group)) {
		t.Error("its guardian would bring it back")
	}
	if err := e.Monitors().AwaitEnd(t.Context(), group); err != nil {
		t.Error(err)
	}
}

// A root's path may be longer than a socket's may be.
func TestTheDoorAnswersHoweverLongItsPath(t *testing.T) {
	e := openEngine(t, filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	if err := os.MkdirAll(e.Monitors().Dir(group), 0o700); err != nil {
		t.Fatal(err)
	}
	n := &names{}
	d := &door{dir: e.Monitors().Dir(group), names: &served{resolver: n, ids: map[string]*attachment{}}, log: quiet().Error}
	if err := e.Monitors().Ping(t.Context(), group); err == nil {
		t.Error("answered before it was open")
	}
	for range 2 { // the second time over what the first left
		if err := d.open(); err != nil {
			t.Fatal(err)
		}
		if err := e.Monitors().Ping(t.Context(), group); err != nil {
			t.Error(err)
		}
		d.close()
		if err := e.Monitors().Ping(t.Context(), group); err == nil {
			t.Error("answered after it was shut")
		}
	}
}

func TestNamesAreServedOnce(t *testing.T) {
	n := &names{}
	s := &served{resolver: n, ids: map[string]*attachment{}}
	ctx := t.Context()
	if err := s.serve(ctx, "a", true); err != nil {
		t.Error(err)
	}
	if err := errors.Join(s.serve(ctx, "a", false), s.serve(ctx, "b", false), s.serve(ctx, "b", false)); err != nil {
		t.Error(err)
	}
	for range 2 {
		if s.serve(ctx, "bad", false) == nil {
			t.Error("a failure was forgotten")
		}
	}
	s.stop("a")
	s.stop("nobody")
	want := []string{"serve a", "serve b", "serve bad", "serve bad", "stop a", "stop nobody"}
	if !slices.Equal(n.asked, want) {
		t.Errorf("asked %q, want %q", n.asked, want)
	}
}

func TestTheIntervalIsShorterWhileStarting(t *testing.T) {
	h := &api.HealthCheck{Interval: 30 * time.Second, StartInterval: time.Second, StartPeriod: time.Minute}
	now := time.Now()
	for _, c := range []struct {
		health  api.Health
		started time.Time
		want    time.Duration
	}{
		{api.HealthStarting, now, time.Second},
		{api.HealthStarting, now.Add(-2 * time.Minute), 30 * time.Second},
		{api.HealthHealthy, now, 30 * time.Second},
		{api.HealthUnhealthy, now.Add(-2 * time.Minute), 30 * time.Second},
	} {
		if got := interval(h, c.health, c.started); got != c.want {
			t.Errorf("%s, started %s ago: %s", c.health, now.Sub(c.started), got)
		}
	}
	if since := sinceLast(api.Pod{Started: now.Add(time.Hour)}); since != 0 {
		t.Errorf("a clock set back made it %s", since)
	}
	if since := sinceLast(api.Pod{Started: now.Add(-time.Hour), Probes: []api.Probe{{End: now}}}); since > time.Minute {
		t.Errorf("counted %s from the start", since)
	}
}

func TestProbeForms(t *testing.T) {
	for _, c := range []struct{ test, want []string }{
		{[]string{"CMD", "a", "b"}, []string{"a", "b"}},
		{[]string{"CMD-SHELL", "a b"}, []string{"/bin/sh", "-c", "a b"}},
		{[]string{"CMD-SHELL", "a b", "c"}, []string{"/bin/sh", "-c", "a b", "c"}},
		{[]string{"CMD"}, nil},
		{[]string{"a", "b"}, nil},
		{nil, nil},
	} {
		if got, err := probeArgs(c.test); !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) {
			t.Errorf("%q became %q, %v", c.test, got, err)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	var o output
	for range 3 {
		if n, err := o.Write([]byte(strings.Repeat("x", 3000))); n != 3000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(o.String()) != maxOutput {
		t.Errorf("kept %d bytes", len(o.String()))
	}
}

func TestASignalledProbeHasTheShellsCode(t *testing.T) {
	cmd := exec.Command("sh", "-c", "kill -9 $$")
	cmd.Run()
	if code := exitCode(cmd.ProcessState); code != 137 {
		t.Errorf("code %d", code)
	}
}

func TestRevivalsComeAtOnceThenSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r revival
		var got []time.Duration
		for range 8 {
			got = append(got, r.next())
			r.begun()
		}
		ms := time.Millisecond
		if want := []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms}; !slices.Equal(got, want) {
			t.Errorf("pauses %v", got)
		}
		time.Sleep(longLife) // of the bubble's clock
		if pause := r.next(); pause != 0 {
			t.Errorf("after a long life: %s", pause)
		}
	})
}

func TestAFloodIsLookedAtMoreOftenThanATrickle(t *testing.T) {
	at := time.Now()
	p := pace{per: math.Inf(1)}
	look := func(size int64, after time.Duration) time.Duration {
		at = at.Add(after)
		return p.next(logfile.State{Size: size, Max: 10 << 20}, at)
	}
	if d := look(0, 0); d != minLook {
		t.Errorf("at first: %s", d)
	}
	if d := look(4<<20, 40*time.Millisecond); d > 40*time.Millisecond {
		t.Errorf("at 100 MiB a second: %s", d)
	}
	if d := look(4<<20+100, 200*time.Millisecond); d >= maxLook {
		t.Errorf("the flood is forgotten at once: %s", d)
	}
	for range 10 {
		look(4<<20+200, 200*time.Millisecond)
	}
	if d := look(4<<20+300, 200*time.Millisecond); d != maxLook {
		t.Errorf("a trickle: %s", d)
	}
	if d := look(4<<20+400, 2*time.Second); d != minLook {
		t.Errorf("after a silence: %s", d)
	}
}

func TestAGuardianLeavesAnOrderlyEndAlone(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		note string
		want int
	}{{"1\n", 1}, {"", 0}} {
		monitor := exec.Command("sleep", "600")
		if err := monitor.Start(); err != nil {
			t.Fatal(err)
		}
		watch, err := pidfd(monitor.Process.Pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "lock"), []byte(c.note), 0o600); err != nil {
			t.Fatal(err)
		}
		revived := 0
		done := make(chan error)
		go func() { done <- Guard(dir, watch, func() error { revived++; return nil }, quiet()) }()
		monitor.Process.Kill()
		monitor.Wait()
		if err := <-done; err != nil || revived != c.want {
			t.Errorf("note %q: revived %d times, %v", c.note, revived, err)
		}
	}
}

func TestAGuardianGivesUpAndIsNotFooledByKills(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lock"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dead := exec.Command("true")
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	watch, err := pidfd(dead.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	dead.Wait()
	outcomes := []error{ErrKilled, ErrKilled, errors.New("broken"), nil, errors.New("not reached")}
	revived := 0
	err = Guard(dir, watch, func() error { revived++; return outcomes[revived-1] }, quiet())
	if err != nil || revived != 4 {
		t.Errorf("revived %d times: %v", revived, err)
	}
}
