package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestExec(t *testing.T) {
	s := newStack(t, `
services:
  web: {image: localhost/shop, command: [], entrypoint: sleep 1000, stop_signal: SIGKILL, scale: 2, environment: {FROM: service, KEPT: '1'}}
  plain: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, cap_drop: [ALL], mem_limit: 64m}
  stopped: {image: localhost/podc-busybox, command: 'true'}
`)
	s.load("busybox")
	s.loadImage("localhost/shop", everySetting(t))
	s.env = []string{"CALLER=secret"}
	s.podc("up", "-d")
	s.behaves("passes exit codes on", func(s *stack) {
		for code, command := range map[int][]string{
			0: {"true"}, 1: {"false"}, 42: {"sh", "-c", "exit 42"}, 126: {"/etc/passwd"}, 127: {"no-such-program"},
			137: {"sh", "-c", "kill -KILL $$"}, 143: {"sh", "-c", "kill -TERM $$"},
		} {
			s.fails(code, append([]string{"exec", "-T", "web"}, command...)...)
		}
	})
	s.behaves("passes input and output on, and keeps the streams apart", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "exec", "-T", "web", "sh", "-c", "cat; echo errors >&2")
		cmd.Stdin = strings.NewReader("some\ninput")
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil || string(out) != "some\ninput" || errs.String() != "errors\n" {
			s.t.Errorf("it printed %q and %q, %v", out, errs.String(), err)
		}
	})
	s.behaves("runs as the container's user, or another", func(s *stack) {
		s.says("web", "id -un; echo $HOME; pwd", "app\n/home/app\n/work")
		for user, want := range map[string]string{"root": "0 0 /root", "1000": "1000 1000 /home/app", "app:extra": "1000 2001 /home/app", "4711:5": "4711 5 /"} {
			if got := s.podc("exec", "-T", "-u", user, "web", "sh", "-c", "echo $(id -u) $(id -g) $HOME"); got != want+"\n" {
				s.t.Errorf("as %s it is %q", user, got)
			}
		}
		contains(s.t, s.fails(1, "exec", "-T", "-u", "nobody-at-all", "web", "true"), "nobody-at-all")
	})
	s.behaves("has the container's environment, and what is added", func(s *stack) {
		out := s.podc("exec", "-T", "-e", "FROM=call,with,commas", "-eSHORT=1", "--env", "CALLER", "-w", "/tmp", "web", "sh", "-c", "echo $FROM $KEPT $SHARED $SHORT $CALLER $PWD")
		if out != "call,with,commas 1 image 1 secret /tmp\n" {
			s.t.Errorf("it is %q", out)
		}
		s.says("web", "echo ${CALLER-unset}", "unset")
	})
	s.behaves("leaves flags after the command to the command", func(s *stack) {
		if out := s.podc("exec", "-T", "web", "echo", "-n", "-e", "-d", "--index", "7"); out != "-d --index 7" {
			s.t.Errorf("it is %q", out)
		}
	})
	s.behaves("goes to the replica asked for", func(s *stack) {
		rows := s.ps()
		for index, name := range map[string]string{"1": "p-web-1", "2": "p-web-2"} {
			if out := s.podc("exec", "-T", "--index", index, "web", "hostname"); out != rows[name].ID[:12]+"\n" {
				s.t.Errorf("of %s it is %q", name, out)
			}
		}
		contains(s.t, s.fails(1, "exec", "-T", "--index", "3", "web", "true"), "web", "3")
	})
	s.behaves("-d does not wait", func(s *stack) {
		start := time.Now()
		s.podc("exec", "-d", "web", "sh", "-c", "sleep 0.3; touch /tmp/done; sleep 100")
		if d := time.Since(start); d > 5*time.Second {
			s.t.Errorf("it took %s", d)
		}
		eventually(s.t, 5*time.Second, func() error {
			_, err := s.try("exec", "-T", "web", "test", "-e", "/tmp/done")
			return err
		})
	})
	s.behaves("--privileged gives all capabilities, otherwise there are the container's", func(s *stack) {
		s.says("plain", "grep CapEff /proc/self/status", "CapEff:\t0000000000000000")
		if out := s.podc("exec", "-T", "--privileged", "plain", "grep", "CapEff", "/proc/self/status"); strings.Contains(out, "\t0000000000000000") {
			s.t.Errorf("it has %s", out)
		}
		s.says("plain", "cat /proc/self/cgroup", s.sh("plain", "cat /proc/1/cgroup"))
	})
	s.behaves("has a terminal where podc has one, unless it is not to", func(s *stack) {
		terminal := []string{"web", "sh", "-c", "if test -t 0 && test -t 1; then echo a terminal; until stty size 2>/dev/null; do sleep 0.02; done; else echo none; fi; read -r x && echo read $x; exit 3"}
		for _, c := range []struct {
			flags []string
			shown string
		}{
			{nil, "a terminal\r\n24 80\r\n"},
			{[]string{"-it"}, "a terminal\r\n24 80\r\n"},
			{[]string{"--interactive", "--tty"}, "a terminal\r\n"},
			{[]string{"-T"}, "none\r\n"},
			{[]string{"--no-tty"}, "none\r\n"},
			{[]string{"--no-TTY"}, "none\r\n"},
			{[]string{"--tty=false"}, "none\r\n"},
		} {
			exec := s.onTerminal(append(append([]string{"exec"}, c.flags...), terminal...)...)
			exec.shows(c.shown)
			exec.types("typed\r")
			exec.shows("read typed\r\n")
			exec.ends(3)
		}
	})
	s.behaves("an interrupt is the command's, with a terminal and without", func(s *stack) {
		for _, flags := range [][]string{{"exec"}, {"exec", "-T"}} {
			exec := s.onTerminal(append(flags, "web", "sh", "-c", "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done")...)
			exec.shows("ready\r\n")
			exec.types("\x03")
			exec.shows("interrupted\r\n")
			exec.ends(5)
		}
	})
	s.behaves("-i=false passes no input on", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "exec", "-T", "-i=false", "web", "sh", "-c", "cat; echo end")
		cmd.Stdin = strings.NewReader("input\n")
		if out, err := cmd.Output(); err != nil || string(out) != "end\n" {
			s.t.Errorf("it printed %q, %v", out, err)
		}
	})
	s.behaves("needs a container that runs", func(s *stack) {
		contains(s.t, s.fails(1, "exec", "-T", "stopped", "true"), "stopped", "not running")
		contains(s.t, s.fails(1, "exec", "-T", "nobody", "true"), "no such service: nobody")
		s.fails(1, "exec", "web")
	})
}

