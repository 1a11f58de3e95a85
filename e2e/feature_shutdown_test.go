package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ending has services that write into ./said how they end.
const ending = `
x-run: &run {image: localhost/podc-busybox, volumes: ['./said:/said'], stop_signal: SIGKILL}
services:
  db:
    <<: *run
    restart: unless-stopped
    stop_signal: SIGUSR1
    command: sh -c 'trap "echo db >>/said/order; exit 0" USR1; while :; do sleep 0.05; done'
  app:
    <<: *run
    restart: on-failure
    stop_signal: SIGTERM
    depends_on: [db]
    pre_stop: [{command: sh -c 'echo hook >>/said/order'}]
    command: sh -c 'trap "echo app >>/said/order; exit 3" TERM; while :; do sleep 0.05; done'
  deaf: {<<: *run, restart: always, stop_signal: SIGTERM, stop_grace_period: 100ms, command: "sh -c 'trap : TERM; while :; do sleep 0.05; done'"}
  crashing: {<<: *run, restart: always, command: 'false'}
  halted: {<<: *run, restart: unless-stopped, command: sleep 1000}
  "no": {<<: *run, command: sleep 1000}
`

func (s *stack) said() string {
	b, _ := os.ReadFile(filepath.Join(s.dir, "said", "order"))
	os.Remove(filepath.Join(s.dir, "said", "order"))
	return strings.Join(strings.Fields(string(b)), " ")
}

// nothingLives waits until no process of the stack is left.
func (s *stack) nothingLives() {
	s.t.Helper()
	eventually(s.t, 30*time.Second, func() error {
		if left := s.everything(); len(left) > 0 {
			return fmt.Errorf("processes %v live", left)
		}
		return nil
	})
}

// When the machine goes down containers end in order, each as it wishes, and no person has asked for it: the next start brings
// them back.
func TestTheEndOfTheMachineStopsEverythingAndIsNobodysWish(t *testing.T) {
	s := newStack(t, ending, "said/here", "")
	s.load("busybox")
	s.podc("up", "-d")
	s.podc("run", "-d", "--name", "oneoff", "no", "sleep", "1000")
	s.podc("stop", "halted")
	back := map[string]string{"db": "running", "app": "running", "deaf": "running", "halted": "exited", "no": "exited"}
	checkBack := func(in *stack) {
		in.t.Helper()
		rows := in.ps()
		for service, state := range back {
			if got := rows["p-"+service+"-1"].State; got != state {
				in.t.Errorf("%s is %s after the next start, want %s", service, got, state)
			}
		}
		if got := rows["p-crashing-1"].State; got != "restarting" && got != "running" {
			in.t.Errorf("what crashes is %s after the next start", got)
		}
	}
	down := func(in *stack) {
		in.t.Helper()
		if out := in.podc("boot", "--stop", "--dry-run"); in.said() != "" {
			in.t.Errorf("a dry run stopped containers: %s", out)
		}
		in.podc("boot", "--stop")
		if got := in.said(); got != "hook app db" {
			in.t.Errorf("they ended in the order %q", got)
		}
		if left := in.everything(); len(left) > 0 {
			in.t.Errorf("processes %v live", left)
		}
		in.podc("boot", "--stop") // nothing to do
	}
	s.behaves("in one boot", func(s *stack) {
		down(s)
		s.podc("boot")
		checkBack(s)
	})
	s.behaves("with a reboot", func(s *stack) {
		down(s)
		after := s.boot().after(s)
		after.podc("boot")
		checkBack(after)
		after.podc("down", "-v", "-t", "0", "--remove-orphans")
	})
	for _, args := range [][]string{{"boot", "--stop", "--unit"}, {"boot", "--stop", "db"}} {
		s.fails(1, args...)
	}
}

