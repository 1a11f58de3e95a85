package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// TestPairsOfTheCommandLine: what no process, label or option can be is refused by every command that takes it, before anything is
// made.
func TestPairsOfTheCommandLine(t *testing.T) {
	s := newStack(t, `
services:
  a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
  b: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: [c], profiles: [never], networks: [n]}
  c: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, profiles: [never], networks: [n]}
networks: {n: {}}
`, "data", "x", "nul.env", "A=\x00\n", "escape.env", "A=\x1b[31m\n", "name.env", "=x\n", "space.env", "A B=x\n", "long.env", "A="+strings.Repeat("x", 131_072)+"\n",
		"many.env", many(40, func(i int) string { return fmt.Sprintf("A%d=%s\n", i, strings.Repeat("x", 52_420)) }))
	s.load("busybox")
	s.podc("up", "-d")
	before := s.everythingMade()
	table := func(commands [][]string, values map[string]string) {
		for _, command := range commands {
			for value, want := range values {
				args := strings.Split(strings.ReplaceAll(strings.Join(command, "\x00"), "%", value), "\x00")
				out, err := s.cmd(t.Context(), args...).CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || !strings.Contains(string(out), want) || strings.ContainsAny(string(out), "\x1b\x7f\a") {
					t.Errorf("%q: %v, want %q:\n%.300q", args, err, want, out)
				}
			}
		}
	}
	names := map[string]string{
		"=x": "", "": "", " A=x": "", "A B=x": "", "A\x1b=x": "", "A\n=x": "",
		"A=\x1b[31m": "control character", "A=\x7f": "control character", "A=\u009b31m": "control character", "A=x\ay": "control character",
	}
	table([][]string{
		{"run", "-T", "--rm", "-e", "%", "b", "true"},
		{"run", "-d", "-e", "%", "b"},
		{"--dry-run", "run", "-d", "-e", "%", "b"},
		{"exec", "-T", "-e", "%", "a", "true"},
		{"exec", "-d", "-e", "%", "a", "true"},
		{"container", "exec", "-e", "%", "p-a-1", "true"},
	}, names)
	table([][]string{
		{"commit", "-c", "ENV %", "a", "localhost/bad"},
		{"container", "commit", "-c", "LABEL %", "p-a-1", "localhost/bad"},
	}, map[string]string{"=x": "", "": "", "A\x1b=x": "", "A=\x1b[31m": "control character", "A='\u009b31m'": "control character", "A \x1bx": "control character"})
	table([][]string{
		{"run", "-T", "--rm", "-l", "%", "b", "true"},
		{"run", "-d", "--label", "%", "b"},
		{"volume", "create", "--label", "%", "bad"},
		{"network", "create", "--label", "%", "bad"},
		{"secret", "create", "--label", "%", "bad", "data"},
		{"config", "create", "--label", "%", "bad", "data"},
	}, map[string]string{"=x": "", "": "", "A\x1b=x": "", "A\n=x": "", "A=\x1b[31m": "control character", "A=\u009b31m": "control character"})
	table([][]string{
		{"volume", "create", "--opt", "%", "bad"},
		{"network", "create", "--opt", "%", "bad"},
		{"network", "connect", "--driver-opt", "%", "p_n", "p-a-1"},
	}, map[string]string{"=x": "", "": "", "A\x1b=x": "", "A=\x1b[31m": ""})
	table([][]string{
		{"run", "-T", "--rm", "--env-from-file", "%", "b", "true"},
		{"container", "exec", "--env-file", "%", "p-a-1", "true"},
	}, map[string]string{"nul.env": "control character", "escape.env": "control character", "name.env": "", "space.env": "", "long.env": "128 KiB", "many.env": "KiB"})
	if after := s.everythingMade(); after != before {
		t.Errorf("there was\n%s\nthere is\n%s", before, after)
	}
	s.podc("exec", "-T", "-e", "A=x\ty\nz", "-e", "B==", "-e", "C=", "-e", "UNSET", "a", "sh", "-c", `test "$A" = "$(printf 'x\ty\nz')" -a "$B" = = -a "${C-no}" = "" -a "${UNSET-no}" = no`)
}

func (s *stack) everythingMade() string {
	var b strings.Builder
	for _, list := range [][]string{{"ps", "-a", "--format", "{{.Names}}"}, {"network", "ls", "-q"}, {"volume", "ls", "-q"}, {"secret", "ls", "-q"}, {"config", "ls", "-q"}, {"image", "ls", "-q"}} {
		b.WriteString(strings.Join(list, " ") + ": " + s.podc(list...) + "\n")
	}
	return b.String()
}
