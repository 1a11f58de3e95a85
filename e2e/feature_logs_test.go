package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestLogs(t *testing.T) {
	s := newStack(t, `
x-log: &log {image: localhost/podc-busybox, stop_signal: SIGKILL}
services:
  talk:
    <<: *log
    scale: 2
    command: [sh, -c, 'echo one; sleep 0.02; echo two >&2; sleep 0.02; printf "three\n\n"; sleep 0.02; printf unfinished; exec sleep 1000']
  named: {<<: *log, container_name: a-name, command: "sh -c 'echo hello'"}
  quiet: {<<: *log, command: "sh -c 'echo never; sleep 0.5'", logging: {driver: none}}
  flood: {image: localhost/podc-probe, command: [flood, '6000', '100', 20ms], logging: {driver: json-file, options: {max-size: 64k, max-file: '20'}}}
  bounded: {image: localhost/podc-probe, command: [flood, '6000', '100', 20ms], logging: {options: {max-size: 64k, max-file: '3'}}}
  later: {<<: *log, command: "sh -c 'read x < /go; echo $$x; exec sleep 1000'", volumes: ['./fifo:/go']}
`)
	s.load("busybox", "probe")
	if out, err := runShell(t, `mkfifo "$0"`, filepath.Join(s.dir, "fifo")); err != nil {
		t.Fatal(out)
	}
	started := time.Now()
	s.podc("up", "-d")
	s.ended("flood", 0)
	s.ended("bounded", 0)
	eventually(t, 5*time.Second, func() error {
		if out := s.podc("logs", "talk"); strings.Count(out, "unfinished") != 2 {
			return fmt.Errorf("it says %q", out)
		}
		return nil
	})
	s.behaves("keep stdout and stderr apart, with the container's name before each line", func(s *stack) {
		out, errs := s.both("logs", "talk")
		for _, name := range []string{"talk-1", "talk-2"} {
			for _, line := range []string{"one", "three", "", "unfinished"} {
				contains(s.t, out, name+"  | "+line+"\n")
			}
			contains(s.t, errs, name+"  | two\n")
		}
		contains(s.t, s.podc("logs", "named"), "a-name  | hello\n")
	})
	s.behaves("of one replica", func(s *stack) {
		if out, _ := s.both("logs", "--index", "2", "talk"); strings.Contains(out, "talk-1") || !strings.Contains(out, "talk-2") {
			s.t.Errorf("it says %q", out)
		}
		s.fails(1, "logs", "--index", "3", "talk")
		s.fails(1, "logs", "--index", "1")
	})
	s.behaves("without prefix, only the last lines, with times", func(s *stack) {
		if got := s.podc("logs", "--no-log-prefix", "--tail", "2", "--index", "1", "talk"); got != "\nunfinished\n" {
			s.t.Errorf("the last two lines are %q", got)
		}
		if out, errs := s.both("logs", "-n", "0", "talk"); out+errs != "" {
			s.t.Errorf("the last no lines are %q", out+errs)
		}
		fields := strings.Fields(s.podc("logs", "-t", "--no-log-prefix", "--tail", "1", "--index", "1", "talk"))
		if at, err := time.Parse(time.RFC3339Nano, fields[0]); err != nil || at.Before(started) || at.After(time.Now()) {
			s.t.Errorf("the time is %q (%v)", fields, err)
		}
		s.fails(1, "logs", "--tail", "many")
	})
	s.behaves("since and until a time", func(s *stack) {
		var middle string
		for line := range strings.Lines(s.podc("logs", "-t", "--no-log-prefix", "--index", "1", "talk")) {
			if strings.Contains(line, "three") {
				middle = strings.Fields(line)[0]
			}
		}
		if got := s.podc("logs", "--no-log-prefix", "--index", "1", "--since", middle, "talk"); got != "three\n\nunfinished\n" {
			s.t.Errorf("since %s it says %q", middle, got)
		}
		if got := s.podc("logs", "--no-log-prefix", "--index", "1", "--until", middle, "talk"); !strings.HasPrefix(got, "one\n") || strings.Contains(got, "unfinished") {
			s.t.Errorf("until %s it says %q", middle, got)
		}
		if got := s.podc("logs", "--since", "1h", "named"); got == "" {
			s.t.Error("nothing within an hour")
		}
		s.fails(1, "logs", "--since", "yesterday")
	})
	s.behaves("lose no line when they are rotated", func(s *stack) {
		files, _ := filepath.Glob(filepath.Join(s.root, "pods/p-flood-1/main/ctr.log*"))
		if len(files) < 5 {
			s.t.Errorf("only %q", files)
		}
		out, errs := s.both("logs", "--no-log-prefix", "flood")
		for i, text := range []string{out, errs} {
			n := i
			for line := range strings.Lines(text) {
				if !strings.HasPrefix(line, fmt.Sprintf("%08d ", n)) {
					s.t.Fatalf("line %d is %q", n, line)
				}
				n += 2
			}
			if n != 6000+i {
				s.t.Errorf("lines end at %d", n)
			}
		}
	})
	s.behaves("are bounded by max-size and max-file, the last lines kept", func(s *stack) {
		files, _ := filepath.Glob(filepath.Join(s.root, "pods/p-bounded-1/main/ctr.log*"))
		slices.Sort(files)
		if len(files) != 3 {
			s.t.Errorf("kept %q", files)
		}
		out, errs := s.both("logs", "--tail", "100", "--no-log-prefix", "bounded")
		contains(s.t, out, "00005998 ")
		contains(s.t, errs, "00005999 ")
		if size, _ := runShell(s.t, `cat "$@" | wc -c`, append([]string{""}, files...)...); len(size) > 6 {
			s.t.Errorf("kept %s bytes", size)
		}
	})
	s.behaves("that are not kept are not there", func(s *stack) {
		for _, args := range [][]string{{"logs", "quiet", "named"}, {"logs"}, {"logs", "-f", "named", "quiet"}} {
			out, errs := s.both(args...)
			contains(s.t, out, "a-name", "hello\n")
			contains(s.t, errs, `warning: "p-quiet-1" keeps no log: its logging driver is "none"`)
			if strings.Contains(out+errs, "never") {
				s.t.Errorf("%s says %q", args, out)
			}
		}
	})
	s.behaves("of unknown services are an error", func(s *stack) {
		contains(s.t, s.fails(1, "logs", "nobody"), "no such service: nobody")
	})
	s.behaves("are followed until the containers end", func(s *stack) {
		follow := s.begin("logs", "-f", "later")
		s.feed("first words")
		follow.prints("later-1  | first words\n")
		s.podc("stop", "later")
		follow.ends(0)
	})
	s.behaves("followed end at an interrupt with code 130", func(s *stack) {
		follow := s.begin("logs", "-f", "talk")
		follow.prints("talk-2  | three\n")
		follow.interrupt()
		follow.ends(130)
	})
	s.behaves("survive a restart of the container, and go with it", func(s *stack) {
		s.podc("start", "named")
		eventually(s.t, 5*time.Second, func() error {
			if out := s.podc("logs", "named"); strings.Count(out, "hello") != 2 {
				return fmt.Errorf("it says %q", out)
			}
			return nil
		})
		s.podc("rm", "-f", "named")
		if out := s.podc("logs", "named"); out != "" {
			s.t.Errorf("it says %q", out)
		}
	})
}

