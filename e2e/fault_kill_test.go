package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"podc.example/podc/internal/disk"
)

// `down -v` that is killed at any moment is finished by the next one; until then a volume is never gone before its container.
func TestAKilledDownWithVolumesIsFinishedByTheNext(t *testing.T) {
	for _, victim := range []struct {
		name string
		kill func(*stack, *exec.Cmd)
	}{
		{"podc alone", func(_ *stack, c *exec.Cmd) { c.Process.Kill() }},
		{"podc with its helpers", (*stack).killAll},
	} {
		t.Run(victim.name, func(t *testing.T) {
			t.Parallel()
			s := newStack(t, three, "key.txt", "secret")
			s.load("busybox")
			before := census(s)
			kills := 0
			data := filepath.Join(s.root, "volumes", "p_data", "_data", "file")
			for hit, after := true, 30*time.Millisecond; hit; after += 30 * time.Millisecond {
				s.podc("up", "-d")
				if err := os.WriteFile(data, []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
				hit = s.killedAfter(after, func(c *exec.Cmd) { victim.kill(s, c) }, "down", "-v", "-t", "0")
				if _, err := os.Stat(filepath.Join(s.root, "pods", "p-db-1", "spec.json")); err == nil {
					if _, err := os.Stat(data); err != nil {
						t.Errorf("killed after %s: the volume is gone before its container: %v", after, err)
					}
				}
				if hit {
					kills++
				}
				s.podc("down", "-v", "-t", "0")
				for _, left := range census(s).minus(before) {
					t.Errorf("killed after %s, the next down -v left: %s", after, left)
				}
			}
			t.Logf("%d kills hit a running podc", kills)
		})
	}
}

// A container outlives its conmon; when it ends, its restart policy holds, though its exit code is not known.
func TestAKilledConmonTakesNothingAlong(t *testing.T) {
	s := newStack(t, supervised)
	s.load("busybox")
	s.podc("up", "-d", "--wait")
	fragile, probed := s.pid("p-fragile-1"), s.pid("p-probed-1")
	for _, pid := range pidsWith("conmon", filepath.Join(s.run, "runtime")) {
		kill(t, pid)
	}
	for name, r := range s.ps() {
		if r.State != "running" {
			t.Errorf("%s is %s", name, r.State)
		}
	}
	if s.pid("p-fragile-1") != fragile || s.pid("p-probed-1") != probed {
		t.Error("a container was restarted")
	}
	if steps := s.plan(); len(steps) != 0 {
		t.Errorf("left to do: %v", steps)
	}
	s.exec("probed", "true")
	kill(t, fragile)
	eventually(t, 5*time.Second, func() error {
		if r := s.ps()["p-fragile-1"]; r.State != "running" || s.pid("p-fragile-1") == fragile {
			return fmt.Errorf("it is %s", r.State)
		}
		return nil
	})
	kill(t, probed)
	eventually(t, 5*time.Second, func() error {
		if r := s.ps()["p-probed-1"]; r.State != "exited" || r.ExitCode != 255 {
			return fmt.Errorf("it is %s with code %d", r.State, r.ExitCode)
		}
		return nil
	})
}

// Somebody kills a container's first process from outside: the code is known, the policy is applied once, nothing stays.
func TestAContainerKilledFromOutside(t *testing.T) {
	s := newStack(t, `
services:
  plain: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, ports: ['127.0.0.1::80']}
  fragile: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, restart: 'on-failure:3'}
`)
	s.load("busybox")
	s.podc("up", "-d")
	plain, fragile := s.ps()["p-plain-1"].ID, s.pid("p-fragile-1")
	kill(t, s.pid("p-plain-1"))
	kill(t, fragile)
	eventually(t, 5*time.Second, func() error {
		rows := s.ps()
		if p, f := rows["p-plain-1"], rows["p-fragile-1"]; p.State != "exited" || p.ExitCode != 137 || f.State != "running" || s.pid("p-fragile-1") == fragile {
			return fmt.Errorf("plain is %s (%d), fragile is %s", p.State, p.ExitCode, f.State)
		}
		return nil
	})
	again := s.pid("p-fragile-1")
	eventually(t, 5*time.Second, func() error { // the exit handler, a second later, finds nothing to do
		for thing := range census(s) {
			if strings.Contains(thing, plain) {
				return fmt.Errorf("still there: %s", thing)
			}
		}
		return nil
	})
	if s.pid("p-fragile-1") != again {
		t.Error("it was restarted twice")
	}
}

// A runtime that dies in the middle of a creation leaves cgroups and processes that its own delete does not find.
func TestARuntimeKilledWhileItCreatesIsClearedAway(t *testing.T) {
	crun, err := exec.LookPath("crun")
	if err != nil {
		t.Skip(err)
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip(err)
	}
	s := newStack(t, strings.ReplaceAll(web, "sh -c 'mkdir", "sh -c 'true && mkdir"))
	s.load("busybox")
	path := s.env
	for _, point := range []string{"mkdir:1", "mkdir:7", "mkdirat:2", "mount:1", "mount:9", "clone:1", "openat:60", "write:3", "write:12", "sendto:1", "mknodat:1"} {
		call, n, _ := strings.Cut(point, ":")
		s.program("crun", fmt.Sprintf(`#!/bin/sh
case " $* " in
*" create "*) exec strace -qq -o /dev/null -e trace=%s -e inject=%s:signal=KILL:when=%s %s "$@" ;;
esac
exec %s "$@"
`, call, call, n, crun, crun))
		begun := time.Now()
		out, err := s.try("up", "-d")
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("%s: up took %s", point, took)
		}
		if err == nil {
			t.Logf("%s: crun does not come so far", point)
		} else if !strings.Contains(out, `cannot start "p-web-1"`) {
			t.Errorf("%s: the message does not say what failed:\n%s", point, out)
		}
		s.env = path
		s.podc("up", "-d")
		if r := s.ps()["p-web-1"]; r.State != "running" {
			t.Errorf("%s: the next up left the pod %s", point, r.State)
		}
		if out, err := s.try("system", "check"); err != nil {
			t.Errorf("%s: %v\n%s", point, err, out)
		}
		s.down("-t", "0")
		for thing := range census(s) {
			if strings.HasPrefix(thing, "cgroup ") || strings.HasPrefix(thing, "process ") {
				t.Errorf("%s: left behind: %s", point, thing)
			}
		}
	}
}

