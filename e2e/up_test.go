package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const web = `
services:
  web:
    image: localhost/podc-busybox
    command: sh -c 'mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www'
    stop_signal: SIGKILL
`

func TestAnUnchangedUpIsANoOp(t *testing.T) {
	s := newStack(t, web+"    environment: {A: '1'}\n")
	s.load("busybox")
	s.podc("up", "-d")
	before := s.ps()
	if steps := s.plan(); len(steps) != 0 {
		t.Errorf("a converged project has steps to do: %v", steps)
	}
	trace := s.traceExecs("up", "-d")
	if len(trace) != 1 {
		t.Errorf("a converged up runs programs: %q", trace)
	}
	if after := s.ps(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("changed from %v to %v", before, after)
	}
}

func TestOnlyWhatChangedIsRecreated(t *testing.T) {
	compose := func(value string) string {
		return `
services:
  base: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, environment: {A: '` + value + `'}}
  follower:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    depends_on: {base: {condition: service_started, restart: true}}
  other: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [base]}
`
	}
	s := newStack(t, compose("1"))
	s.load("busybox")
	s.podc("up", "-d")
	before, followerPid, otherPid := s.ps(), s.pid("p-follower-1"), s.pid("p-other-1")
	s.write("compose.yaml", compose("2"))
	for _, step := range s.plan() {
		if step.ID == "create pod p-base-1" && !strings.Contains(step.Why, "environment.A") {
			t.Errorf("the plan does not say what changed: %+v", step)
		}
	}
	s.podc("up", "-d")
	after := s.ps()
	if after["p-base-1"].ID == before["p-base-1"].ID {
		t.Error("the changed service was not recreated")
	}
	if after["p-follower-1"].ID != before["p-follower-1"].ID || s.pid("p-follower-1") == followerPid {
		t.Error("the dependent with restart: true was not restarted as it is")
	}
	if s.pid("p-other-1") != otherPid {
		t.Error("the other dependent was touched")
	}
	if got := s.exec("base", "sh", "-c", "echo $A"); got != "2" {
		t.Errorf("the new value did not arrive: %q", got)
	}
}

// A config's content is part of the service, though the compose file only names it.
func TestAChangedConfigRecreates(t *testing.T) {
	s := newStack(t, `
services:
  a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, configs: [{source: c, target: /etc/c}], env_file: a.env}
configs: {c: {file: c.txt}}
`, "c.txt", "one", "a.env", "A=1\n")
	s.load("busybox")
	s.podc("up", "-d")
	first := s.ps()["p-a-1"].ID
	s.write("c.txt", "two")
	s.podc("up", "-d")
	second := s.ps()["p-a-1"].ID
	if got := s.exec("a", "cat", "/etc/c"); second == first || got != "two" {
		t.Errorf("the container has %q", got)
	}
	s.write("a.env", "A=2\n")
	s.podc("up", "-d")
	if got := s.exec("a", "sh", "-c", "echo $A"); s.ps()["p-a-1"].ID == second || got != "2" {
		t.Errorf("the container has A=%q", got)
	}
}

// Fifty services need no process for their networks: neither CNI plugins nor iptables.
func TestFiftyServicesComeUpWithoutNetworkProcesses(t *testing.T) {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  s%02d: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, ports: ['127.0.0.1::80']}\n", i)
	}
	s := newStack(t, b.String())
	s.load("busybox")
	allowed := regexp.MustCompile(`/(podc|podc-compose|podc-image|podc-monitor|conmon|crun)$`)
	for _, program := range s.traceExecs("up", "-d") {
		// The containers' own programs run below the trace too.
		if !allowed.MatchString(program) && !strings.HasSuffix(program, "/sleep") {
			t.Errorf("up ran %s", program)
		}
	}
	if running := s.running(); running != 50 {
		t.Errorf("%d of 50 run", running)
	}
}

// running counts the containers that run.
func (s *stack) running() (n int) {
	for _, r := range s.ps() {
		if r.State == "running" {
			n++
		}
	}
	return n
}

// Two hundred containers come up and go, eighty of them scaled away in between; nothing is left of any.
func TestTwoHundredContainersComeAndGo(t *testing.T) {
	s := newStack(t, `
services:
  a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, scale: 100}
  b: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, scale: 20, networks: [default, other], ports: ['127.0.0.1:0:80']}
networks: {other: {}}
`)
	s.load("busybox")
	before := census(s)
	s.podc("up", "-d", "--scale", "b=100")
	if running := s.running(); running != 200 {
		t.Fatalf("%d of 200 run", running)
	}
	if steps := s.plan("--scale", "b=100"); len(steps) != 0 {
		t.Errorf("up left to do: %v", steps)
	}
	s.podc("up", "-d")
	if running := s.running(); running != 120 {
		t.Errorf("%d of 120 run", running)
	}
	s.podc("down", "-v")
	if left := census(s).minus(before); len(left) > 0 {
		t.Errorf("down left %q", left)
	}
}

// traceExecs runs podc under strace and returns the programs that were executed meanwhile, podc first.
func (s *stack) traceExecs(args ...string) []string {
	s.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		s.t.Skip("needs strace")
	}
	out := filepath.Join(s.t.TempDir(), "trace")
	cmd := s.cmd(s.t.Context(), args...)
	// -D keeps podc our own child: strace itself would wait for all that outlives the command.
	cmd.Args = append([]string{strace, "-D", "-f", "-qq", "-e", "trace=execve", "-e", "signal=none", "-o", out, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	// A file, not a pipe: the tracer holds it as long as it traces.
	printed, err := os.Create(out + ".printed")
	if err != nil {
		s.t.Fatal(err)
	}
	defer printed.Close()
	cmd.Stdout, cmd.Stderr = printed, printed
	err = cmd.Run()
	endTracer(s.t, out)
	if err != nil {
		text, _ := os.ReadFile(printed.Name())
		s.t.Fatalf("podc %s: %v\n%s", strings.Join(args, " "), err, text)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		s.t.Fatal(err)
	}
	var programs []string
	for _, m := range regexp.MustCompile(`(?m)execve\("([^"]+)".* = 0$`).FindAllStringSubmatch(string(b), -1) {
		programs = append(programs, m[1])
	}
	return programs
}

// endTracer has strace let go of what it still traces, which goes on running. It is known by the file it writes.
func endTracer(t *testing.T, out string) {
	t.Helper()
	eventually(t, 10*time.Second, func() error {
		for _, pid := range pidsWith("strace", out) {
			syscall.Kill(pid, syscall.SIGKILL)
			return fmt.Errorf("strace %d still runs", pid)
		}
		return nil
	})
}
