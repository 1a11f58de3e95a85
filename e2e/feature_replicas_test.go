package e2e

import (
	"maps"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const replicas = `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  db: {<<: *sleep, environment: {A: "${A-1}"}}
  web: {<<: *sleep, depends_on: [db]}
  single: {<<: *sleep, container_name: only, profiles: [single]}
`

// states are those of the containers, by name.
func (s *stack) states() map[string]string {
	s.t.Helper()
	states := map[string]string{}
	for name, r := range s.ps() {
		states[name] = r.State
	}
	return states
}

func (s *stack) exactly(state string, names ...string) {
	s.t.Helper()
	want := map[string]string{}
	for _, name := range names {
		want[name] = state
	}
	if got := s.states(); !maps.Equal(got, want) {
		s.t.Errorf("there is %v, want %s: %v", got, state, names)
	}
}

func TestCreate(t *testing.T) {
	t.Parallel()
	s := newStack(t, replicas)
	s.load("busybox")
	s.behaves("makes containers with what they need, and starts none", func(s *stack) {
		s.podc("create", "--scale", "web=2", "--pull", "missing", "--quiet-pull", "--no-build")
		s.exactly("created", "p-db-1", "p-web-1", "p-web-2")
	})
	s.behaves("replaces what differs, everything or nothing, as it is told", func(s *stack) {
		before := s.ids()
		s.env = []string{"A=2"}
		s.podc("create", "--scale", "web=2", "--no-recreate")
		s.onlyChanged(before)
		s.podc("create", "--scale", "web=2")
		s.onlyChanged(before, "p-db-1")
		before = s.ids()
		s.podc("create", "--scale", "web=2", "--force-recreate", "web", "--y")
		for _, name := range []string{"p-web-1", "p-web-2"} {
			if !slices.Contains(s.changed(before), name) {
				s.t.Errorf("%s is the same", name)
			}
		}
		contains(s.t, s.fails(1, "create", "--force-recreate", "--no-recreate"), "--no-recreate")
		s.exactly("created", "p-db-1", "p-web-1", "p-web-2")
	})
	s.behaves("removes orphans where asked for", func(s *stack) {
		s.write("compose.yaml", strings.Replace(replicas, "\n  web:", "\n  site:", 1))
		s.podc("create", "--remove-orphans", "-y")
		s.exactly("created", "p-db-1", "p-site-1")
	})
}

func TestScale(t *testing.T) {
	t.Parallel()
	s := newStack(t, replicas)
	s.load("busybox")
	s.behaves("sets numbers of replicas, and leaves others alone", func(s *stack) {
		s.podc("scale", "web=3")
		s.exactly("running", "p-db-1", "p-web-1", "p-web-2", "p-web-3")
		before := s.ids()
		s.podc("scale", "web=2", "db=2")
		s.onlyChanged(before, "p-db-2", "p-web-3")
		s.podc("scale", "db=0", "web=0")
		s.exactly("running")
	})
	s.behaves("--no-deps leaves dependencies alone", func(s *stack) {
		s.podc("scale", "--no-deps", "web=1")
		s.exactly("running", "p-web-1")
		s.podc("up", "-d", "--no-deps", "--scale", "web=2", "web")
		s.exactly("running", "p-web-1", "p-web-2")
		s.podc("up", "-d", "--scale", "web=1")
		s.exactly("running", "p-db-1", "p-web-1")
	})
	s.behaves("until the next up", func(s *stack) {
		s.podc("scale", "web=2")
		s.podc("up", "-d")
		s.exactly("running", "p-db-1", "p-web-1")
	})
	s.behaves("refuses what cannot be", func(s *stack) {
		before := s.ids()
		for _, args := range [][]string{{"web"}, {"web=-1"}, {"web=two"}, {"=2"}, {}} {
			s.fails(1, append([]string{"scale"}, args...)...)
		}
		contains(s.t, s.fails(1, "scale", "nobody=2"), "nobody")
		contains(s.t, s.fails(1, "scale", "single=2"), "container_name")
		contains(s.t, s.fails(1, "up", "-d", "--scale", "nobody=2"), "nobody")
		s.onlyChanged(before)
	})
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	s := newStack(t, replicas)
	s.load("busybox")
	s.podc("up", "-d")
	s.podc("run", "-T", "--name", "finished", "db", "true")
	s.podc("run", "-d", "--name", "busy", "db")
	without := strings.Replace(replicas, "\n  web:", "\n  site:", 1)
	s.behaves("of services that are gone, and finished one-offs, are named", func(s *stack) {
		s.write("compose.yaml", without)
		out := s.podcErr("up", "-d", "db")
		contains(s.t, out, "p-web-1", "finished", "--remove-orphans")
		if strings.Contains(out, "busy") {
			s.t.Errorf("a one-off that runs is no orphan: %s", out)
		}
		s.env = []string{"COMPOSE_IGNORE_ORPHANS=true"}
		contains(s.t, s.fails(1, "up", "-d", "--remove-orphans"), "COMPOSE_IGNORE_ORPHANS")
	})
	s.behaves("stay at down unless asked for, and a network stays with them", func(s *stack) {
		out := s.podcErr("down", "-t", "0")
		contains(s.t, out, "network p_default is kept", "busy", "--remove-orphans")
		if got := slices.Sorted(maps.Keys(s.states())); !slices.Equal(got, []string{"busy", "finished", "p-web-1"}) {
			s.t.Errorf("left are %v", got)
		}
	})
	s.behaves("go with up --remove-orphans, but for one-offs that run", func(s *stack) {
		s.podc("up", "-d", "--remove-orphans")
		s.exactly("running", "busy", "p-db-1", "p-site-1")
	})
	s.behaves("go with down --remove-orphans, those that run too, and with the variable", func(s *stack) {
		s.env = []string{"COMPOSE_REMOVE_ORPHANS=1"}
		s.podc("down", "-t", "0")
		if left := s.ps(); len(left) > 0 {
			s.t.Errorf("left are %v", left)
		}
		if out := s.podc("network", "ls", "-q", "-f", "type=custom"); out != "" {
			s.t.Errorf("left are networks %s", out)
		}
	})
	s.behaves("go with kill --remove-orphans", func(s *stack) {
		s.write("compose.yaml", replicas)
		s.podc("up", "-d")
		s.write("compose.yaml", without)
		s.podc("kill", "--remove-orphans")
		s.exactly("exited", "p-db-1")
	})
}

func TestRm(t *testing.T) {
	t.Parallel()
	s := newStack(t, strings.ReplaceAll(replicas, "stop_signal: SIGKILL", "stop_signal: SIGKILL, volumes: [/anonymous]"))
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("asks, and heeds the answer", func(s *stack) {
		s.podc("stop", "web")
		rm := s.onTerminal("rm", "-a")
		rm.shows("remove pod p-web-1")
		rm.shows("Are you sure? [y/N]")
		rm.types("n\r")
		rm.ends(0)
		s.exactlyThere("p-db-1", "p-web-1")
		rm = s.onTerminal("rm")
		rm.shows("Are you sure? [y/N]")
		rm.types("y\r")
		rm.ends(0)
		s.exactlyThere("p-db-1")
	})
	s.behaves("keeps anonymous volumes, unless -v is given, and what runs, unless -s is given", func(s *stack) {
		if n := len(s.volumes()); n != 2 {
			s.t.Errorf("there are %d volumes", n)
		}
		contains(s.t, s.podcErr("rm", "--force"), "No stopped containers")
		s.exactlyThere("p-db-1")
		s.podc("rm", "--stop", "--force", "--volumes", "--all", "db")
		s.exactlyThere()
		if n := len(s.volumes()); n != 1 {
			s.t.Errorf("there are %d volumes", n)
		}
	})
}

func (s *stack) exactlyThere(names ...string) {
	s.t.Helper()
	if got := slices.Sorted(maps.Keys(s.states())); !slices.Equal(got, names) && len(got)+len(names) > 0 {
		s.t.Errorf("there is %v, want %v", got, names)
	}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	s := newStack(t, `
x-shell: &shell {image: localhost/podc-busybox, network_mode: none, stop_signal: SIGKILL}
services:
  tty: {<<: *shell, tty: true, stdin_open: true, command: [sh, -c, "PS1='$$ ' exec sh"], scale: 2}
  cat: {<<: *shell, stdin_open: true, command: [sh, -c, 'while read -r line; do case $$line in exit) exit 7;; *) echo "read $$line";; esac; done; echo end of input']}
  talker: {<<: *shell, stop_signal: SIGTERM, command: [sh, -c, 'trap "echo got TERM; exit 3" TERM; trap "echo got INT" INT; while :; do echo out; echo err >&2; sleep 0.1; done']}
  stopped: {<<: *shell, command: "true"}
`)
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("to a terminal passes keys on, and can be left and taken up again", func(s *stack) {
		a := s.onTerminal("attach", "tty")
		a.shows("$ ") // drawn anew
		a.types("A=kept; until stty size | grep -q '24 80'; do sleep 0.02; done; echo ready\r")
		a.shows("; echo ready\r\nready\r\n")
		a.resize(100, 30)
		a.types("until stty size | grep -q 100; do sleep 0.02; done; stty size\r")
		a.shows("30 100\r\n")
		a.types("\x10\x11")
		a.ends(0)
		b := s.onTerminal("attach", "--detach-keys", "ctrl-a,q", "tty")
		b.shows("$ ")
		b.types("echo $A; hostname\r")
		b.shows("kept\r\n")
		b.shows(s.ps()["p-tty-1"].ID[:12])
		b.types("echo \x10\x11x\r") // no longer the keys
		b.types("\x01q")
		b.ends(0)
		if r := s.ps()["p-tty-1"]; r.State != "running" {
			s.t.Errorf("it is %s", r.State)
		}
		contains(s.t, s.fails(1, "attach", "--detach-keys", "ctrl-", "tty"), "ctrl-")
	})
	s.behaves("goes to the replica asked for, and ends with its code", func(s *stack) {
		a := s.onTerminal("attach", "--index", "2", "tty")
		a.shows("$ ")
		a.types("hostname\r")
		a.shows(s.ps()["p-tty-2"].ID[:12])
		a.types("exit 9\r")
		a.ends(9)
		contains(s.t, s.fails(1, "attach", "--index", "3", "tty"), "tty", "3")
	})
	s.behaves("leaves the input open for the next one", func(s *stack) {
		a := s.onTerminal("attach", "cat")
		a.types("one\n")
		a.shows("read one\r\n")
		a.types("\x04") // the end of podc's input, not of the container's
		a.cmd.Process.Kill()
		<-a.done
		b := s.onTerminal("attach", "cat")
		b.types("two\n")
		b.shows("read two\r\n")
		b.types("exit\n")
		b.ends(7)
	})
	s.behaves("shows both streams, passes signals on or not, and needs something that runs", func(s *stack) {
		a := s.begin("attach", "--no-stdin", "--sig-proxy=false", "talker")
		a.prints("out\n")
		a.prints("err\n")
		a.interrupt()
		a.ends(130)
		a = s.begin("attach", "--no-stdin", "talker")
		a.prints("out\n")
		a.interrupt()
		a.prints("got INT\n")
		a.cmd.Process.Signal(syscall.SIGTERM)
		a.ends(3)
		contains(s.t, a.output(), "got TERM\n")
		contains(s.t, s.fails(1, "attach", "stopped"), "stopped", "not running")
		contains(s.t, s.fails(1, "attach", "nobody"), "no such service: nobody")
		s.fails(1, "attach")
		s.fails(1, "attach", "tty", "cat")
	})
	s.behaves("finds a one-off where the service has no container", func(s *stack) {
		s.podc("down", "-t", "0")
		run := s.onTerminal("run", "--rm", "tty")
		run.shows("$ ")
		run.types("A='of a one-off'\r")
		run.shows("$ ")
		run.types("\x10\x11")
		run.ends(0)
		a := s.onTerminal("attach", "tty")
		a.shows("$ ")
		a.types("echo $A\r")
		a.shows("of a one-off\r\n")
		a.types("exit\r")
		a.ends(0)
		s.noOneOff()
	})
}
