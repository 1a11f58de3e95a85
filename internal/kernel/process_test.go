package kernel

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func running(t *testing.T) (*exec.Cmd, Process) {
	t.Helper()
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, Find(cmd.Process.Pid)
}

// A pid that was noted may be that of a stranger by now: its start time tells.
func TestAReusedPidIsNeverSignalled(t *testing.T) {
	cmd, p := running(t)
	if !p.Alive() {
		t.Fatal("it runs")
	}
	earlier := Process{Pid: p.Pid, Start: p.Start - 1}
	if earlier.Alive() || earlier.Life() != gone {
		t.Error("another process counts as the one that was noted")
	}
	if err := earlier.Signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: %v", err)
	}
	if err := earlier.Wait(t.Context()); err != nil {
		t.Errorf("wait: %v", err)
	}
	if cmd.Process.Signal(unix.Signal(0)) != nil || p.Life() != Living {
		t.Error("the stranger was killed")
	}
}

func TestAZombieIsGone(t *testing.T) {
	_, p := running(t)
	if err := p.Signal(unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/self/task"); err != nil || p.Life() != gone || Find(p.Pid) != (Process{}) {
		t.Error("a zombie that nobody has reaped counts as alive")
	}
}

func TestThisProcessLives(t *testing.T) {
	if Find(os.Getpid()).Life() != Living {
		t.Error("a process of many threads is not seen to live")
	}
}

func TestOnlyPidsOfProcessesAreSignalled(t *testing.T) {
	for _, p := range []Process{{}, {Pid: -1}, {Pid: 0, Start: 1}} {
		if err := p.Signal(unix.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("%+v: %v", p, err)
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
			if err := (Process{Pid: id, Start: 1}).Signal(0); !errors.Is(err, os.ErrProcessDone) {
				t.Errorf("a signal to a thread: %v", err)
			}
		}
	}
}