func TestPs(t *testing.T) {
	port := freePort(t)
	s := newStack(t, fmt.Sprintf(`
services:
  web: {image: localhost/shop, command: [a, b], ports: ['127.0.0.1:%d:7777', '9000/udp'], labels: {team: shop}, volumes: ['named:/x']}
  job: {image: localhost/podc-busybox, command: sh -c 'exit 3'}
volumes: {named: {}}
`, port))
	s.load("busybox")
	s.loadImage("localhost/shop", everySetting(t))
	s.podc("up", "-d")
	s.ended("job", 3)
	s.behaves("lists what runs as a table", func(s *stack) {
		lines := strings.Split(strings.TrimSpace(s.podc("ps")), "\n")
		if len(lines) != 2 || strings.Join(strings.Fields(lines[0]), " ") != "NAME IMAGE COMMAND SERVICE CREATED STATUS PORTS" {
			s.t.Fatalf("it is %q", lines)
		}
		contains(s.t, lines[1], "p-web-1", "localhost/shop", `"/entry a b"`, " web ", "ago", "Up ", fmt.Sprintf("127.0.0.1:%d->7777/tcp", port), "->9000/udp")
	})
	s.behaves("-a lists what has ended too, filters choose", func(s *stack) {
		contains(s.t, s.podc("ps", "-a"), "p-web-1", "p-job-1", "Exited (3)")
		for _, flags := range [][]string{{"--status", "exited"}, {"--filter", "status=exited"}} {
			if out := s.podc(append([]string{"ps", "--services"}, flags...)...); out != "job\n" {
				s.t.Errorf("%v: %q", flags, out)
			}
		}
		if out := s.podc("ps", "-a", "job", "--format", "{{.Name}} {{.ExitCode}}"); out != "p-job-1 3\n" {
			s.t.Errorf("it is %q", out)
		}
		s.fails(1, "ps", "--status", "sleeping")
		s.fails(1, "ps", "--filter", "name=x")
		contains(s.t, s.fails(1, "ps", "nobody"), "no such service: nobody")
	})
	s.behaves("-q prints whole ids", func(s *stack) {
		if ids := strings.Fields(s.podc("ps", "-q")); len(ids) != 1 || len(ids[0]) != 64 || !strings.HasPrefix(ids[0], s.ps()["p-web-1"].ID) {
			s.t.Errorf("they are %v", ids)
		}
	})
	s.behaves("json has docker's keys, one object a line", func(s *stack) {
		var row map[string]any
		if err := json.Unmarshal([]byte(s.podc("ps", "--format", "json")), &row); err != nil {
			s.t.Fatal(err)
		}
		for _, key := range strings.Fields("Command CreatedAt ExitCode Health ID Image Labels LocalVolumes Mounts Name Names Networks Ports Project Publishers RunningFor Service Size State Status") {
			if _, ok := row[key]; !ok {
				s.t.Errorf("no %s in %v", key, row)
			}
		}
		labels := fmt.Sprint(row["Labels"])
		contains(s.t, labels, "team=shop", "com.docker.compose.project=p", "com.docker.compose.service=web", "com.docker.compose.container-number=1",
			"com.docker.compose.oneoff=False", "com.docker.compose.config-hash=", "com.docker.compose.project.working_dir="+s.dir,
			"com.docker.compose.project.config_files="+filepath.Join(s.dir, "compose.yaml"), "com.docker.compose.image=sha256:", "from=image")
		if row["Networks"] != "p_default" || row["Project"] != "p" {
			s.t.Errorf("it is %v", row)
		}
	})
	s.behaves("templates work, with headers after table", func(s *stack) {
		if out := s.podc("ps", "--format", `table {{.Service}}\t{{.Label "team"}}`); strings.Join(strings.Fields(out), " ") != "SERVICE team web shop" {
			s.t.Errorf("it is %q", out)
		}
		s.fails(1, "ps", "--format", "{{.Nothing")
	})
}

