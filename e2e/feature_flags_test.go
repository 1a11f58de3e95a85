package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

const flagged = `
x-run: &run {image: localhost/podc-busybox, command: "sh -c 'echo up; exec sleep 1000'", stop_signal: SIGKILL}
services:
  web: {<<: *run, depends_on: [db], volumes: [/anonymous]}
  db: {<<: *run}
  polite: {<<: *run, stop_signal: SIGTERM, stop_grace_period: 1h, command: "sh -c 'trap : TERM; echo deaf; while :; do sleep 0.1; done'", profiles: [polite]}
`

// Flags that have no home elsewhere: each does what it says, on real containers.
func TestFlagsOfUp(t *testing.T) {
	s := newStack(t, flagged)
	s.load("busybox")
	s.behaves("--no-deps leaves dependencies alone", func(s *stack) {
		s.podc("up", "-d", "--no-deps", "web")
		if got := s.names("p"); !slices.Equal(got, []string{"p-web-1"}) {
			s.t.Errorf("there are %q", got)
		}
		s.podc("up", "-d", "web")
		if got := s.names("p"); !slices.Equal(got, []string{"p-db-1", "p-web-1"}) {
			s.t.Errorf("there are %q", got)
		}
	})
	s.behaves("what nothing is built for builds nothing", func(s *stack) {
		before := s.ids()
		s.podc("up", "-d", "--no-build", "--quiet-build")
		s.onlyChanged(before)
		contains(s.t, s.fails(1, "up", "--watch"), "--watch", "not available yet")
	})
	s.behaves("--wait returns within --wait-timeout once all is well", func(s *stack) {
		start := time.Now()
		s.podc("up", "--wait", "--wait-timeout", "60")
		s.podc("stop", "db")
		s.podc("start", "--wait", "--wait-timeout", "60")
		if d := time.Since(start); d > 30*time.Second {
			s.t.Errorf("it took %s", d)
		}
		if rows := s.ps(); rows["p-db-1"].State != "running" {
			s.t.Errorf("it is %v", rows)
		}
	})
	s.behaves("--renew-anon-volumes begins with new ones, otherwise they are kept", func(s *stack) {
		s.sh("web", "echo kept > /anonymous/file")
		s.podc("up", "-d", "--force-recreate", "web")
		s.says("web", "cat /anonymous/file", "kept")
		s.podc("up", "-d", "--renew-anon-volumes", "web")
		s.says("web", "ls /anonymous | wc -l", "0")
	})
	s.behaves("--timeout bounds what stopping takes", func(s *stack) {
		for _, stop := range []func(){
			func() { s.podc("up", "-d", "--force-recreate", "--timeout", "0", "polite") },
			func() { s.podc("restart", "--timeout", "0", "polite") },
			func() { s.podc("stop", "--timeout", "0", "polite") },
		} {
			s.podc("up", "-d", "polite")
			start := time.Now()
			stop()
			if d := time.Since(start); d > 20*time.Second {
				s.t.Errorf("it took %s", d)
			}
		}
		s.podc("up", "-d", "polite")
		s.podc("down", "--timeout", "0", "polite")
		if got := s.names("p"); slices.Contains(got, "p-polite-1") {
			s.t.Errorf("there are %q", got)
		}
	})
	s.behaves("--attach-dependencies shows their output too", func(s *stack) {
		for _, tt := range []struct {
			args []string
			want bool
		}{{[]string{"up", "web"}, false}, {[]string{"up", "--attach-dependencies", "web"}, true}} {
			s.podc("stop")
			up := s.begin(tt.args...)
			up.prints("web-1  | up\n")
			if tt.want {
				up.prints("db-1   | up\n")
			}
			up.interrupt()
			up.ends(130)
			if got := strings.Contains(up.output(), "db-1   | up"); got != tt.want {
				s.t.Errorf("%q shows the database: %t", tt.args, got)
			}
		}
	})
	s.behaves("--no-color has no colours, whatever --ansi says", func(s *stack) {
		up := s.begin("--ansi", "always", "up", "--no-color", "web")
		up.prints("web-1  | up\n")
		up.interrupt()
		up.ends(130)
		if out := s.podc("--ansi", "always", "logs", "--no-color", "web"); !strings.HasPrefix(out, "web-1  | up\n") {
			s.t.Errorf("logs are %q", out)
		}
		contains(s.t, s.podc("--ansi", "always", "logs", "web"), "\x1b[36mweb-1  | \x1b[0m")
	})
}