// feed writes a line into the fifo that service later reads.
func (s *stack) feed(line string) {
	s.t.Helper()
	if out, err := runShell(s.t, `echo "$1" > "$0"`, filepath.Join(s.dir, "fifo"), line); err != nil {
		s.t.Fatal(out)
	}
}

// both runs podc, which must succeed, and returns its two streams.
func (s *stack) both(args ...string) (stdout, stderr string) {
	s.t.Helper()
	cmd := s.cmd(s.t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("podc %s: %v\n%s", strings.Join(args, " "), err, &errs)
	}
	return out.String(), errs.String()
}

// A container that counts is followed while its log is rotated, it is restarted, taken the place of, and joined by others, and
// while the monitor is killed: of each run every line comes, once.
func TestFollowedLogsMissNothing(t *testing.T) {
	t.Parallel()
	const compose = `
services:
  count:
    image: localhost/podc-busybox
    command: [sh, -c, "trap 'exit 0' TERM; i=0; while :; do echo $$HOSTNAME $$i; i=$$((i+1)); test $$((i %% 50)) != 0 || sleep 0.02; done"]
    environment: {N: '%d'}
    scale: %d
    logging: {options: {max-size: 32k, max-file: '50'}}
`
	s := newStack(t, fmt.Sprintf(compose, 1, 1))
	s.load("busybox")
	s.podc("up", "-d")
	follow := s.begin("logs", "-f", "--no-log-prefix", "count")
	follow.prints(" 500\n")
	s.podc("restart", "count")
	monitors, _ := filepath.Glob(filepath.Join(s.run, "monitors/*/lock"))
	for _, lock := range monitors {
		if pid, err := os.ReadFile(lock); err == nil {
			runShell(t, `kill -9 $1`, "", strings.TrimSpace(string(pid)))
		}
	}
	s.write("compose.yaml", fmt.Sprintf(compose, 2, 1))
	s.podc("up", "-d") // in its place comes another one
	s.write("compose.yaml", fmt.Sprintf(compose, 2, 2))
	s.podc("up", "-d")
	second := s.ps()["p-count-2"].ID
	follow.prints(second[:12] + " 500\n")
	s.podc("stop")
	follow.ends(0)
	next, runs := map[string]int{}, 0
	for line := range strings.Lines(follow.output()) {
		host, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("a line is %q", line)
		}
		if n == 0 {
			runs++
			next[host] = 0
		}
		if n != next[host] {
			t.Fatalf("%s is at %d and says %q", host, next[host], line)
		}
		next[host]++
	}
	if runs != 4 || len(next) != 3 {
		t.Errorf("%d runs of %d containers were seen", runs, len(next))
	}
	// Afterwards the kept files have the same.
	out := s.podc("logs", "--no-log-prefix", "count")
	if last := fmt.Sprintf("%s %d\n", second[:12], next[second[:12]]-1); !strings.Contains(out, last) {
		t.Errorf("the last line of %s is not kept", second[:12])
	}
}

