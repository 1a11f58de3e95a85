package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// lookStack is for the commands that look into containers: what runs in them, what they use, what befalls them.
func lookStack(t *testing.T) (*stack, int) {
	t.Helper()
	port := freePort(t)
	s := newStack(t, fmt.Sprintf(`
services:
  web:
    image: localhost/podc-busybox
    command: sh -c "trap 'exit 3' TERM; echo up; while :; do echo x >> /tmp/ticks; sleep 0.02; done"
    ports: ['127.0.0.1:%d:7777', '9000/udp']
    scale: 1
    labels: {team: shop}
    healthcheck: {test: ['CMD', 'true'], interval: 100ms}
  idle: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, scale: 2, user: '4711'}
  spin: {image: localhost/podc-busybox, command: sh -c 'while :; do :; done', stop_signal: SIGKILL, cpus: 0.2, mem_limit: 64m}
  job: {image: localhost/podc-busybox, command: sh -c 'exit 3'}
`, port))
	s.load("busybox")
	s.podc("up", "-d")
	return s, port
}

func TestLookingIntoContainers(t *testing.T) {
	t.Parallel()
	s, port := lookStack(t)
	s.behaves("port prints where a port is reached", func(s *stack) {
		if out := s.podc("port", "web", "7777"); out != fmt.Sprintf("127.0.0.1:%d\n", port) {
			s.t.Errorf("it is %q", out)
		}
		if out := s.podc("port", "--protocol", "udp", "--index", "1", "web", "9000"); !strings.HasPrefix(out, "0.0.0.0:") {
			s.t.Errorf("it is %q", out)
		}
		contains(s.t, s.fails(1, "port", "web", "9000"), "9000/tcp", "7777/tcp")
		contains(s.t, s.fails(1, "port", "--index", "7", "web", "7777"), "#7")
		s.fails(1, "port", "web", "http")
	})
	s.behaves("top lists processes as ps does", func(s *stack) {
		out := s.podc("top", "idle")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 3 || strings.Join(strings.Fields(lines[0]), " ") != "SERVICE # UID PID PPID C STIME TTY TIME CMD" {
			s.t.Fatalf("it printed\n%s", out)
		}
		for i, line := range lines[1:] {
			f := strings.Fields(line)
			pid := s.pid(fmt.Sprintf("p-idle-%d", i+1))
			if f[0] != "idle" || f[1] != fmt.Sprint(i+1) || f[2] != "4711" || f[3] != fmt.Sprint(pid) || f[7] != "?" || f[8] != "00:00:00" || strings.Join(f[9:], " ") != "sleep 1000" {
				s.t.Errorf("it printed %q, for process %d", line, pid)
			}
		}
		contains(s.t, s.podc("top"), "spin", "web")
		contains(s.t, s.fails(1, "top", "nobody"), "no such service: nobody")
	})
	s.behaves("stats tell what containers use", func(s *stack) { s.usage() })
	s.behaves("wait passes on the first code that is not 0", func(s *stack) {
		id := strings.TrimSpace(s.podc("ps", "-aq", "job"))
		if out := s.fails(3, "wait", "job"); len(id) != 64 || out != fmt.Sprintf("container %q exited with status code 3\n", id) {
			s.t.Errorf("it printed %q", out)
		}
		s.fails(1, "wait")
		contains(s.t, s.fails(1, "wait", "nobody"), "no such service: nobody")
	})
	s.behaves("a paused container does nothing, and goes on", func(s *stack) { s.pauses() })
	s.behaves("events tell what befell containers", func(s *stack) { s.tells() })
}