// systemd waits as long as it is told to: both commands ask for what containers are given. Nothing else speaks to it in their name.
func TestBootTellsSystemdHowLongContainersTake(t *testing.T) {
	s := newStack(t, `
services:
  a:
    image: localhost/podc-busybox
    restart: always
    stop_grace_period: 1h
    command: sh -c 'trap "exit 0" TERM; while :; do sleep 0.05; done'
`)
	s.load("busybox")
	socket := filepath.Join(t.TempDir(), "notify")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	unit := s.with("NOTIFY_SOCKET=" + socket)
	told := func(want string) {
		t.Helper()
		heard.SetReadDeadline(time.Now().Add(time.Minute))
		b := make([]byte, 1<<16)
		for {
			n, err := heard.Read(b)
			if err != nil {
				t.Fatalf("systemd was not told %q: %v", want, err)
			}
			if string(b[:n]) == want {
				return
			}
		}
	}
	s.podc("up", "-d")
	unit.podc("boot", "--stop")
	told(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\nSTATUS=stop pod p-a-1\n", (time.Hour + 4*time.Minute).Microseconds()))
	unit.podc("boot")
	told(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d\nSTATUS=start pod p-a-1\n", (12 * time.Minute).Microseconds()))
	for _, pid := range s.everything() {
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(env), "NOTIFY_SOCKET") {
			t.Errorf("process %d (%s) can speak to systemd", pid, commandLines()[pid])
		}
	}
}

// What is attached to containers gets the SIGTERM, too, or sees others end: nobody asks for the end of those that it stops then.
func TestAttachedCommandsStopNothingByHandWhenTheMachineGoesDown(t *testing.T) {
	s := newStack(t, `
x-run: &run {image: localhost/podc-busybox, restart: unless-stopped}
services:
  up: {<<: *run, command: "sh -c 'echo begins; trap \"exit 0\" TERM; while :; do sleep 0.05; done'"}
  needed: {<<: *run, command: sleep 1000, init: true}
  attached: {<<: *run, stop_grace_period: 1h, command: "sh -c 'echo begins; trap \"sleep 0.5; exit 0\" TERM; while :; do sleep 0.05; done'"}
`)
	s.load("busybox")
	s.podc("up", "-d")
	up, attach := s.begin("up", "up", "needed"), s.begin("attach", "attached")
	up.prints("Attaching to")
	eventually(t, 10*time.Second, func() error { // it listens to signals once it stays
		if status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", attach.cmd.Process.Pid)); !catches(string(status), syscall.SIGUSR1) {
			return fmt.Errorf("it does not stay yet")
		}
		return nil
	})
	note := filepath.Join(s.run, "shutdown")
	for _, pid := range pidsWith("podc-monitor", "monitor", s.run) {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	eventually(t, 10*time.Second, func() error { _, err := os.Stat(note); return err })
	for _, r := range []*running{up, attach} {
		r.cmd.Process.Signal(syscall.SIGTERM)
		r.cmd.Process.Signal(syscall.SIGHUP) // as systemd does to what is left of a login
	}
	up.ends(130)
	attach.ends(0)
	for name, r := range s.ps() {
		if r.State != "exited" || name == "p-attached-1" && r.ExitCode != 0 {
			t.Errorf("%s is %s (%d)", name, r.State, r.ExitCode)
		}
	}
	s.podc("boot")
	for name, r := range s.ps() {
		if r.State != "running" {
			t.Errorf("%s is %s after the next start", name, r.State)
		}
	}
}

// catches reports whether a process has a handler for a signal.
func catches(status string, sig syscall.Signal) bool {
	_, line, _ := strings.Cut(status, "\nSigCgt:")
	line, _, _ = strings.Cut(line, "\n")
	mask, _ := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	return mask&(1<<(sig-1)) != 0
}

// Where nothing stops containers before, init sends SIGTERM to every process at once. No policy brings anything back then.
func TestSigtermToEverythingRestartsNothing(t *testing.T) {
	s := newStack(t, `
services:
  a: &run
    image: localhost/podc-busybox
    restart: always
    command: sh -c 'trap "exit 0" TERM; while :; do sleep 0.05; done'
  b: {<<: *run, restart: unless-stopped, depends_on: [a]}
  c: {<<: *run, command: "false"}
`)
	s.load("busybox")
	s.podc("up", "-d")
	for _, pid := range s.everything() {
		syscall.Kill(pid, syscall.SIGTERM)
	}
	s.nothingLives()
	for name, r := range s.ps() {
		if r.State != "exited" {
			t.Errorf("%s is %s", name, r.State)
		}
	}
	s.podc("up", "-d", "a", "b") // whoever asks knows that the machine stays
	syscall.Kill(s.pid("p-a-1"), syscall.SIGTERM)
	eventually(t, 30*time.Second, func() error {
		if s.podc("ps", "-q", "--status", "running", "a") == "" || s.podc("container", "inspect", "-f", "{{.RestartCount}}", "p-a-1") == "0\n" {
			return fmt.Errorf("a was not restarted")
		}
		return nil
	})
}
