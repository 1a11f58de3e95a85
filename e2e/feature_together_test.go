package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const echoing = `
x-shell: &shell {image: localhost/podc-busybox, network_mode: none}
services:
  web: {<<: *shell, command: &talk [sh, -c, 'trap "exit 3" TERM; echo "$$A begins"; while :; do sleep 0.05; done'], environment: {A: "${A-first}"}}
  other: {<<: *shell, command: *talk, environment: {A: other}, profiles: [other]}
`

// What other commands do while `up` is attached.
func TestAttachedUpBesideOtherCommands(t *testing.T) {
	t.Parallel()
	s := newStack(t, echoing)
	s.load("busybox")
	s.behaves("shows containers that are recreated, and more of them", func(s *stack) {
		up := s.begin("up")
		up.prints("web-1  | first begins\n")
		s.with("A=second").podc("up", "-d")
		up.prints("web-1 has been recreated\n")
		up.prints("web-1  | second begins\n")
		s.with("A=second").podc("scale", "web=2")
		up.prints("web-2  | second begins\n")
		s.podc("--profile", "other", "up", "-d", "--no-recreate", "--scale", "web=2")
		s.with("A=second").podc("scale", "web=1")
		up.prints("web-2 exited with code 3\n")
		s.podc("rm", "-sf", "web")
		up.prints("web-1 exited with code 3\n")
		up.ends(0)
		if out := up.output(); strings.Contains(out, "other begins") {
			s.t.Errorf("it shows a service that it did not bring up: %s", out)
		}
		s.down("-t", "0")
	})
	s.behaves("a container that is recreated or restarted aborts nothing, one that is stopped does", func(s *stack) {
		up := s.begin("up", "--abort-on-container-exit")
		up.prints("first begins\n")
		s.podc("restart", "web")
		eventually(s.t, 10*time.Second, func() error {
			if n := strings.Count(up.output(), "first begins\n"); n != 2 {
				return fmt.Errorf("it begins %d times in %s", n, up.output())
			}
			return nil
		})
		s.with("A=second").podc("up", "-d", "--force-recreate")
		up.prints("second begins\n")
		s.podc("stop", "web")
		up.ends(3)
		contains(s.t, up.output(), "web-1 has been recreated\n", "Aborting")
	})
	s.behaves("Ctrl-Z suspends, and the containers go on", func(s *stack) {
		up := s.onTerminal("up")
		up.shows("d detach")
		up.types("\x1a")
		state := func(want string) {
			s.t.Helper()
			eventually(s.t, 5*time.Second, func() error {
				b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", up.cmd.Process.Pid))
				if err != nil || !strings.Contains(string(b), ") "+want) {
					return fmt.Errorf("it is %s (%v)", b, err)
				}
				return nil
			})
		}
		state("T")
		if m := up.modes(); m&syscall.ICANON == 0 {
			s.t.Errorf("the terminal's modes are %#x", m)
		}
		s.podc("restart", "web")
		syscall.Kill(up.cmd.Process.Pid, syscall.SIGCONT)
		up.shows("begins")
		up.types("d")
		up.ends(0)
		s.exactly("running", "p-web-1")
	})
}