// Lines of several containers come in the order in which they were written, however many there are, and wherever they begin.
func TestLogsOfSeveralContainersAreInOrder(t *testing.T) {
	t.Parallel()
	s := newStack(t, `
services:
  a: {image: localhost/podc-probe, command: [flood, '3000', '60', 2ms]}
  b: {image: localhost/podc-probe, command: [flood, '3000', '60', 3ms]}
  c: {image: localhost/podc-probe, command: [flood, '2000', '60', 5ms]}
`)
	s.load("probe")
	s.podc("up", "-d")
	for _, name := range []string{"a", "b", "c"} {
		s.ended(name, 0)
	}
	for _, args := range [][]string{{}, {"--tail", "700"}, {"-f"}, {"-f", "--tail", "700"}} {
		out, errs := s.both(append([]string{"logs", "-t", "--no-log-prefix"}, args...)...)
		total := 0
		for _, text := range []string{out, errs} {
			previous := ""
			for line := range strings.Lines(text) {
				stamp, _, _ := strings.Cut(line, " ")
				if stamp < previous {
					t.Fatalf("with %q, %s comes after %s", args, stamp, previous)
				}
				previous = stamp
				total++
			}
		}
		want := 2 * 4000
		if slices.Contains(args, "--tail") { // of both streams together, however they came to lie
			want = 3 * 700
		}
		if total != want {
			t.Errorf("with %q there are %d lines, not %d", args, total, want)
		}
	}
}
