package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var killStep = flag.Duration("kill-step", 10*time.Millisecond, "distance of the moments at which podc is killed")

const three = `
services:
  db: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, volumes: ['data:/data'], healthcheck: {test: 'true', interval: 200ms}}
  app:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    ports: ['127.0.0.1::80']
    depends_on: {db: {condition: service_healthy}}
    secrets: [key]
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, networks: [default, inner], depends_on: [app]}
networks: {inner: {internal: true}}
volumes: {data: {}}
secrets: {key: {file: key.txt}}
`

// podc is killed at every moment of up and of down, alone and with its helpers: the next command always heals it, and what is
// in volumes is never lost.
func TestKilledAtAnyMomentTheNextCommandHeals(t *testing.T) {
	for _, victim := range []struct {
		name string
		kill func(*exec.Cmd)
	}{
		{"podc alone", func(c *exec.Cmd) { c.Process.Kill() }},
		{"podc with its helpers", func(c *exec.Cmd) { killTree(c.Process.Pid) }},
	} {
		t.Run(victim.name, func(t *testing.T) {
			s := newStack(t, three, "key.txt", "secret")
			s.load("busybox")
			kills := s.sweep(victim.kill, func() { s.down("-t", "0") }, "up", "-d")
			kills += s.sweep(victim.kill, func() { s.podc("up", "-d") }, "down", "-t", "0")
			t.Logf("%d kills hit a running podc", kills)
			if kills < 30 {
				t.Errorf("only %d kills hit a running podc: take a smaller -kill-step", kills)
			}
		})
	}
}

// sweep runs a command again and again, killed a little later each time, until it ends before the kill. After each kill the
// project must converge.
func (s *stack) sweep(kill func(*exec.Cmd), prepare func(), args ...string) (kills int) {
	s.t.Helper()
	s.podc("up", "-d")
	s.exec("db", "sh", "-c", "echo precious > /data/file")
	for after := *killStep; ; after += *killStep {
		prepare()
		hit := s.killedAfter(after, kill, args...)
		if !hit {
			return kills
		}
		kills++
		what := fmt.Sprintf("podc %s killed after %s", strings.Join(args, " "), after)
		if out, err := s.try("up", "-d"); err != nil {
			s.t.Fatalf("%s; the next up: %v\n%s", what, err, out)
		}
		for name, r := range s.ps() {
			if r.State != "running" {
				s.t.Fatalf("%s; after the next up %s is %s", what, name, r.State)
			}
		}
		if got := s.exec("db", "cat", "/data/file"); got != "precious" {
			s.t.Fatalf("%s; the volume holds %q", what, got)
		}
		if steps := s.plan(); len(steps) != 0 {
			s.t.Fatalf("%s; the next up left to do: %v", what, steps)
		}
		if out, err := s.try("system", "check"); err != nil {
			s.t.Fatalf("%s; after the next up: %v\n%s", what, err, out)
		}
	}
}

// killedAfter reports whether the kill hit the command before it ended.
func (s *stack) killedAfter(after time.Duration, kill func(*exec.Cmd), args ...string) bool {
	s.t.Helper()
	cmd := s.cmd(context.Background(), args...)
	log, err := os.Create(filepath.Join(s.t.TempDir(), "out"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log // files: nothing that stays may keep the test waiting
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-time.After(after):
		kill(cmd)
		err := <-done
		return err != nil && cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled()
	case err := <-done:
		if err != nil {
			b, _ := os.ReadFile(log.Name())
			s.t.Fatalf("podc %s: %v\n%s", strings.Join(args, " "), err, b)
		}
		return false
	}
}

// killTree kills a process and all its descendants, children first stopped so that none escapes by forking.
func killTree(pid int) {
	syscall.Kill(pid, syscall.SIGSTOP)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	all := string(children)
	for _, path := range tasks {
		b, _ := os.ReadFile(path)
		all += " " + string(b)
	}
	for f := range strings.FieldsSeq(all) {
		var child int
		if fmt.Sscan(f, &child); child > 1 {
			killTree(child)
		}
	}
	syscall.Kill(pid, syscall.SIGKILL)
}