// usage checks `stats`: the container that spins uses what it may of one CPU, the others next to nothing.
func (s *stack) usage() {
	s.t.Helper()
	type stats struct{ BlockIO, CPUPerc, Container, ID, MemPerc, MemUsage, Name, NetIO, PIDs string }
	rows := map[string]stats{}
	for line := range strings.Lines(s.podc("stats", "--all", "--no-stream", "--no-trunc", "--format", "json")) {
		var r stats
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		rows[r.Name] = r
	}
	var cpu float64
	spin := rows["p-spin-1"]
	fmt.Sscanf(spin.CPUPerc, "%f%%", &cpu)
	if len(rows) != 5 || cpu < 5 || cpu > 40 || !strings.HasSuffix(spin.MemUsage, " / 64MiB") || spin.PIDs != "1" || len(spin.ID) != 64 || !strings.Contains(spin.NetIO, "B / ") {
		s.t.Errorf("%d containers, the one that spins uses %+v", len(rows), spin)
	}
	if job := rows["p-job-1"]; job.CPUPerc != "0.00%" || job.PIDs != "0" {
		s.t.Errorf("the one that ended uses %+v", job)
	}
	table := s.podc("stats", "--no-stream", "spin")
	if f := strings.Fields(table); !strings.HasPrefix(table, "CONTAINER ID ") || strings.Count(table, "\n") != 2 || len(f) < 17 {
		s.t.Errorf("the table is\n%s", table)
	}
	if out := s.podc("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "spin"); out != "p-spin-1 1\n" {
		s.t.Errorf("the template gave %q", out)
	}
	if out := s.podc("stats", "--no-stream", "job"); strings.Count(out, "\n") != 1 {
		s.t.Errorf("without --all it printed\n%s", out)
	}
	s.fails(1, "stats", "--no-stream", "--format", "{{", "spin")
	// As a stream, it goes on until it is interrupted.
	cmd := s.cmd(s.t.Context(), "stats", "--format", "{{.Name}}", "spin")
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range 2 {
		if !lines.Scan() || lines.Text() != "p-spin-1" {
			s.t.Errorf("the stream has %q", lines.Text())
		}
	}
	interrupt(s.t, cmd)
}

// interrupt ends a command as Ctrl-C does.
func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); exitCode(err) != 130 {
		t.Errorf("interrupted, it ended with %v", err)
	}
}

func (s *stack) pauses() {
	s.t.Helper()
	out, err := s.try("pause", "web")
	if err != nil {
		s.t.Fatal(out)
	}
	contains(s.t, out, "Container p-web-1 Paused")
	if r := s.ps()["p-web-1"]; r.State != "paused" || !strings.HasSuffix(r.Status, "(Paused)") {
		s.t.Errorf("paused, it is %+v", r)
	}
	if out := s.podc("ps", "--status", "paused", "--services"); out != "web\n" {
		s.t.Errorf("paused are %q", out)
	}
	contains(s.t, s.fails(1, "exec", "-T", "web", "true"), "paused")
	contains(s.t, s.fails(1, "pause", "web"), "is already paused")
	out, err = s.try("up", "-d")
	if err != nil {
		s.t.Fatal(out)
	}
	contains(s.t, out, "p-web-1 is paused")
	if r := s.ps()["p-web-1"]; r.State != "paused" {
		s.t.Errorf("after an up it is %+v", r)
	}
	contains(s.t, s.fails(1, "unpause"), "Container p-web-1 Unpaused", `cannot unpause "p-spin-1": it is not paused`)
	if r := s.ps()["p-web-1"]; r.State != "running" {
		s.t.Errorf("unpaused, it is %+v", r)
	}
	s.podc("exec", "-T", "web", "true")
	s.podc("pause", "web")
	s.podc("restart", "web") // a paused one can be stopped
	if r := s.ps()["p-web-1"]; r.State != "running" {
		s.t.Errorf("restarted, it is %+v", r)
	}
	contains(s.t, s.fails(1, "pause", "nobody"), "no such service: nobody")
}

// occurrence is a line of `events --json`.
type occurrence struct {
	Time                      time.Time
	Type, Service, ID, Action string
	Attributes                map[string]string
}