// halted stops processes, thread by thread as the kernel does, and has them go on at the end of the test at the latest.
func halted(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatal("no process to stop")
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		started := startTime(pid)
		t.Cleanup(func() {
			if startTime(pid) == started {
				syscall.Kill(pid, syscall.SIGCONT)
			}
		})
		eventually(t, 10*time.Second, func() error {
			threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
			for _, thread := range threads {
				if b, err := os.ReadFile(thread); err == nil && bytes.ContainsAny(b[bytes.LastIndexByte(b, ')')+1:][:2], "RSD") {
					return fmt.Errorf("a thread goes on: %s", b)
				}
			}
			return nil
		})
	}
}

// haltedBetweenDeeds is halted for processes that work on networks: not while they hold the lock that everybody needs.
func haltedBetweenDeeds(t *testing.T, s *stack, pids []int) {
	t.Helper()
	lock := filepath.Join(s.run, "net", "lock")
	for halted(t, pids); disk.Held(lock); halted(t, pids) {
		for _, pid := range pids {
			syscall.Kill(pid, syscall.SIGCONT)
		}
		if err := disk.Await(t.Context(), lock); err != nil {
			t.Fatal(err)
		}
	}
}

// startTime tells a process from the next one with its pid; empty if there is none.
func startTime(pid int) string {
	b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]); len(f) > 19 {
		return string(f[19])
	}
	return ""
}

// within fails if podc takes longer than d.
func (s *stack) within(d time.Duration, args ...string) {
	s.t.Helper()
	begun := time.Now()
	s.podc(args...)
	if took := time.Since(begun); took > d {
		s.t.Errorf("podc %s took %s", strings.Join(args, " "), took)
	}
}

// A monitor that hangs holds nobody up for longer than its deadlines, and is replaced.
func TestAHungMonitorIsReplaced(t *testing.T) {
	t.Parallel() // it is mostly waiting
	s := newStack(t, supervised)
	s.load("busybox")
	s.podc("up", "-d", "--wait")
	hung := pidsWith("podc-monitor", "monitor", s.run)
	halted(t, hung)
	s.within(5*time.Second, "ps", "-a")
	s.within(5*time.Second, "exec", "-T", "probed", "true")
	s.within(15*time.Second, "up", "-d", "--force-recreate", "-t", "0")
	for _, pid := range pidsWith("podc-monitor", "monitor", s.run) {
		if pid == hung[0] {
			t.Error("the hung monitor is still there")
		}
	}
	if got := s.exec("probed", "nslookup", "fragile"); !strings.Contains(got, "Address") {
		t.Errorf("names are not answered: %q", got)
	}
	// Both of them hang, and nothing is left that would need one.
	halted(t, append(pidsWith("podc-monitor", "monitor", s.run), pidsWith("podc-monitor", "guard", s.run)...))
	s.within(30*time.Second, "down", "-v", "-t", "0")
}

// A conmon that hangs does not note the end of its container: the stop does without it.
func TestAHungConmonDoesNotHoldUpAStop(t *testing.T) {
	t.Parallel() // it is mostly waiting
	s := newStack(t, web)
	s.load("busybox")
	s.podc("up", "-d")
	halted(t, pidsWith("conmon", filepath.Join(s.run, "runtime")))
	s.within(20*time.Second, "stop", "-t", "0")
	if r := s.ps()["p-web-1"]; r.State != "exited" {
		t.Errorf("it is %s", r.State)
	}
}
