package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The tests in files feature_* go through what the README promises, topic by topic. One stack serves many of them, each
// a subtest named as a behaviour.

// sleeper is a service that does nothing; more keys can follow.
const sleeper = "image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL"

// behaves runs a subtest on the stack. A failure within ends that subtest only.
func (s *stack) behaves(behaviour string, check func(s *stack)) {
	s.t.Helper()
	s.t.Run(behaviour, func(t *testing.T) {
		in := *s
		in.t = t
		check(&in)
	})
}

// sh runs a shell script in a service and returns what it printed.
func (s *stack) sh(service, script string) string {
	s.t.Helper()
	return s.exec(service, "sh", "-c", script)
}

// says checks what a shell script prints in a service.
func (s *stack) says(service, script, want string) {
	s.t.Helper()
	if got := s.sh(service, script); got != want {
		s.t.Errorf("in %s, %q says %q, want %q", service, script, got, want)
	}
}

// contains checks that text has every part.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in %q", part, text)
		}
	}
}

// subnet24 is an address range that no other test process on the machine uses: its first three numbers.
func subnet24(n int) string { return fmt.Sprintf("10.%d.%d", 200+os.Getpid()%50, n) }

// hostAddress is an IPv4 address of the host that is not on its loopback.
func hostAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("needs an address beside loopback")
	return ""
}

// freePorts is the first of n ports in a row that nothing on the host listens on.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := freePort(t)
		free := 1
		for ; free < n; free++ {
			l, err := net.Listen("tcp", fmt.Sprintf(":%d", first+free))
			if err != nil {
				break
			}
			l.Close()
		}
		if free == n && first+n < 1<<16 {
			return first
		}
	}
	t.Fatalf("no %d free ports in a row", n)
	return 0
}

// runShell runs a script of the host's shell.
func runShell(t *testing.T, script string, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", append([]string{"-c", script}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
