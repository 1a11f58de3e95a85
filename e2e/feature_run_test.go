package e2e

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const oneOffs = `
x-shell: &shell {image: localhost/podc-busybox}
services:
  db: {<<: *shell, command: &server [sh, -c, 'trap "exit 0" TERM; touch /ready; while :; do sleep 0.05; done'], healthcheck: {test: test -e /ready, start_period: 10s, start_interval: 50ms}}
  web:
    <<: *shell
    command: [echo, the command]
    environment: {A: file, B: file, C: file}
    depends_on: {db: {condition: service_healthy}}
    ports: ["${PORT}:80"]
    restart: always
    hostname: web-host
    networks: {default: {aliases: [other-name], ipv4_address: "${NET}.9"}}
    volumes: [data:/data, /anonymous]
    stop_grace_period: 2s
  alone: {<<: *shell, network_mode: none, command: [sleep, "1000"]}
  taught: {<<: *shell, command: *server, network_mode: none, stop_signal: SIGUSR1}
networks: {default: {ipam: {config: [{subnet: "${NET}.0/24"}]}}}
volumes: {data: {}}
`

// record is what the engine has noted of a container.
type record struct {
	ID   string `json:"id"`
	Spec struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"spec"`
}

// records are those of the one-offs of the stack.
func (s *stack) records() []record {
	s.t.Helper()
	files, _ := filepath.Glob(filepath.Join(s.root, "pods", "*", "spec.json"))
	var list []record
	for _, file := range files {
		var r record
		b, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = json.Unmarshal(b, &r)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if r.Spec.Labels["com.docker.compose.oneoff"] == "True" {
			list = append(list, r)
		}
	}
	return list
}

// oneOff is the only one there is.
func (s *stack) oneOff() record {
	s.t.Helper()
	list := s.records()
	if len(list) != 1 {
		s.t.Fatalf("the one-offs are %v", list)
	}
	return list[0]
}

// noOneOff waits until there is none any more.
func (s *stack) noOneOff() {
	s.t.Helper()
	eventually(s.t, 10*time.Second, func() error {
		if list := s.records(); len(list) > 0 {
			return fmt.Errorf("there are %v", list)
		}
		return nil
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	s := newStack(t, oneOffs, "some.env", "A=env file\nB=env file\n")
	s.env = []string{fmt.Sprintf("PORT=%d", freePort(t)), "FROM_HERE=of the caller", "NET=" + subnet24(11)}
	s.load("busybox")
	s.behaves("makes a container of its own, after what the service depends on", func(s *stack) {
		out, err := s.try("run", "-T", "web")
		if err != nil {
			s.t.Fatalf("%v\n%s", err, out)
		}
		r := s.oneOff()
		inOrder(s.t, out, "Container p-db-1 Healthy", "Container "+r.Spec.Name+" Starting", "the command\n")
		if !regexp.MustCompile(`^p-web-run-[0-9a-f]{12}$`).MatchString(r.Spec.Name) {
			s.t.Errorf("its name is %s", r.Spec.Name)
		}
		l := r.Spec.Labels
		if l["com.docker.compose.service"] != "web" || l["com.docker.compose.container-number"] != "" || len(l["com.docker.compose.slug"]) != 64 ||
			!strings.HasPrefix(l["com.docker.compose.slug"], strings.TrimPrefix(r.Spec.Name, "p-web-run-")) {
			s.t.Errorf("its labels are %v", l)
		}
		if rows := s.ps(); rows["p-db-1"].State != "running" || rows["p-web-1"].Name != "" || rows[r.Spec.Name].State != "exited" {
			s.t.Errorf("there is %v", rows)
		}
	})
	s.behaves("leaves the replicas of its service alone", func(s *stack) {
		s.podc("up", "-d", "--remove-orphans")
		before := s.ps()["p-web-1"].ID
		if out := s.podc("run", "--rm", "-T", "web", "hostname"); out != "web-host\n" {
			s.t.Errorf("it is called %q", out)
		}
		if after := s.ps()["p-web-1"].ID; after != before {
			s.t.Error("web was recreated")
		}
		s.noOneOff()
		s.podc("rm", "-sf", "web")
	})
	s.behaves("gives the command its environment, the nearest last", func(s *stack) {
		out := s.podc("run", "--rm", "-T", "--env-from-file", "some.env", "-e", "A=flag", "--env", "FROM_HERE", "-eUNSET", "alone", "env")
		contains(s.t, out, "A=flag\n", "B=env file\n", "FROM_HERE=of the caller\n")
		if strings.Contains(out, "UNSET") {
			s.t.Errorf("it has a variable without a value: %s", out)
		}
		out = s.podc("run", "--rm", "-T", "--no-deps", "--env-from-file", "some.env", "-eA=flag", "web", "env")
		contains(s.t, out, "A=flag\n", "B=env file\n", "C=file\n")
		contains(s.t, s.fails(1, "run", "--rm", "-T", "--env-from-file", "none.env", "alone"), "none.env")
	})
	s.behaves("runs as user, in a folder, with an entrypoint, capabilities and labels", func(s *stack) {
		out := s.podc("run", "--rm", "-T", "-u", "1000:50", "-w", "/tmp", "--entrypoint", `sh -c "id -u; id -g; pwd"`, "alone")
		if out != "1000\n50\n/tmp\n" {
			s.t.Errorf("it printed %q", out)
		}
		capabilities := func(flags ...string) string {
			return s.podc(append(append([]string{"run", "--rm", "-T"}, flags...), "alone", "grep", "CapBnd", "/proc/self/status")...)
		}
		added, dropped := capabilities("--cap-add", "NET_RAW"), capabilities("--cap-drop", "CHOWN", "--cap-drop", "KILL")
		if plain := capabilities(); added == plain || dropped == plain || added == dropped {
			s.t.Errorf("capabilities are %q, with one more %q, with two less %q", plain, added, dropped)
		}
		s.podc("run", "-T", "--name", "mine", "-l", "a=b", "--label", "c", "alone", "true")
		if r := s.oneOff(); r.Spec.Name != "mine" || r.Spec.Labels["a"] != "b" || r.Spec.Labels["c"] != "" {
			s.t.Errorf("it is %v", r)
		}
		contains(s.t, s.fails(1, "run", "-T", "--name", "mine", "alone"), "mine", "already in use")
		s.podc("run", "--rm", "-T", "--remove-orphans", "alone", "true")
		s.noOneOff()
	})
	s.behaves("mounts what -v says, in the place of what the file mounts", func(s *stack) {
		s.write("sub/file", "of the host\n")
		before := s.podc("volume", "ls", "-q")
		if out := s.podc("run", "--rm", "-T", "-v", "./sub:/sub:ro", "-v", "data:/other", "-v", "own:/own", "alone", "sh", "-c", "cat /sub/file; echo kept > /other/f; touch /own/f /sub/x 2>&1; true"); !strings.HasPrefix(out, "of the host\n") || !strings.Contains(out, "Read-only") {
			s.t.Errorf("it printed %q", out)
		}
		if out := s.podc("run", "--rm", "-T", "--no-deps", "--volume", "sub:/data", "--volumes", "own:/own", "web", "ls", "/data", "/own"); strings.Contains(out, "file") {
			s.t.Errorf("a volume's name was taken for a folder: %s", out)
		}
		if out := s.podc("run", "--rm", "-T", "--no-deps", "web", "cat", "/data/f"); out != "kept\n" {
			s.t.Errorf("it printed %q", out)
		}
		contains(s.t, s.podc("volume", "ls", "-q"), "own\n", "sub\n")
		s.podc("volume", "rm", "own", "sub")
		if after := s.podc("volume", "ls", "-q"); after != before {
			s.t.Errorf("the anonymous volumes of containers that are gone are left: %s", after)
		}
	})
	s.behaves("publishes ports only where asked, and answers to the service's names only with --use-aliases", func(s *stack) {
		port, own := freePort(s.t), s.env[0][len("PORT="):]
		serve := []string{"web", "sh", "-c", "while :; do echo hello | nc -lp 80; done"}
		run := func(flags ...string) string {
			return strings.TrimSpace(s.podc(append(append([]string{"run", "-d", "--rm", "--no-deps"}, flags...), serve...)...))
		}
		id := run("-p", fmt.Sprintf("127.0.0.1:%d:80", port))
		if r := s.oneOff(); r.ID != id {
			s.t.Errorf("it printed %q for %v", id, r)
		}
		name := s.oneOff().Spec.Name
		row := s.ps()[name]
		if len(row.Publishers) != 1 || row.Publishers[0].PublishedPort != port {
			s.t.Errorf("it publishes %v", row.Publishers)
		}
		known := func(name string) bool {
			_, err := s.try("run", "--rm", "-T", "--no-deps", "web", "nslookup", name)
			return err == nil
		}
		if !known(name) || known("other-name") {
			s.t.Error("it is not known by its own name alone")
		}
		s.podc("down", "--remove-orphans", "-t", "0")
		run("-P", "--use-aliases")
		row = s.ps()[s.oneOff().Spec.Name]
		if len(row.Publishers) == 0 || fmt.Sprint(row.Publishers[0].PublishedPort) != own {
			s.t.Errorf("it publishes %v, want %s", row.Publishers, own)
		}
		if !known("other-name") || !known("web") {
			s.t.Error("it does not answer to the names of its service")
		}
		contains(s.t, s.fails(1, "run", "-P", "-p", "80", "web"), "--service-ports", "--publish")
		s.podc("down", "--remove-orphans", "-t", "0")
		s.noOneOff()
	})
	s.behaves("refuses what is asked for wrongly, before it does anything", func(s *stack) {
		contains(s.t, s.fails(1, "run", "nobody"), "nobody")
		s.fails(1, "run")
		if rows := s.ps(); len(rows) != 0 {
			s.t.Errorf("there is %v", rows)
		}
	})
	s.behaves("pulls as it is told", func(s *stack) {
		s.write("other.yaml", "services: {web: {image: localhost/nowhere}}\n")
		contains(s.t, s.fails(1, "-f", "other.yaml", "run", "--pull", "never", "web"), "localhost/nowhere", "never")
		s.podc("run", "--rm", "--pull", "missing", "--quiet-pull", "-T", "alone", "true")
	})
	s.behaves("says nothing itself with -q, and nothing is done with --dry-run", func(s *stack) {
		if out, err := s.try("run", "-q", "--rm", "-T", "alone", "echo", "only this"); err != nil || out != "only this\n" {
			s.t.Errorf("it printed %q (%v)", out, err)
		}
		contains(s.t, s.fails(0, "--dry-run", "run", "web"), "DRY-RUN", "p-web-run-")
		if rows := s.ps(); len(rows) != 0 {
			s.t.Errorf("there is %v", rows)
		}
	})
}

func TestStreamsOfRun(t *testing.T) {
	t.Parallel()
	s := newStack(t, oneOffs)
	s.env = []string{"PORT=1", "NET=" + subnet24(12)}
	s.load("busybox")
	s.behaves("input and output pass unchanged, however much, and the end of the input too", func(s *stack) {
		data := make([]byte, 3<<20)
		rand.Read(data)
		cmd := s.cmd(s.t.Context(), "run", "--rm", "-qT", "alone", "cat")
		var out bytes.Buffer
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &out
		if err := cmd.Run(); err != nil || !bytes.Equal(out.Bytes(), data) {
			s.t.Errorf("of %d bytes, %d came back (%v)", len(data), out.Len(), err)
		}
	})
	s.behaves("standard output and errors stay apart, and -i=false passes no input on", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "run", "--rm", "-qT", "-i=false", "alone", "sh", "-c", "cat; echo out; echo err >&2")
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("in"), &out, &errs
		if err := cmd.Run(); err != nil || out.String() != "out\n" || errs.String() != "err\n" {
			s.t.Errorf("%q %q %v", &out, &errs, err)
		}
	})
	s.behaves("the exit code is the command's, or says why there is none", func(s *stack) {
		for code, args := range map[int][]string{
			7: {"sh", "-c", "exit 7"}, 126: {"/etc/passwd"}, 127: {"no-such-program"},
		} {
			s.fails(code, append([]string{"run", "--rm", "-T", "alone"}, args...)...)
		}
		s.fails(125, "run", "--rm", "-T", "--no-deps", "-v", "/dev/null:/tmp", "alone", "true")
		s.noOneOff()
	})
	s.behaves("signals are for the container, and a repeated interrupt ends it", func(s *stack) {
		trap := `trap "echo got USR1" USR1; trap "echo got INT" INT; trap "echo got TERM; exit 5" TERM; echo ready; while :; do sleep 0.05; done`
		run := s.begin("run", "--rm", "-T", "alone", "sh", "-c", trap)
		run.prints("ready\n")
		run.cmd.Process.Signal(syscall.SIGUSR1)
		run.prints("got USR1\n")
		run.interrupt()
		run.prints("got INT\n")
		run.cmd.Process.Signal(syscall.SIGTERM)
		run.ends(5)
		contains(s.t, run.output(), "got TERM\n")
		s.noOneOff()

		// A program that ends at its stop signal alone gets that when its grace period begins, and what comes after it.
		trap = `trap "echo got HUP" HUP; trap "echo got INT" INT; trap "echo asked to stop" USR1; trap "echo got USR2; exit 4" USR2; echo ready; while :; do sleep 0.05; done`
		run = s.begin("run", "--rm", "-T", "taught", "sh", "-c", trap)
		run.prints("ready\n")
		run.cmd.Process.Signal(syscall.SIGHUP)
		run.prints("got HUP\n")
		run.prints("asked to stop\n")
		run.cmd.Process.Signal(syscall.SIGUSR2)
		run.prints("got USR2\n")
		run.ends(4)
		run = s.begin("run", "--rm", "-T", "taught", "sh", "-c", trap)
		run.prints("ready\n")
		run.interrupt()
		run.prints("got INT\n")
		if out := run.output(); strings.Contains(out, "asked to stop") {
			s.t.Error("the first interrupt stops it")
		}
		run.interrupt()
		run.prints("asked to stop\n")
		run.cmd.Process.Signal(syscall.SIGUSR2)
		run.ends(4)

		run = s.begin("run", "--rm", "-T", "--no-deps", "web", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
		run.prints("ready\n")
		run.cmd.Process.Signal(syscall.SIGTERM) // killed after its grace period
		run.ends(137)
		run = s.begin("run", "--rm", "-T", "alone", "sh", "-c", "trap '' INT; echo ready; while :; do sleep 0.05; done")
		run.prints("ready\n")
		eventually(s.t, 5*time.Second, func() error {
			run.interrupt()
			select {
			case <-run.done:
				return nil
			default:
				return errors.New("it goes on")
			}
		})
		run.ends(137)
		s.noOneOff()
	})
	s.behaves("a container whose output nobody wants is stopped", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "run", "--rm", "-qT", "taught", "sh", "-c", "trap 'exit 3' USR1; while :; do echo more; done")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 5)); err != nil {
			s.t.Fatal(err)
		}
		out.Close()
		if code := exitCode(cmd.Wait()); code != 3 {
			s.t.Errorf("it ends with code %d", code)
		}
		s.noOneOff()
	})
	s.behaves("after podc was killed, the container goes on, and goes with its end", func(s *stack) {
		run := s.begin("run", "--rm", "-T", "alone", "sh", "-c", "echo ready; until test -e /end; do sleep 0.02; done")
		run.prints("ready\n")
		run.cmd.Process.Kill()
		<-run.done
		name := s.oneOff().Spec.Name
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/root/end", s.pid(name)), nil, 0o644); err != nil {
			s.t.Fatal(err)
		}
		s.noOneOff()
	})
	s.behaves("wherever podc was killed, the next command clears away", func(s *stack) {
		ended := false
		for d := time.Duration(0); !ended && d < time.Second; d += 25 * time.Millisecond {
			run := s.begin("run", "--rm", "-T", "alone", "true")
			select {
			case <-run.done:
				ended = true
			case <-time.After(d):
				run.cmd.Process.Kill()
				<-run.done
			}
			s.podc("run", "--rm", "-T", "alone", "true")
			s.noOneOff()
			if out, err := s.try("system", "check"); err != nil {
				s.t.Errorf("after %s: %v\n%s", d, err, out)
			}
		}
		if !ended {
			s.t.Error("it was never quick enough to end")
		}
	})
	s.behaves("one that runs on its own goes with its end too", func(s *stack) {
		s.podc("run", "-d", "--rm", "alone", "true")
		s.noOneOff()
	})
}

func TestRunOnATerminal(t *testing.T) {
	t.Parallel()
	s := newStack(t, oneOffs)
	s.env = []string{"PORT=1", "NET=" + subnet24(13)}
	s.load("busybox")
	shell := `PS1='$ ' exec sh`
	s.behaves("the container has one of the same size, and every key", func(s *stack) {
		run := s.onTerminal("run", "--rm", "alone", "sh", "-c", shell)
		run.shows("$ ")
		run.types("tty; stty size\r")
		run.shows("/dev/pts/0\r\n24 80\r\n")
		run.resize(132, 43)
		run.types("until stty size | grep -q 43; do sleep 0.02; done; stty size\r")
		run.shows("43 132\r\n")
		run.types("sleep 1000\r")
		run.shows("sleep 1000\r\n")
		eventually(s.t, 10*time.Second, func() error {
			run.types("\x03")
			run.types("echo still $((40+2))\r")
			run.mu.Lock()
			defer run.mu.Unlock()
			if !strings.Contains(run.seen, "still 42\r\n") {
				return fmt.Errorf("it shows %q", run.seen)
			}
			return nil
		})
		run.types("exit 9\r")
		run.ends(9)
		s.noOneOff()
	})
	s.behaves("-T has none, and the end of the input is typed", func(s *stack) {
		run := s.onTerminal("run", "--rm", "-q", "-T", "alone", "sh", "-c", "tty; cat; exit 4")
		run.shows("not a tty")
		run.types("a line\n\x04")
		run.shows("a line\r\na line\r\n")
		run.ends(4)
	})
	s.behaves("ctrl-p ctrl-q leaves it, to be removed when it ends", func(s *stack) {
		run := s.onTerminal("run", "-it", "--rm", "alone", "sh", "-c", shell)
		run.shows("$ ")
		run.types("echo before\r")
		run.shows("before\r\n")
		run.types("\x10\x11")
		run.ends(0)
		name := s.oneOff().Spec.Name
		if row := s.ps()[name]; row.State != "running" {
			s.t.Errorf("it is %s", row.State)
		}
		syscall.Kill(s.pid(name), syscall.SIGKILL)
		s.noOneOff()
	})
	s.behaves("SIGTERM to podc ends it", func(s *stack) {
		run := s.onTerminal("run", "--rm", "alone", "sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done")
		run.shows("ready\r\n")
		run.cmd.Process.Signal(syscall.SIGTERM)
		run.ends(6)
		s.noOneOff()
	})
}
