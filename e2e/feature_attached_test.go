package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// running is a podc command that goes on while a test looks at it. Its output is in files: what it starts may outlive it.
type running struct {
	s    *stack
	cmd  *exec.Cmd
	log  string // both streams
	done chan struct{}
}

// begin starts podc. It is killed at the end of the test if it still runs then.
func (s *stack) begin(args ...string) *running {
	s.t.Helper()
	r := &running{s: s, cmd: s.cmd(s.t.Context(), args...), log: filepath.Join(s.t.TempDir(), "log"), done: make(chan struct{})}
	f, err := os.Create(r.log)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	r.cmd.Stdout, r.cmd.Stderr = f, f
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		r.cmd.Wait()
		close(r.done)
	}()
	return r
}

func (r *running) output() string {
	b, err := os.ReadFile(r.log)
	if err != nil {
		r.s.t.Fatal(err)
	}
	return string(b)
}

// prints waits until text has been printed.
func (r *running) prints(text string) {
	r.s.t.Helper()
	eventually(r.s.t, 20*time.Second, func() error {
		if out := r.output(); !strings.Contains(out, text) {
			return fmt.Errorf("%q is not in %q", text, out)
		}
		return nil
	})
}

func (r *running) interrupt() { r.cmd.Process.Signal(syscall.SIGINT) }

// ends waits for the end of the command, which must have an exit code.
func (r *running) ends(code int) {
	r.s.t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		r.cmd.Process.Kill()
		r.s.t.Fatalf("it does not end; it printed %s", r.output())
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.s.t.Errorf("it ends with code %d, want %d; it printed %s", got, code, r.output())
	}
}

const talkers = `
x-shell: &shell {image: localhost/podc-busybox}
services:
  base: {<<: *shell, command: [sh, -c, 'trap "echo base ends; exit 0" TERM; echo base begins; while :; do sleep 0.05; done']}
  web: {<<: *shell, command: [sh, -c, 'trap "echo web ends; exit 0" TERM; echo web begins; echo web errs >&2; while :; do sleep 0.05; done'], depends_on: [base]}
  hushed: {<<: *shell, command: [sh, -c, 'echo hushed begins; exec sleep 1000'], attach: false, stop_signal: SIGKILL}
`

func TestAttachedUp(t *testing.T) {
	s := newStack(t, talkers)
	s.load("busybox")
	s.behaves("shows output with prefixes, and stops in order at an interrupt, with code 130", func(s *stack) {
		up := s.begin("up")
		up.prints("web-1   | web begins\n")
		up.prints("web-1   | web errs\n")
		up.prints("base-1  | base begins\n")
		up.interrupt()
		up.ends(130)
		out := up.output()
		contains(s.t, out, "Attaching to base-1, web-1", "web-1   | web ends\n", "base-1  | base ends\n")
		if strings.Index(out, "base ends") < strings.Index(out, "web ends") {
			s.t.Errorf("the dependency was stopped first: %s", out)
		}
		if strings.Contains(out, "hushed begins") {
			s.t.Error("attach: false was not heeded")
		}
		for name, r := range s.ps() {
			if r.State != "exited" {
				s.t.Errorf("%s is %s", name, r.State)
			}
		}
	})
	s.behaves("shows only what is asked for", func(s *stack) {
		up := s.begin("up", "--attach", "hushed", "--no-log-prefix")
		up.prints("\nhushed begins\n")
		up.cmd.Process.Signal(syscall.SIGTERM)
		up.ends(130)
		if out := up.output(); strings.Contains(out, "web begins") {
			s.t.Errorf("it shows %s", out)
		}
	})
	s.behaves("of a named service shows it alone, and leaves its dependencies running", func(s *stack) {
		up := s.begin("up", "--no-attach", "base", "web", "--timestamps")
		up.prints(" web begins\n")
		up.interrupt()
		up.ends(130)
		if out := up.output(); strings.Contains(out, "base begins") {
			s.t.Errorf("it shows %s", out)
		}
		if rows := s.ps(); rows["p-web-1"].State != "exited" || rows["p-base-1"].State != "running" {
			s.t.Errorf("there is %v", rows)
		}
	})
	s.behaves("of a named service ends with that, whatever its dependencies do", func(s *stack) {
		up := s.begin("up", "--attach-dependencies", "web")
		up.prints("web-1   | web begins\n")
		s.podc("stop", "web")
		up.ends(0)
		contains(s.t, up.output(), "web-1 exited with code 0\n")
		if r := s.ps()["p-base-1"]; r.State != "running" {
			s.t.Errorf("base is %s", r.State)
		}
	})
	s.behaves("shows containers that come back", func(s *stack) {
		s.podc("stop", "-t", "0")
		up := s.begin("up")
		up.prints("web begins\n")
		s.podc("restart", "web")
		eventually(s.t, 10*time.Second, func() error {
			if n := strings.Count(up.output(), "web begins"); n < 2 {
				return fmt.Errorf("shown %d times: %s", n, up.output())
			}
			return nil
		})
		up.interrupt()
		up.ends(130)
	})
	s.behaves("kills at a second interrupt", func(s *stack) {
		s.write("compose.yaml", `
services:
  stubborn: {image: localhost/podc-probe, command: stubborn, stop_grace_period: 1h}
`)
		s.load("probe")
		up := s.begin("up", "--remove-orphans")
		up.prints("ignoring SIGTERM")
		up.interrupt()
		up.prints("Gracefully")
		up.interrupt()
		up.ends(130)
		s.ended("stubborn", 137)
	})
}