func (s *stack) events(args ...string) []occurrence {
	s.t.Helper()
	var list []occurrence
	for line := range strings.Lines(s.podc(append([]string{"events", "--json"}, args...)...)) {
		var o occurrence
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			s.t.Fatalf("%q: %v", line, err)
		}
		list = append(list, o)
	}
	return list
}

func (s *stack) tells() {
	s.t.Helper()
	cmd := s.cmd(s.t.Context(), "events", "--json", "job")
	pipe, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		s.t.Fatal(err)
	}
	began := time.Now()
	// It says nothing until something happens; so things happen until it does.
	first := make(chan occurrence)
	go func() {
		dec := json.NewDecoder(pipe)
		for {
			var o occurrence
			if dec.Decode(&o) != nil {
				close(first)
				return
			}
			first <- o
		}
	}()
	var followed occurrence
	for followed.Action == "" {
		s.podc("start", "job")
		select {
		case followed = <-first:
		case <-time.After(time.Second):
		}
	}
	if followed.Action != "start" && followed.Action != "die" || followed.Service != "job" || followed.Time.Before(began) {
		s.t.Errorf("followed, there was %+v", followed)
	}
	go func() {
		for range first {
		}
	}()
	interrupt(s.t, cmd)

	s.podc("restart", "-t", "0", "web")
	all := s.events("--since", "1h", "--until", "0s")
	var web []string
	id := strings.TrimSpace(s.podc("ps", "-q", "web"))
	for _, o := range all {
		if o.Service == "web" {
			web = append(web, o.Action)
			if o.ID != id || o.Attributes["name"] != "p-web-1" || o.Attributes["image"] != "localhost/podc-busybox" || o.Attributes["team"] != "shop" ||
				o.Attributes["com.docker.compose.service"] != "" || o.Type != "container" {
				s.t.Errorf("an event is %+v", o)
			}
		}
	}
	for _, action := range []string{"create", "start", "health_status: healthy", "pause", "unpause", "exec_create: true", "exec_start: true", "kill", "die", "stop", "restart"} {
		if !slices.Contains(web, action) {
			s.t.Errorf("%q is not among %q", action, web)
		}
	}
	jobs := s.events("--since", "1h", "--until", "0s", "job")
	if !slices.ContainsFunc(jobs, func(o occurrence) bool { return o.Action == "die" && o.Attributes["exitCode"] == "3" }) ||
		slices.ContainsFunc(jobs, func(o occurrence) bool { return o.Service != "job" }) {
		s.t.Errorf("of job: %+v", jobs)
	}
	if some := s.events("--since", began.Format(time.RFC3339Nano), "--until", "0s"); len(some) == 0 || len(some) >= len(all) || some[0].Time.Before(began) {
		s.t.Errorf("since %s there were %d of %d", began, len(some), len(all))
	}
	text := s.podc("events", "--since", "1h", "--until", "0s", "web")
	line, _, _ := bytes.Cut([]byte(text), []byte("\n"))
	if f := strings.Fields(string(line)); len(f) < 6 || f[2] != "container" || f[3] != "create" || len(f[4]) != 64 || !strings.Contains(text, "(image=localhost/podc-busybox, name=p-web-1, ") {
		s.t.Errorf("as text: %s", line)
	}
}

func TestWaitTakesTheProjectDown(t *testing.T) {
	t.Parallel()
	s := newStack(t, `
services:
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
  job: {image: localhost/podc-busybox, command: sh -c "trap 'exit 7' TERM; while :; do sleep 0.02; done"}
`)
	s.load("busybox")
	contains(t, s.fails(1, "wait", "job"), "no container")
	s.podc("up", "-d")
	done := make(chan string, 1)
	go func() {
		out, err := s.try("wait", "--down-project", "web", "job")
		done <- fmt.Sprint(exitCode(err), " ", out)
	}()
	s.podc("kill", "-s", "TERM", "job")
	contains(t, <-done, "7 container ", "exited with status code 7")
	if rows := s.ps(); len(rows) != 0 {
		t.Errorf("left: %v", rows)
	}
}
