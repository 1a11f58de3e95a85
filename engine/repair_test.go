package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// plainEngine has roots, and pods that are no more than records: enough for what needs neither root nor containers.
func plainEngine(t *testing.T) *Engine {
	t.Helper()
	dir := t.TempDir()
	e, err := Open(Config{Root: filepath.Join(dir, "data"), RunRoot: filepath.Join(dir, "run")})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func put(t *testing.T, e *Engine, name string, s api.Status) *pod {
	t.Helper()
	p := &pod{e: e, record: record{ID: api.NewID(), Spec: api.PodSpec{Name: name, Group: "t"}}}
	p.state.Status, p.state.Settled = s, true
	if err := errors.Join(os.MkdirAll(e.paths.runPod(name), 0o700), p.save(), p.saveRecord()); err != nil {
		t.Fatal(err)
	}
	return p
}

// Every removal renames its pod into the trash, and whoever finds the trash empty removes it.
func TestPodsRemovedAtOnceAreAllGone(t *testing.T) {
	e := plainEngine(t)
	var names []string
	for i := range 40 {
		name := "p" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		names = append(names, name)
		put(t, e, name, api.StatusExited)
	}
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() {
			if err := e.RemovePod(t.Context(), name, api.RemoveOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left, _ := listDir(e.paths.pods()); len(left) > 0 {
		t.Errorf("still there: %q", left)
	}
}

// Whoever asks for a pod that is gone makes its folder anew by taking the lock, and removes it: not from under who makes the pod anew.
func TestAFolderIsNotRemovedFromUnderWhoHasTheLock(t *testing.T) {
	e := plainEngine(t)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for ctx.Err() == nil {
				e.update(ctx, "p", func(*pod) error { return nil })
			}
		})
	}
	for range 300 {
		l, err := e.lockPod(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		p := &pod{e: e, record: record{ID: api.NewID(), Spec: api.PodSpec{Name: "p", Group: "t"}}}
		for range 5 {
			if err := p.save(); err != nil {
				t.Error(err)
			}
		}
		err = e.removeRunDir("p")
		l.Unlock()
		if err != nil || t.Failed() {
			t.Error(err)
			break
		}
	}
	cancel()
	asking.Wait()
}

// conmon writes how a container ended beside the file, and then gives it its name: whoever tidied up then took that for a remnant.
func TestAnEndThatIsBeingNotedIsLeft(t *testing.T) {
	e := plainEngine(t)
	p := put(t, e, "p", api.StatusExited)
	half, left := e.paths.exit(p.ID+".X1Y2Z3"), e.paths.exit(api.NewID()+".X1Y2Z3")
	err := errors.Join(os.MkdirAll(e.paths.exits(), 0o700), os.WriteFile(half, []byte("0"), 0o600), os.WriteFile(left, []byte("0"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Checker().repair(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); err != nil {
		t.Error("it is gone:", err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("one of a pod that is gone is still there")
	}
}

// Between the look and the remedy another command may have finished what was half made, or made it anew.
func TestARepairLooksAgain(t *testing.T) {
	e := plainEngine(t)
	half := put(t, e, "half", api.StatusCreating)
	if err := os.MkdirAll(e.paths.pod("norecord"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(e.paths.runPod("norun"), 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := e.Checker().findings(true)
	if err != nil || len(found) != 3 {
		t.Fatalf("found %+v, %v", found, err)
	}
	half.state.Status = api.StatusCreated
	if err := half.save(); err != nil {
		t.Fatal(err)
	}
	put(t, e, "norecord", api.StatusCreated)
	put(t, e, "norun", api.StatusCreated)
	for _, f := range found {
		if err := f.mend(t.Context()); err != nil {
			t.Errorf("%s %s: %v", f.Kind, f.Object, err)
		}
	}
	for _, name := range []string{"half", "norecord", "norun"} {
		if p, err := e.Pod(name); err != nil || p.Status != api.StatusCreated {
			t.Errorf("%s: %s, %v", name, p.Status, err)
		}
	}
}

func TestWhatABrokenCreationLeftIsFoundAndMended(t *testing.T) {
	e := plainEngine(t)
	put(t, e, "half", api.StatusCreating)
	put(t, e, "going", api.StatusRemoving)
	if err := os.MkdirAll(filepath.Join(e.paths.pod("norecord"), "main"), 0o700); err != nil {
		t.Fatal(err)
	}
	lockOnly := e.paths.runPod("norun")
	if err := os.MkdirAll(lockOnly, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(e.paths.trash(), api.NewID()), 0o700); err != nil {
		t.Fatal(err)
	}
	found, err := e.Checker().findings(true)
	if err != nil || len(found) != 5 {
		t.Fatalf("found %+v, %v", found, err)
	}
	for _, f := range found {
		if err := f.mend(t.Context()); err != nil {
			t.Errorf("%s %s: %v", f.Kind, f.Object, err)
		}
	}
	for _, dir := range []string{e.paths.pods(), e.paths.runPods(), e.paths.trash()} {
		if left, _ := listDir(dir); len(left) > 0 {
			t.Errorf("still there: %q", left)
		}
	}
}

// What a living process works on, it has locked: that is not broken.
func TestWhatIsBeingMadeIsNotBroken(t *testing.T) {
	e := plainEngine(t)
	put(t, e, "half", api.StatusCreating)
	l, err := e.lockPod(t.Context(), "half")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unlock()
	if found, err := e.Checker().findings(true); err != nil || len(found) > 0 {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestNamesDoNotLeaveTheRoots(t *testing.T) {
	e := plainEngine(t)
	for _, name := range []string{"", ".", "..", "../x", "a/b", "-x", strings.Repeat("x", 300), "a\nb"} {
		if _, err := e.lockPod(t.Context(), name); err == nil {
			t.Errorf("%q is a pod's name", name)
		}
		if err := e.RemovePod(t.Context(), name, api.RemoveOptions{Force: true}); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
}

// A stop notes that it has begun before its signal goes out: whoever comes after its death does not take the pod for running.
func TestAStopIsNotedBeforeItsSignal(t *testing.T) {
	e := plainEngine(t)
	_, proc := running(t)
	p := put(t, e, "a", api.StatusRunning)
	p.state.Settled, p.state.Init = false, proc
	if err := p.save(); err != nil {
		t.Fatal(err)
	}
	if err := proc.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(proc.Pid, &status, unix.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("it does not stop: %#x, %v", status, err)
	}
	ctx, cancel := withCancel(t)
	go func() {
		for { // the signal, SIGTERM, stays pending while the process is stopped
			if v, err := e.Pod("a"); err != nil || v.Halting {
				cancel()
				return
			}
		}
	}()
	e.StopPod(ctx, "a", nil)
	if v, err := e.Pod("a"); err != nil || !v.Halting || v.Status != api.StatusRunning {
		t.Errorf("pod: %+v, %v", v, err)
	}
}

func withCancel(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	return ctx, cancel
}

// The clock may be set while containers run: it decides neither whether one lives, nor whether its end counts.
func TestAClockThatWasSetDecidesNothing(t *testing.T) {
	for name, off := range map[string]time.Duration{"back": time.Hour, "forth": -1000 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			e := plainEngine(t)
			cmd, proc := running(t)
			p := put(t, e, "a", api.StatusRunning)
			p.Spec.Container.Restart = api.RestartPolicy{Name: "always"}
			p.state.Settled, p.state.Init, p.state.Started = false, proc, time.Now().Add(off)
			if err := errors.Join(p.save(), p.saveRecord()); err != nil {
				t.Fatal(err)
			}
			if v, err := e.Pod("a"); err != nil || v.Status != api.StatusRunning {
				t.Fatalf("while it lives: %s, %v", v.Status, err)
			}
			cmd.Process.Kill()
			cmd.Wait()
			if err := errors.Join(os.MkdirAll(e.paths.exits(), 0o700), os.WriteFile(e.paths.exit(p.ID), []byte("3"), 0o600)); err != nil {
				t.Fatal(err)
			}
			now, err := e.read("a")
			if err != nil || now.state.Status != api.StatusExited || now.last.ExitCode != 3 {
				t.Fatalf("after its end: %+v, %v", now.state, err)
			}
			if !now.policy().endedAlone() || !now.policy().wantsRestart() {
				t.Error("its restart policy is not applied")
			}
			if now.policy().scheduleRestart(); time.Until(now.state.NextStart) > MaxBackoff {
				t.Errorf("it is due in %s", time.Until(now.state.NextStart))
			}
		})
	}
}

// A root that does not exist yet has the id that it will have, wherever links lead.
func TestTheIDOfARootStaysWhenItIsMade(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o700), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "link", "a", "b")
	before := RootIDOf(path)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if after, real := RootIDOf(path), RootIDOf(filepath.Join(dir, "real", "a", "b")); before != after || after != real {
		t.Errorf("%s before, %s after, %s by its real name", before, after, real)
	}
}

// running is a process that does nothing.
func running(t *testing.T) (*exec.Cmd, kernel.Process) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, kernel.Find(cmd.Process.Pid)
}
