package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// script writes a program into a folder of the stack's own and returns its path.
func (s *stack) script(name, content string) string {
	s.t.Helper()
	path := filepath.Join(filepath.Dir(s.dir), "scripts", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// failingAt is a wrapper of the runtime that fails at one of its commands only.
func failingAt(command, how string) string {
	return fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *\" %s \"*) %s;; esac\nexec crun \"$@\"\n", command, how)
}

// Whatever becomes of the runtime or of conmon, the error names the one and has its last words, and nothing of them is left.
func TestFailuresOfTheRuntimeNameIt(t *testing.T) {
	t.Parallel() // it waits, and does little
	s := newStack(t, "services: {}")
	s.load("busybox")
	runtimes := map[string]struct{ script, want string }{
		"silent":     {"#!/bin/sh\nexit 1\n", "silent failed without a word"},
		"telling":    {"#!/bin/sh\necho cannot do it: permission denied >&2; exit 1\n", "telling: cannot do it: permission denied"},
		"crashing":   {"#!/bin/sh\necho oh dear >&2; kill -SEGV $$\n", "crashing: oh dear"},
		"flooding":   {"#!/bin/sh\nseq 100000 >&2\n", "flooding hangs (it did nothing for 7s): "}, // conmon reads when it has ended
		"hanging":    {"#!/bin/sh\necho waiting >&2; sleep 1000\n", "hanging hangs (it did nothing for 7s): waiting"},
		"replaced":   {"#!/bin/sh\necho waiting >&2; exec sleep 1000\n", "replaced hangs (it did nothing for 7s): waiting"},
		"startless":  {failingAt("start", "echo no start >&2; exit 3"), "startless: no start"},
		"startcrash": {failingAt("start", "kill -SEGV $$"), "startcrash crashed (signal: segmentation fault"},
		"starthang":  {failingAt("start", "echo waiting >&2; sleep 1000"), "starthang hangs (it did nothing for 7s): waiting"},
	}
	compose := "services:\n"
	for name, r := range runtimes {
		// Before anything is made, a runtime is asked whether it is one.
		r.script = strings.Replace(r.script, "#!/bin/sh\n", "#!/bin/sh\n[ \"$*\" != --version ] || exec crun --version\n", 1)
		compose += fmt.Sprintf("  %s: {image: localhost/podc-busybox, command: sleep 1000, runtime: %s}\n", name, s.script(name, r.script))
	}
	for name, r := range map[string]struct{ script, want string }{
		"foreign": {"\x7fELF of another machine", "exec format error"},
		"lingers": {"#!/bin/sh\nsleep 1000 &\n", "is no OCI runtime"},
	} {
		s.write("compose.yaml", fmt.Sprintf("services:\n  x: {image: localhost/podc-busybox, runtime: %s}\n", s.script(name, r.script)))
		contains(t, s.fails(1, "up", "-d"), "scripts/"+name, r.want)
	}
	for _, pid := range pidsWith("sleep", "1000") {
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(env), filepath.Dir(s.dir)) {
			syscall.Kill(pid, syscall.SIGKILL) // what lingers is the program's own affair
		}
	}
	s.write("compose.yaml", compose)
	out := s.fails(1, "up", "-d")
	for name, r := range runtimes {
		if want := fmt.Sprintf("cannot start \"p-%s-1\": ", name); !strings.Contains(out, want) || !strings.Contains(out, r.want) {
			t.Errorf("the message lacks %q and %q:\n%s", want, r.want, out)
		}
	}
	if pids := pidsWith("sleep", "1000"); len(pids) > 0 {
		for _, pid := range pids {
			if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); strings.Contains(string(env), filepath.Dir(s.dir)) {
				t.Errorf("process %d is left", pid)
			}
		}
	}
	s.down()
	s.write("compose.yaml", "services: {web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}}")
	env := s.env
	for _, conmon := range []struct{ script, want string }{
		{"#!/bin/sh\nexit 1\n", "conmon failed without a word (exit status 1)"},
		{"#!/bin/sh\necho no way >&2; exit 1\n", "conmon: no way"},
		{"#!/bin/sh\nkill -SEGV $$\n", "conmon crashed (signal: segmentation fault"},
		{"\x7fELF of another machine", "cannot run conmon: "},
		{"#!/bin/sh\nseq 100000 >&2; sleep 1000\n", "conmon hangs (it did nothing for 7s): "},
	} {
		s.env = append(env[:len(env):len(env)], "PATH="+filepath.Dir(s.script("conmon", conmon.script))+":"+os.Getenv("PATH"))
		contains(t, s.fails(1, "up", "-d"), `cannot start "p-web-1": `+conmon.want)
	}
	s.env = env
	s.podc("up", "-d")
	s.says("web", "echo well", "well")
	s.behaves("exec says so too, with docker's exit code", func(s *stack) {
		// The runtime is found on the caller's path.
		os.Remove(filepath.Join(filepath.Dir(s.script("crun", "")), "conmon"))
		for script, want := range map[string]string{
			"#!/bin/sh\necho out of order | tee /proc/self/fd/4 >&2; exit 1\n": "out of order\npodc: crun could not run the command\n",
			"\x7fELF of another machine":                                       "exec format error",
		} {
			s.env = append(env[:len(env):len(env)], "PATH="+filepath.Dir(s.script("crun", script))+":"+os.Getenv("PATH"))
			out, err := s.try("exec", "-T", "web", "true")
			if exitCode(err) != 125 && exitCode(err) != 1 || !strings.Contains(out, want) {
				s.t.Errorf("%v: %q, want %q", err, out, want)
			}
			out, err = s.try("exec", "-d", "web", "true")
			if err == nil || !strings.Contains(out, strings.TrimSuffix(want, "\npodc: crun could not run the command\n")) {
				s.t.Errorf("detached: %v: %q, want %q", err, out, want)
			}
		}
	})
}

// Compose files ask for runc by habit: where it is not installed the default runs them, and says so, once.
func TestARuntimeThatIsNotInstalledIsNamed(t *testing.T) {
	if _, err := exec.LookPath("runc"); err == nil {
		t.Skip("runc is installed")
	}
	s := newStack(t, `
x-run: &run {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  a: {<<: *run, runtime: runc}
  b: {<<: *run, runtime: runc}
  c: {<<: *run, runtime: crun}
`)
	s.load("busybox")
	const warning = `warning: runtime "runc" is not installed: "crun" runs what asks for it`
	if out := s.podcErr("up", "-d"); strings.Count(out, "warning: ") != 1 || !strings.Contains(out, warning) {
		t.Errorf("up says\n%s", out)
	}
	if out := s.podcErr("up", "-d"); strings.Contains(out, "warning: ") {
		t.Errorf("an up that makes nothing says\n%s", out)
	}
}
