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

var killStep = flag.Duration("kill-step", 10*time.Millisecond, "distance of the moments at which podc is killed, at least")

// killMoments bounds the moments of one sweep: on a slow machine more of them would add time and find nothing more.
const killMoments = 32

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
			kill := func(c *exec.Cmd) { victim.kill(s, c) }
			kills := s.sweep(kill, func() {
				s.podc("down", "-t", "0")
				for _, left := range census(s).minus(before) {
					if !strings.Contains(left, "/volumes") {
						t.Fatalf("down left %s", left)
					}
				}
			}, "up", "-d")
			kills += s.sweep(kill, func() { s.podc("up", "-d") }, "down", "-t", "0")
			t.Logf("%d kills hit a running podc", kills)
			if kills < 30 {
				t.Errorf("only %d kills hit a running podc: take a smaller -kill-step", kills)
			}
		})
	}
}

// podc is killed at every moment of making a network anew under running containers: the next up finishes it, and no container
// is stopped for it.
func TestKilledWhileANetworkIsMadeAnew(t *testing.T) {
	compose := func(label int) string {
		return fmt.Sprintf(`
services:
  a: {image: localhost/podc-probe, stop_signal: SIGKILL, networks: [front]}
  b: {image: localhost/podc-probe, stop_signal: SIGKILL, networks: [front, default]}
networks: {front: {enable_ipv6: true, labels: {n: '%d'}}}
`, label)
	}
	s := newStack(t, compose(0))
	s.load("probe")
	s.podc("up", "-d")
	before := s.ids()
	kills, label := 0, 0
	for after := *killStep; ; after += *killStep {
		label++
		s.write("compose.yaml", compose(label))
		s.plan() // reads the file, so that the up begins with its steps
		if !s.killedAfter(after, func(c *exec.Cmd) { c.Process.Kill() }, "up", "-d") {
			break
		}
		kills++
		if out, err := s.try("up", "-d"); err != nil {
			t.Fatalf("killed after %s; the next up: %v\n%s", after, err, out)
		}
		s.onlyChanged(before)
		if steps := s.plan(); len(steps) != 0 {
			t.Fatalf("killed after %s; the next up left to do: %v", after, steps)
		}
		if out, err := s.try("system", "check"); err != nil {
			t.Fatalf("killed after %s; after the next up: %v\n%s", after, err, out)
		}
		s.exec("a", "/probe", "get", "http://b:8080/")
		s.exec("b", "/probe", "get", "http://a:8080/")
	}
	if kills < 5 {
		t.Errorf("only %d kills hit a running podc: take a smaller -kill-step", kills)
	}
}

// sweep runs a command again and again, killed a little later each time, until it ends before the kill. After each kill the
// project must converge.
func (s *stack) sweep(kill func(*exec.Cmd), prepare func(), args ...string) (kills int) {
	s.t.Helper()
	return s.sweepBy(*killStep, kill, prepare, args...)
}

// sweepBy is sweep with another distance of the moments, at least; a run that takes long is cut into killMoments.
func (s *stack) sweepBy(step time.Duration, kill func(*exec.Cmd), prepare func(), args ...string) (kills int) {
	s.t.Helper()
	s.podc("up", "-d")
	data := filepath.Join(s.root, "volumes", "p_data", "_data", "file")
	if err := os.WriteFile(data, []byte("precious"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	prepare()
	begun := time.Now()
	s.podc(args...)
	step = max(step, time.Since(begun)/killMoments)
	for after := step; ; after += step {
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
		if got, err := os.ReadFile(data); err != nil || string(got) != "precious" {
			s.t.Fatalf("%s; the volume holds %q, %v", what, got, err)
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

// killAll ends podc as an OOM killer or the end of its cgroup does: with all that it runs for the stack, be it podc-image,
// podc-compose, conmon, the runtime, monitors, guardians or exit handlers. Only the containers stay. All are stopped before
// the first one dies, so that none can answer the death of another. It returns when they are gone.
func (s *stack) killAll(podc *exec.Cmd) {
	doomed := map[int]bool{podc.Process.Pid: true}
	syscall.Kill(podc.Process.Pid, syscall.SIGSTOP)
	for found := true; found; {
		found = false
		for pid, line := range commandLines() {
			cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)) // all that podc-compose, which reads its question, shows of us
			ours := strings.Contains(strings.Join(line, " "), filepath.Dir(s.root)) || cwd == s.dir
			if doomed[pid] || !ours || !helperPrograms[filepath.Base(line[0])] {
				continue
			}
			doomed[pid], found = true, true
			syscall.Kill(pid, syscall.SIGSTOP)
		}
	}
	for pid := range doomed {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	eventually(s.t, 10*time.Second, func() error {
		for pid := range doomed {
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
				return fmt.Errorf("process %d survives SIGKILL", pid)
			}
		}
		return nil
	})
}

var helperPrograms = map[string]bool{"podc-image": true, "podc-compose": true, "podc-monitor": true, "conmon": true, "crun": true}