func TestMenuOfAttachedUp(t *testing.T) {
	s := newStack(t, talkers)
	s.load("busybox")
	s.behaves("d leaves the containers running", func(s *stack) {
		up := s.onTerminal("up")
		up.shows("d detach")
		up.types("\nwd")
		up.shows("not available yet")
		up.shows("the containers run on")
		up.ends(0)
		if r := s.ps()["p-web-1"]; r.State != "running" {
			s.t.Errorf("web is %s", r.State)
		}
	})
	s.behaves("Ctrl-C is an interrupt", func(s *stack) {
		up := s.onTerminal("up", "--menu")
		up.shows("d detach")
		up.types("\x03")
		up.shows("Gracefully")
		up.ends(130)
	})
	s.behaves("without it keys mean nothing", func(s *stack) {
		for _, begin := range []func() *session{
			func() *session { return s.onTerminal("up", "--menu=false") },
			func() *session { return s.with("COMPOSE_MENU=false").onTerminal("up") },
		} {
			up := begin()
			up.shows("web begins")
			up.types("d\x03")
			up.shows("Gracefully")
			up.ends(130)
			if strings.Contains(up.shown(), "d detach") {
				s.t.Errorf("it shows %s", up.shown())
			}
		}
	})
}

func TestEndsOfAttachedUp(t *testing.T) {
	s := newStack(t, `
services:
  job: {image: localhost/podc-busybox, command: sh -c 'echo job; exit 0', depends_on: &ready {server: {condition: service_healthy, required: false}}}
  other: {image: localhost/podc-busybox, command: sh -c 'sleep 0.2; exit 0', depends_on: *ready}
  failing: {image: localhost/podc-busybox, command: sh -c 'sleep 0.2; exit 7', profiles: [failing], depends_on: *ready}
  server: # healthy once it has its trap: until then it cannot be stopped politely
    image: localhost/podc-busybox
    command: [sh, -c, 'trap "exit 42" TERM; touch /ready; while :; do sleep 0.05; done']
    healthcheck: {test: test -e /ready, start_period: 10s, start_interval: 50ms}
    profiles: [server]
  again: {image: localhost/podc-busybox, command: sh -c 'echo last words; exit 3', restart: "on-failure:2", profiles: [again]}
  unkept: {image: localhost/podc-busybox, command: sh -c 'echo the first; echo and errors >&2; sleep 0.1; printf "the last"; exit 3', restart: "on-failure:1", logging: {driver: none}, profiles: [again]}
  forever: {image: localhost/podc-busybox, command: sh -c 'exit 3', restart: always, depends_on: *ready, profiles: [again]}
`)
	s.load("busybox")
	s.behaves("it ends when nothing runs any more", func(s *stack) {
		up := s.begin("up")
		up.ends(0)
		contains(s.t, up.output(), "job-1 exited with code 0", "other-1 exited with code 0")
	})
	s.behaves("it shows every end, those that a restart follows too, after the words of that run", func(s *stack) {
		up := s.begin("up", "again")
		up.ends(0)
		const run, restart = "again-1  | last words\n", "again-1 exited with code 3 (restarting)\n"
		var told strings.Builder // beside what podc itself does
		for line := range strings.Lines(up.output()) {
			if strings.HasPrefix(line, "again-1") {
				told.WriteString(line)
			}
		}
		contains(s.t, told.String(), run+restart+run+restart+run+"again-1 exited with code 3\n")
	})
	s.behaves("it shows the output of a container that keeps none, from its first word on", func(s *stack) {
		up := s.begin("up", "unkept")
		up.ends(0)
		contains(s.t, up.output(), "unkept-1  | the first\n", "unkept-1  | and errors\n", "unkept-1  | the last\nunkept-1 exited with code 3 (restarting)\n",
			"unkept-1 exited with code 3\n")
	})
	s.behaves("--abort-on-container-exit and --exit-code-from heed an end that a restart follows", func(s *stack) {
		up := s.begin("--profile", "server", "up", "--exit-code-from", "forever", "forever", "server")
		up.ends(3)
		s.ended("server", 42)
	})
	s.behaves("--abort-on-container-exit stops all with the first, and has its code", func(s *stack) {
		s.begin("--profile", "server", "up", "--abort-on-container-exit").ends(0)
		s.ended("server", 42)
		s.begin("--profile", "server", "--profile", "failing", "up", "--abort-on-container-exit", "server", "failing").ends(7)
		s.ended("server", 42)
	})
	s.behaves("--abort-on-container-failure waits for a bad end", func(s *stack) {
		s.begin("--profile", "server", "--profile", "failing", "up", "--abort-on-container-failure").ends(7)
		s.ended("server", 42)
	})
	s.behaves("it tells of ends though nothing can be noted in the journal", func(s *stack) {
		s.podc("--profile", "server", "up", "-d", "server")
		events := filepath.Join(s.root, "events")
		if err := errors.Join(os.RemoveAll(events), os.WriteFile(events, nil, 0o600)); err != nil {
			s.t.Fatal(err)
		}
		defer os.Remove(events)
		up := s.begin("--profile", "server", "--profile", "failing", "up", "failing", "server")
		up.prints("failing-1 exited with code 7\n")
		up.interrupt()
		up.ends(130)
	})
	s.behaves("--exit-code-from has the code of one service", func(s *stack) {
		s.begin("--profile", "server", "up", "--exit-code-from", "server").ends(42)
		contains(s.t, s.fails(1, "up", "--exit-code-from", "nobody"), "nobody")
	})
	s.behaves("flags that contradict each other are refused", func(s *stack) {
		for _, flags := range [][]string{
			{"-d", "--abort-on-container-exit"}, {"--abort-on-container-exit", "--abort-on-container-failure"}, {"-d", "--attach", "job"},
			{"--force-recreate", "--no-recreate"}, {"--no-recreate", "-V"}, {"-d", "--exit-code-from", "job"},
		} {
			s.fails(1, append([]string{"up"}, flags...)...)
		}
	})
}
