package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// health waits until the only container of a service has a health.
func (s *stack) health(service, want string) {
	s.t.Helper()
	eventually(s.t, 10*time.Second, func() error {
		if r := s.ps()["p-"+service+"-1"]; r.Health != want {
			return fmt.Errorf("%s is %s (%s)", service, r.State, r.Health)
		}
		return nil
	})
}

func TestHealthChecks(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
x-shop: &shop {image: localhost/shop, entrypoint: sleep 1000, command: [], stop_signal: SIGKILL}
services:
  text: {<<: *sleep, healthcheck: {test: 'test -e /ok && echo fine', interval: 100ms, retries: 1}}
  list: {<<: *sleep, healthcheck: {test: [CMD, test, -e, /ok], interval: 100ms, retries: 1}}
  shell: {<<: *sleep, healthcheck: {test: [CMD-SHELL, 'test "$$MARK" = "a b"'], interval: 100ms}, environment: {MARK: a b}}
  images: {<<: *shop}
  longer: {<<: *shop, healthcheck: {interval: 100ms}}
  whose: {<<: *shop, healthcheck: {test: 'test "$$(id -un)" = app && test "$$PWD" = /work', interval: 100ms}}
  disabled: {<<: *shop, healthcheck: {disable: true}}
  none: {<<: *shop, healthcheck: {test: [NONE]}}
  without: {<<: *sleep}
  stuck: {<<: *sleep, healthcheck: {test: 'sleep 500', interval: 100ms, timeout: 200ms, retries: 1}}
  missing: {<<: *sleep, healthcheck: {test: [CMD, /no/such/probe], interval: 100ms, retries: 1}}
  starting: {<<: *sleep, healthcheck: {test: test -e /ok, interval: 1h, start_period: 1h, start_interval: 100ms, retries: 1}}
  patient: {<<: *sleep, healthcheck: {test: 'false', interval: 100ms, start_period: 1h, retries: 1}}
`)
	s.load("busybox")
	s.loadImage("localhost/shop", everySetting(t))
	s.podc("up", "-d")
	s.behaves("come in all forms, run as the container's user with its environment", func(s *stack) {
		for _, service := range []string{"shell", "images", "longer", "whose"} {
			s.health(service, "healthy")
		}
		contains(s.t, s.ps()["p-shell-1"].Status, "(healthy)")
	})
	s.behaves("that fail often enough make unhealthy, and one success makes healthy", func(s *stack) {
		for _, service := range []string{"text", "list"} {
			s.health(service, "unhealthy")
			s.sh(service, "touch /ok")
			s.health(service, "healthy")
		}
	})
	s.behaves("that are switched off are not run", func(s *stack) {
		for _, service := range []string{"disabled", "none", "without"} {
			s.health(service, "")
		}
	})
	s.behaves("that hang are killed at their timeout", func(s *stack) {
		s.health("stuck", "unhealthy")
		contains(s.t, s.fails(1, "up", "--wait", "stuck"), "last probe: killed after ")
	})
	s.behaves("that cannot be run are failures", func(s *stack) {
		s.health("missing", "unhealthy")
	})
	s.behaves("do not count as failed while starting, and are run at start_interval then", func(s *stack) {
		s.health("patient", "starting")
		s.health("starting", "starting")
		s.sh("starting", "touch /ok")
		s.health("starting", "healthy")
	})
	s.behaves("begin anew with a restart", func(s *stack) {
		s.podc("stop", "text")
		s.health("text", "")
		s.podc("start", "text")
		s.sh("text", "rm -f /ok")
		s.health("text", "unhealthy")
	})
}

func TestDependencies(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, volumes: ['shared:/shared']}
services:
  db: {<<: *sleep, command: "sh -c 'sleep 0.3; touch /shared/db; exec sleep 1000'", healthcheck: {test: test -e /shared/db, interval: 100ms}}
  init: {<<: *sleep, command: "sh -c 'sleep 0.3; touch /shared/init'"}
  app:
    <<: *sleep
    command: sh -c 'ls -x /shared; exec sleep 1000'
    depends_on:
      db: {condition: service_healthy}
      init: {condition: service_completed_successfully}
      broken: {condition: service_completed_successfully, required: false}
      absent: {condition: service_started, required: false}
  broken: {<<: *sleep, command: "false"}
  absent: {<<: *sleep, profiles: [never]}
  sick: {<<: *sleep, command: "sh -c 'echo words of the sick; exec sleep 1000'", healthcheck: {test: 'echo it hurts; exit 3', interval: 100ms, retries: 2}, profiles: [bad]}
  waiting: {<<: *sleep, depends_on: {sick: {condition: service_healthy}}, profiles: [bad]}
  behind: {<<: *sleep, depends_on: [waiting], profiles: [bad]}
  failing: {<<: *sleep, command: "sh -c 'echo cannot migrate; exit 3'", profiles: [bad]}
  after: {<<: *sleep, depends_on: {failing: {condition: service_completed_successfully}}, profiles: [bad]}
  beside: {<<: *sleep, profiles: [bad]}
volumes: {shared: {}}
`)
	s.load("busybox")
	s.behaves("are waited for: started, healthy, completed", func(s *stack) {
		out := s.podcErr("up", "-d")
		eventually(s.t, 5*time.Second, func() error {
			if got := s.podc("logs", "--no-log-prefix", "app"); strings.Join(strings.Fields(got), " ") != "db init" {
				return fmt.Errorf("app found %q", got)
			}
			return nil
		})
		contains(s.t, out, "broken")
		if _, made := s.ps()["p-absent-1"]; made {
			s.t.Error("a service of an inactive profile was made")
		}
	})
	s.behaves("that fail keep dependents from starting, name the reason, and let others finish", func(s *stack) {
		out := s.fails(1, "--profile", "bad", "up", "-d")
		contains(s.t, out, "container p-sick-1 is unhealthy", "exit code 3", "it hurts", "words of the sick",
			`service "failing" didn't complete successfully: exit 3`, "cannot migrate")
		rows := s.ps()
		for _, service := range []string{"waiting", "behind", "after"} {
			if r := rows["p-"+service+"-1"]; r.State != "created" && r.State != "" {
				s.t.Errorf("%s is %s", service, r.State)
			}
		}
		for _, service := range []string{"beside", "app", "sick"} {
			if r := rows["p-"+service+"-1"]; r.State != "running" {
				s.t.Errorf("%s is %s", service, r.State)
			}
		}
	})
	s.behaves("are stopped after their dependents", func(s *stack) {
		out := s.podcErr("stop", "-t", "0")
		if app, db := strings.Index(out, "p-app-1 Stopped"), strings.Index(out, "p-db-1 Stopping"); app < 0 || db < app {
			s.t.Errorf("the order is %s", out)
		}
	})
	s.behaves("start with a named service, unless --no-deps", func(s *stack) {
		s.down()
		s.podc("up", "-d", "--no-deps", "app")
		if rows := s.ps(); len(rows) != 1 {
			s.t.Errorf("made %v", rows)
		}
		s.podc("up", "-d", "app")
		if rows := s.ps(); rows["p-db-1"].State != "running" {
			s.t.Errorf("made %v", rows)
		}
	})
	s.behaves("without a health check cannot be waited to be healthy: refused", func(s *stack) {
		s.write("bad.yaml", `
services:
  a: {image: localhost/podc-busybox, command: sleep 1000}
  b: {image: localhost/podc-busybox, command: sleep 1000, depends_on: {a: {condition: service_healthy}}}
`)
		contains(s.t, s.fails(1, "-f", "bad.yaml", "up", "-d"), "it waits for a to be healthy, which has no health check")
		if _, made := s.ps()["p-a-1"]; made {
			s.t.Error("it was not refused before anything was made")
		}
	})
	s.behaves("with restart: true pass a restart on, others do not", func(s *stack) {
		s.write("restart.yaml", `
services:
  base: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
  follower: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: {base: {condition: service_started, restart: true}}}
  other: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [base]}
`)
		s.down("-v")
		s.env = []string{"COMPOSE_FILE=restart.yaml"}
		s.podc("up", "-d")
		base, follower, other := s.pid("p-base-1"), s.pid("p-follower-1"), s.pid("p-other-1")
		s.podc("restart", "base")
		if s.pid("p-base-1") == base || s.pid("p-follower-1") == follower || s.pid("p-other-1") != other {
			s.t.Error("not exactly base and follower were restarted")
		}
		follower = s.pid("p-follower-1")
		s.podc("restart", "--no-deps", "base")
		if s.pid("p-follower-1") != follower {
			s.t.Error("the follower was restarted in spite of --no-deps")
		}
	})
}