func TestLifecycleCommands(t *testing.T) {
	s := newStack(t, `
services:
  db: {image: localhost/podc-busybox, command: [sh, -c, 'trap "exit 0" TERM; trap "echo usr1" USR1; while :; do sleep 0.05; done']}
  web: {image: localhost/podc-busybox, command: [sh, -c, 'trap "exit 0" TERM; while :; do sleep 0.05; done'], depends_on: [db], volumes: [/anonymous], environment: {A: "${A:-1}"}}
  stubborn: {image: localhost/podc-probe, command: stubborn, stop_grace_period: 1h}
`)
	s.load("busybox", "probe")
	s.podc("up", "-d")
	before := s.ids()
	state := func(s *stack, want map[string]string) {
		s.t.Helper()
		rows := s.ps()
		for service, state := range want {
			if got := rows["p-"+service+"-1"].State; got != state {
				s.t.Errorf("%s is %q, want %s", service, got, state)
			}
		}
	}
	s.behaves("stop and start keep containers, and may be repeated", func(s *stack) {
		s.podc("stop", "web")
		state(s, map[string]string{"db": "running", "web": "exited"})
		s.podc("stop", "web")
		s.podc("stop", "-t", "0", "stubborn")
		s.ended("stubborn", 137)
		s.podc("start", "web")
		s.podc("start", "web", "stubborn")
		state(s, map[string]string{"db": "running", "web": "running", "stubborn": "running"})
		s.onlyChanged(before)
		s.podc("stop", "-t", "0", "db", "web")
		s.podc("start", "web")
		state(s, map[string]string{"db": "running", "web": "running"})
	})
	s.behaves("restart restarts, but applies no changes", func(s *stack) {
		pid := s.pid("p-web-1")
		s.env = []string{"A=2"}
		s.podc("restart", "web")
		s.env = nil
		if s.pid("p-web-1") == pid {
			s.t.Error("it was not restarted")
		}
		s.says("web", "echo $A", "1")
		s.podc("restart", "-t", "0", "stubborn")
		s.onlyChanged(before)
	})
	s.behaves("kill sends a signal", func(s *stack) {
		s.podc("kill", "-s", "USR1", "db")
		eventually(s.t, 5*time.Second, func() error {
			if out := s.podc("logs", "db"); !strings.Contains(out, "usr1") {
				return fmt.Errorf("it says %q", out)
			}
			return nil
		})
		s.podc("kill", "-s", "TERM", "db")
		s.ended("db", 0)
		s.podc("kill", "stubborn")
		s.ended("stubborn", 137)
		s.podc("kill", "stubborn")
		s.fails(1, "kill", "-s", "NOSUCH", "web")
	})
	s.behaves("rm removes what is stopped only, after asking", func(s *stack) {
		s.podc("rm", "-f", "web")
		s.onlyChanged(before)
		s.podc("rm", "db") // nobody can answer
		s.onlyChanged(before)
		s.podc("rm", "-f", "db")
		s.onlyChanged(before, "p-db-1")
		s.podc("rm", "-s", "-f", "stubborn")
		s.onlyChanged(before, "p-db-1", "p-stubborn-1")
		s.podc("rm", "-f")
		s.podc("rm", "-f", "-s", "-v")
		if rows, v := s.ps(), s.volumes(); len(rows)+len(v) > 0 {
			s.t.Errorf("left are %v, %v", rows, v)
		}
	})
	s.behaves("start needs containers", func(s *stack) {
		contains(s.t, s.fails(1, "start", "web"), "web")
		for _, command := range []string{"start", "stop", "restart", "kill", "rm"} {
			contains(s.t, s.fails(1, command, "nobody"), "no such service: nobody")
		}
	})
	s.behaves("down of nothing is no error", func(s *stack) {
		s.podc("down")
		s.podc("down", "-v", "--remove-orphans")
		s.podc("stop")
		s.podc("kill")
	})
}