func TestFlagsOfPlan(t *testing.T) {
	s := newStack(t, flagged)
	s.load("busybox")
	ids := func(steps []step) string {
		var list []string
		for _, step := range steps {
			list = append(list, step.ID)
		}
		return strings.Join(list, "; ")
	}
	for _, tt := range []struct{ name, got, want, lacks string }{
		{"--no-deps", ids(s.plan("--no-deps", "web")), "create pod p-web-1", "p-db-1"},
		{"--no-start", ids(s.plan("--no-start")), "create pod p-db-1", "start"},
		{"--scale", ids(s.plan("--scale", "web=2")), "create pod p-web-2", "p-web-3"},
		{"--wait", ids(s.plan("--wait")), "wait pod p-web-1 ready", "p-web-2"},
		{"--pull", s.podc("plan", "--pull", "always"), "pull image localhost/podc-busybox", "p-web-2"},
	} {
		if !strings.Contains(tt.got, tt.want) || strings.Contains(tt.got, tt.lacks) {
			t.Errorf("plan %s is %s", tt.name, tt.got)
		}
	}
	s.podc("up", "-d")
	s.write("compose.yaml", strings.Replace(strings.ReplaceAll(flagged, "echo up", "echo changed"), "[db]", "[base]", 1)+"  base: {<<: *run}\n")
	for _, tt := range []struct{ name, got, want, lacks string }{
		{"of what changed", ids(s.plan()), "create pod p-web-1", "remove pod p-polite-1"},
		{"--no-recreate", ids(s.plan("--no-recreate")), "create pod p-base-1", "p-web-1"},
		{"--force-recreate", ids(s.plan("--force-recreate", "db")), "create pod p-db-1", "p-web-1"},
		{"--always-recreate-deps", ids(s.plan("--always-recreate-deps", "web")), "create pod p-base-1", "p-db-1"},
		{"--renew-anon-volumes", ids(s.plan("--renew-anon-volumes", "db")), "create pod p-db-1", "p-web-1"},
	} {
		if !strings.Contains(tt.got, tt.want) || strings.Contains(tt.got, tt.lacks) {
			t.Errorf("plan %s is %s", tt.name, tt.got)
		}
	}
	s.write("compose.yaml", "services: {web: {image: localhost/podc-busybox}}")
	if got := ids(s.plan("--remove-orphans")); !strings.Contains(got, "remove pod p-db-1") {
		t.Errorf("plan --remove-orphans is %s", got)
	}
}

func TestFlagsOfOtherCommands(t *testing.T) {
	s := newStack(t, flagged)
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("exec takes -i and -t, which are on anyway", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "exec", "--interactive", "-T", "web", "cat")
		cmd.Stdin = strings.NewReader("typed")
		if out, err := cmd.Output(); err != nil || string(out) != "typed" {
			s.t.Errorf("%q %v", out, err)
		}
		in := s.onTerminal("exec", "--interactive", "--tty", "web", "sh", "-c", "test -t 0 && echo a terminal")
		in.shows("a terminal")
		in.ends(0)
	})
	s.behaves("kill --remove-orphans takes what the file does not have", func(s *stack) {
		s.write("compose.yaml", strings.Replace(strings.Replace(flagged, "  db: {<<: *run}\n", "", 1), "depends_on: [db], ", "", 1))
		contains(s.t, s.podcErr("kill", "-s", "WINCH", "--remove-orphans"), "p-db-1 Removed")
		if got := s.names("p"); !slices.Equal(got, []string{"p-web-1"}) {
			s.t.Errorf("there are %q", got)
		}
	})
	s.behaves("kill and rm of nothing say so", func(s *stack) {
		contains(s.t, s.podcErr("rm", "--all", "--force"), "No stopped containers")
		s.podc("stop")
		contains(s.t, s.podcErr("kill"), "No container to kill")
		contains(s.t, s.podcErr("rm", "--all", "--force"), "p-web-1 Removed")
	})
	s.behaves("system check --format json is a list", func(s *stack) {
		var problems []struct{ Kind string }
		if err := json.Unmarshal([]byte(s.podc("system", "check", "--format", "json")), &problems); err != nil || len(problems) > 0 {
			s.t.Errorf("%v: %v", err, problems)
		}
	})
	s.behaves("boot --unit prints a unit and starts nothing", func(s *stack) {
		contains(s.t, s.podc("boot", "--unit"), "[Service]", "ExecStart=-"+*binDir, "ExecStop="+*binDir, "--root "+s.root)
	})
}