// podcErr runs podc, which must succeed, and returns its standard error.
func (s *stack) podcErr(args ...string) string {
	s.t.Helper()
	cmd := s.cmd(s.t.Context(), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("podc %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return stderr.String()
}

func TestUpWait(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  healthy: {<<: *sleep, healthcheck: {test: 'test $$(cut -d. -f1 /proc/uptime) -gt 0', interval: 200ms}}
  plain: {<<: *sleep}
  job: {<<: *sleep, command: 'true'}
  sick: {<<: *sleep, command: "sh -c 'for i in 1 2 3; do echo line $$i; done; exec sleep 1000'", profiles: [bad], healthcheck: {test: 'echo the last; echo probe; exit 4', interval: 100ms, retries: 2}}
  dying: {<<: *sleep, command: "sh -c 'echo my last words >&2; exit 9'", profiles: [dying], healthcheck: {test: 'true', interval: 1h}}
  slow: {<<: *sleep, profiles: [slow], healthcheck: {test: 'echo not yet; false', interval: 100ms, retries: 1000}}
  behind: {<<: *sleep, profiles: [slow], depends_on: {slow: {condition: service_healthy}}}
  endless: {<<: *sleep, profiles: [endless]}
  after: {<<: *sleep, profiles: [endless], depends_on: {endless: {condition: service_completed_successfully}}}
  hooked: {<<: *sleep, profiles: [hooked], pre_start: [{command: sleep 1000}]}
  soon: {<<: *sleep, command: "sh -c 'sleep 0.2; exit 3'", profiles: [soon]}
  looping: {<<: *sleep, command: "sh -c 'sleep 0.1; exit 5'", restart: always, profiles: [looping]}
  brief: {<<: *sleep, command: sleep 0.2, profiles: [brief]}
`)
	s.load("busybox")
	s.behaves("returns when all are healthy, running or well ended", func(s *stack) {
		s.podc("up", "--wait")
		rows := s.ps()
		if rows["p-healthy-1"].Health != "healthy" || rows["p-plain-1"].State != "running" {
			s.t.Errorf("it is %v", rows)
		}
	})
	s.behaves("fails with the container's name, its last probe and its last lines", func(s *stack) {
		out := s.fails(1, "up", "--wait", "sick")
		contains(s.t, out, "container p-sick-1 is unhealthy", "exit code 4", "the last", "probe", "line 1", "line 3")
	})
	s.behaves("fails when a container ends badly, with its last lines", func(s *stack) {
		contains(s.t, s.fails(1, "up", "--wait", "dying"), "container p-dying-1 exited (9)", "my last words")
	})
	s.behaves("looks once more shortly after the start, and fails for what has ended badly or restarts", func(s *stack) {
		contains(s.t, s.fails(1, "up", "--wait", "soon"), "container p-soon-1 exited (3)")
		contains(s.t, s.fails(1, "up", "--wait", "looping"), `container p-looping-1 exited (5) and is restarted by its policy`)
		s.podc("up", "-d", "soon")
		contains(s.t, s.fails(1, "start", "--wait", "soon"), "container p-soon-1 exited (3)")
		s.podc("stop", "-t", "0", "looping")
	})
	s.behaves("says Exited and not Healthy of what has ended well", func(s *stack) {
		out := s.podcErr("up", "--wait", "brief", "plain")
		contains(s.t, out, "Container p-brief-1 Exited", "Container p-plain-1 Healthy")
		if strings.Contains(out, "p-brief-1 Healthy") {
			s.t.Error(out)
		}
	})
	s.behaves("is bounded by --wait-timeout in every wait: for a dependency's health, its completion, a hook's end", func(s *stack) {
		for service, waited := range map[string]string{"behind": "p-slow-1", "after": "p-endless-1", "hooked": "p-hooked-pre_start-1"} {
			contains(s.t, s.fails(1, "up", "--wait", "--wait-timeout", "1", service), "container "+waited+" is running", "not done within 1s")
		}
		contains(s.t, s.fails(1, "up", "-d", "--wait-timeout", "1", "behind"), "container p-slow-1 is running")
	})
	s.behaves("ends at --wait-timeout, and says what is not ready", func(s *stack) {
		start := time.Now()
		out := s.fails(1, "up", "--wait", "--wait-timeout", "1", "slow")
		contains(s.t, out, "container p-slow-1 is running", "starting", "not yet")
		if d := time.Since(start); d < time.Second || d > 10*time.Second {
			s.t.Errorf("it took %s", d)
		}
	})
	s.behaves("works for start too", func(s *stack) {
		s.podc("stop", "-t", "0")
		contains(s.t, s.fails(1, "start", "--wait", "--wait-timeout", "1", "slow"), "container p-slow-1 is running")
		s.podc("start", "--wait", "healthy")
		if h := s.ps()["p-healthy-1"].Health; h != "healthy" {
			s.t.Errorf("it is %q", h)
		}
	})
	s.behaves("is not for attached use", func(s *stack) {
		s.fails(1, "up", "--wait", "--abort-on-container-exit")
		s.fails(1, "up", "--wait-timeout", "-1", "--wait")
	})
}