func TestCommandsFromLabelsAlone(t *testing.T) {
	s := newStack(t, `
services:
  db: {image: localhost/podc-busybox, command: "sh -c 'echo hello; exec sleep 1000'", stop_signal: SIGKILL, volumes: ['data:/data', /anonymous]}
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: {db: {condition: service_started, restart: true}}, networks: [default, other]}
volumes: {data: {}}
networks: {other: {}}
`)
	s.load("busybox")
	file := filepath.Join(s.dir, "compose.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.Remove(file)
	}
	if err != nil {
		t.Fatal(err)
	}
	up := s.cmd(t.Context(), "-f", "-", "up", "-d", "--progress", "quiet")
	up.Stdin = strings.NewReader(string(text))
	if out, err := up.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	pid := s.pid("p-web-1")
	p := func(args ...string) []string { return append([]string{"-p", "p"}, args...) }
	contains(t, s.podc(p("ps")...), "p-db-1", "p-web-1")
	contains(t, s.podc(p("logs", "db")...), "db-1  | hello")
	if out := s.podc(p("exec", "-T", "db", "echo", "x")...); out != "x\n" {
		t.Errorf("exec says %q", out)
	}
	s.podc(p("restart", "db")...)
	if s.pid("p-web-1") == pid {
		t.Error("the dependent with restart: true was not restarted")
	}
	s.podc(p("stop")...)
	s.podc(p("start")...)
	s.podc(p("stop", "unknown")...) // labels do not know all services
	s.podc(p("kill", "db")...)
	s.podc(p("rm", "-f", "db")...)
	if rows := s.ps(); len(rows) != 1 {
		t.Errorf("left are %v", rows)
	}
	s.podc(p("down", "-v")...)
	if rows, volumes := s.ps(), s.volumes(); len(rows) > 0 || len(volumes) > 1 {
		t.Errorf("left are %v, %v", rows, volumes)
	}
	if out := s.podc("network", "ls", "-q", "-f", "type=custom"); out != "" {
		t.Errorf("left are networks %s", out)
	}
	s.podc(p("down", "-v")...)
}

// A file that cannot be brought up any more, because something it needs is gone, does not keep the project from being looked
// at and taken down.
func TestCommandsInSpiteOfTheFile(t *testing.T) {
	s := newStack(t, `
services:
  db: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, secrets: [key, word], env_file: a.env, volumes: ['data:/data']}
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [db], environment: {A: "${A-}"}}
volumes: {data: {}}
secrets: {key: {file: key.txt}, word: {environment: WORD}}
`, "key.txt", "x", "a.env", "A=1")
	s.load("busybox")
	s.env = []string{"COMPOSE_PROJECT_NAME=", "WORD=x"}
	s.podc("up", "-d")
	s.env = []string{"COMPOSE_PROJECT_NAME="}
	for _, name := range []string{"key.txt", "a.env"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.fails(1, "up", "-d")
	if rows := s.ps(); len(rows) != 2 {
		t.Errorf("ps lists %v", rows)
	}
	contains(t, s.fails(1, "ps", "nobody"), "no such service: nobody")
	s.exec("db", "test", "-e", "/run/secrets/key")
	s.podc("logs", "db")
	s.podc("restart", "web")
	s.podc("stop", "-t", "0")
	s.podc("start", "web")
	s.podc("rm", "-s", "-f", "web")
	s.podc("down", "-v")
	if v := s.volumes(); len(v) > 0 {
		t.Errorf("left are %v", v)
	}
}
