package engine

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func running(t *testing.T) (*exec.Cmd, process) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, findProcess(cmd.Process.Pid)
}

// A pid that was noted may be that of a stranger by now: its start time tells.
func TestAReusedPidIsNeverSignalled(t *testing.T) {
	cmd, p := running(t)
	if !p.alive() {
		t.Fatal("it runs")
	}
	earlier := process{Pid: p.Pid, Start: p.Start - 1}
	if earlier.alive() || earlier.life() != gone {
		t.Error("another process counts as the one that was noted")
	}
	if err := earlier.signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	if err := earlier.wait(t.Context()); err != nil {
		t.Errorf("wait: %v", err)
	}
	if cmd.Process.Signal(unix.Signal(0)) != nil || p.life() != living {
		t.Error("the stranger was killed")
	}
}

func TestAZombieIsGone(t *testing.T) {
	_, p := running(t)
	if err := p.signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.wait(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/task"); err != nil || p.life() != gone || findProcess(p.Pid) != (process{}) {
		t.Error("a zombie that nobody has reaped counts as alive")
	}
}

func TestThisProcessLives(t *testing.T) {
	if findProcess(os.Getpid()).life() != living {
		t.Error("a process of many threads is not seen to live")
	}
}

func TestOnlyPidsOfProcessesAreSignalled(t *testing.T) {
	for _, p := range []process{{}, {Pid: -1}, {Pid: 0, Start: 1}} {
		if err := p.signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestHybridCgroupsThatCrunRefusesAreNamed(t *testing.T) {
	dir := t.TempDir()
	if err := checkHybrid(dir); err != nil {
		t.Errorf("no unified hierarchy: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "unified"), 0o755); err != nil {
		t.Fatal(err)
	}
	for content, refused := range map[string]bool{"\n": false, "hugetlb misc\n": true} {
		if err := os.WriteFile(filepath.Join(dir, "unified", "cgroup.controllers"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		err := checkHybrid(dir)
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "hugetlb, misc") {
			t.Errorf("with controllers %q: %v", content, err)
		}
	}
}

// The number of a process that has ended may be that of another's thread by now.
func TestAThreadIsNoProcess(t *testing.T) {
	tid, end := make(chan int), make(chan struct{})
	defer close(end)
	for range 2 { // one of them at least is not the first thread
		go func() {
			runtime.LockOSThread()
			tid <- unix.Gettid()
			<-end
		}()
	}
	for range 2 {
		if id := <-tid; id != os.Getpid() {
			if err := (process{Pid: id, Start: 1}).signal(0); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("a signal to a thread: %v", err)
			}
		}
	}
}
