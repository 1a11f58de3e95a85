package e2e

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lister is a shell script that writes what a process of the kind has open into a file of the folder out.
func lister(out, kind string) string {
	return fmt.Sprintf("ls -l /proc/self/fd >> %s/%s; true", out, kind) // of which it finds its own gone
}

// callerHolds has podc run with descriptors beside the standard ones, of a folder and a file of the host's, which its caller did
// not close. The paths of both hold the word canary.
func (s *stack) callerHolds() {
	dir := filepath.Join(filepath.Dir(s.dir), "canary-folder")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "secret"), []byte("canary"), 0o600)); err != nil {
		s.t.Fatal(err)
	}
	s.wrap = []string{"sh", "-c", `exec 7<"$0" 8>>"$0/canary-file"; exec "$@"`, dir}
}

// spies replaces programs by scripts that list what they have open, and then do the same.
func spies(t *testing.T, dir, out string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		script := fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\"\n", lister(out, filepath.Base(program)), program)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(program)), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// No process that podc starts has what podc's caller left open, and no link leads a container there (CVE-2024-21626).
func TestNothingOfTheCallersReachesWhatPodcStarts(t *testing.T) {
	out := t.TempDir()
	if err := os.Chmod(out, 0o777); err != nil {
		t.Fatal(err)
	}
	s := newStack(t, `
services:
  web:
    image: localhost/podc-busybox
    user: '1000'
    command: sh -c '`+lister("/out", "container")+`; sleep 1000'
    stop_signal: SIGKILL
    volumes: [`+out+`:/out]
    healthcheck: {test: "`+lister("/out", "probe")+`", interval: 100ms}
    post_start: [{command: [sh, -c, "`+lister("/out", "post_start")+`"]}]
    pre_stop: [{command: [sh, -c, "`+lister("/out", "pre_stop")+`"]}]
  init:
    image: localhost/podc-busybox
    init: true
    command: sh -c 'ls -l /proc/1/fd > /out/init; sleep 1000'
    stop_signal: SIGKILL
    volumes: [`+out+`:/out]
  swapped: # its working directory is one when it starts
    image: localhost/podc-busybox
    command: sleep 1000
    working_dir: /work
    pre_stop: [{command: [sh, -c, 'cat secret && echo $$PWD > /out/escaped; true']}]
    stop_signal: SIGKILL
    volumes: [`+out+`:/out]
`)
	s.load("busybox")
	// Helpers lie beside podc, runtimes and conmon on its path, plugins where it is told.
	programs := filepath.Join(filepath.Dir(s.dir), "programs")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, name := range []string{"conmon", "crun"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skip(err)
		}
		found[name] = path
	}
	spies(t, programs, out, found["conmon"], found["crun"], "/usr/lib/cni/bridge", "/usr/lib/cni/portmap", "/usr/lib/cni/host-local",
		filepath.Join(*binDir, "podc-compose"), filepath.Join(*binDir, "podc-image"))
	for _, name := range []string{"podc", "podc-monitor"} {
		if err := os.Link(filepath.Join(*binDir, name), filepath.Join(programs, name)); err != nil {
			b, err := os.ReadFile(filepath.Join(*binDir, name))
			if err = errors.Join(err, os.WriteFile(filepath.Join(programs, name), b, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.bin = programs
	s.env = append(s.env, "PATH="+programs+":"+os.Getenv("PATH"), "PODC_CNI_EXEC=1", "CNI_PATH="+programs)
	s.callerHolds()
	s.podc("up", "-d", "--wait", "web")
	s.podc("up", "-d")
	list := func(kind string) []string { return []string{"sh", "-c", lister("/out", kind)} }
	s.podc(append([]string{"exec", "-T", "web"}, list("exec-T")...)...)
	s.podc(append([]string{"exec", "-d", "web"}, list("exec-d")...)...)
	s.podc(append([]string{"run", "--rm", "-T", "--no-deps", "web"}, list("run-T")...)...)
	s.onTerminal(append([]string{"exec", "web"}, list("exec-t")...)...).ends(0)
	s.onTerminal(append([]string{"exec", "-T", "web"}, list("exec-T-on-terminal")...)...).ends(0)
	for name, pids := range map[string][]int{
		"monitor": pidsWith("podc-monitor", "monitor", s.run), "guardian": pidsWith("podc-monitor", "guard", s.run), "conmon-at-work": pidsWith("conmon", "-n", "p-web-1"),
	} {
		if len(pids) == 0 {
			t.Errorf("there is no %s", name)
		}
		for _, pid := range pids {
			var open []string
			links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
			for _, l := range links {
				to, _ := os.Readlink(l)
				open = append(open, to)
			}
			if err := os.WriteFile(filepath.Join(out, name), []byte(strings.Join(open, "\n")), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.behaves("a working directory that was swapped for a link leads nowhere", func(s *stack) {
		s.podc("exec", "-T", "-w", "/", "swapped", "sh", "-c", "rmdir /work && ln -s /proc/self/fd/7 /work")
		contains(s.t, s.fails(1, "exec", "-T", "swapped", "cat", "secret"), `cannot use the working directory "/work"`)
		contains(s.t, s.fails(1, "exec", "-T", "-w", "/proc/self/fd/7", "swapped", "cat", "secret"), "cannot use the working directory")
		if out, err := s.try("stop", "swapped"); err == nil {
			s.t.Errorf("its pre_stop hook was run: %s", out)
		}
		s.podc("exec", "-T", "-w", "/", "swapped", "rm", "/work")
		s.podc("kill", "swapped")
		contains(s.t, s.fails(1, "run", "--rm", "-T", "-w", "/proc/self/fd/7", "swapped", "cat", "secret"), `working directory: "/proc/self/fd/7" lies in /proc`)
	})
	s.podc("stop", "web")
	for _, kind := range strings.Fields("container probe post_start pre_stop init exec-T exec-d exec-t exec-T-on-terminal run-T monitor guardian conmon-at-work conmon crun bridge podc-compose podc-image") {
		b, err := os.ReadFile(filepath.Join(out, kind))
		if err != nil || len(b) == 0 {
			t.Errorf("of the kind %s nothing was started: %v", kind, err)
		}
		if strings.Contains(string(b), "canary") {
			t.Errorf("%s has %s", kind, b)
		}
	}
	if _, err := os.Stat(filepath.Join(out, "escaped")); err == nil {
		t.Error("a hook ran in a folder of the host's")
	}
	// The runtime makes standard streams belong to the user of the process.
	if fi, err := os.Stat(os.DevNull); err != nil || fi.Sys().(*syscall.Stat_t).Uid != 0 {
		os.Chown(os.DevNull, 0, 0)
		t.Errorf("the host's %s belongs to a container's user, %v", os.DevNull, err)
	}
}

// Without a terminal a command gets pipes: what the caller gave podc is out of its reach, and all the same every byte, the end
// of either side and signals arrive.
func TestStreamsOfExec(t *testing.T) {
	s := newStack(t, `
services:
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
`)
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("a file of the caller's stays the caller's, whatever the command does", func(s *stack) {
		path := filepath.Join(s.dir, "log")
		s.write("log", "before\n")
		s.write("input", "given\n")
		in, err := os.Open(filepath.Join(s.dir, "input"))
		if err != nil {
			s.t.Fatal(err)
		}
		defer in.Close()
		log, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		defer log.Close()
		cmd := s.cmd(s.t.Context(), "exec", "-T", "-u", "1000", "web", "sh", "-c", "cat < /proc/self/fd/1 > /tmp/got & : > /proc/self/fd/1; chmod 777 /proc/self/fd/1; echo evil > /proc/self/fd/0; echo after; kill $!")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, log, log
		if err := cmd.Run(); err != nil {
			s.t.Error(err)
		}
		b, _ := os.ReadFile(path)
		fi, err := os.Stat(path)
		if err != nil || !strings.HasPrefix(string(b), "before\n") || fi.Sys().(*syscall.Stat_t).Uid != 0 || fi.Mode().Perm() != 0o644 {
			s.t.Errorf("the log holds %q, is of user %d with %s, %v", b, fi.Sys().(*syscall.Stat_t).Uid, fi.Mode(), err)
		}
		if now, _ := os.ReadFile(in.Name()); string(now) != "given\n" {
			s.t.Errorf("the input is %q now", now)
		}
	})
	s.behaves("the caller's terminal stays the caller's", func(s *stack) {
		for _, flags := range [][]string{{"exec"}, {"exec", "-T"}} {
			in := s.onTerminal(append(flags, "-u", "1000", "web", "sh", "-c", "echo $(stat -L -c %d:%i /proc/self/fd/0); read -r x; exit 4")...)
			var there unix.Stat_t
			name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", in.cmd.Process.Pid))
			if err := errors.Join(err, unix.Stat(name, &there)); err != nil {
				s.t.Fatal(err)
			}
			in.shows(":")
			in.types("go on\r")
			in.ends(4)
			if id := fmt.Sprintf("%d:%d", there.Dev, there.Ino); strings.Contains(in.shown(), id) {
				s.t.Errorf("%v: the command has it: %q", flags, in.shown())
			}
			if unix.Stat(name, &there); there.Uid != 0 {
				s.t.Errorf("%v: it belongs to user %d", flags, there.Uid)
			}
		}
	})
	s.behaves("large input and output arrive whole, with a reader that is slow", func(s *stack) {
		data := make([]byte, 3<<20)
		rand.Read(data)
		cmd := s.cmd(s.t.Context(), "exec", "-T", "web", "cat")
		cmd.Stdin = bytes.NewReader(data)
		from, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		var got bytes.Buffer
		for n := int64(1); err == nil; n *= 4 {
			_, err = io.CopyN(&got, from, n)
		}
		if err := cmd.Wait(); err != nil || !bytes.Equal(got.Bytes(), data) {
			s.t.Errorf("%d bytes of %d arrived, %v", got.Len(), len(data), err)
		}
	})
	s.behaves("two streams into one file stay in order", func(s *stack) {
		var want strings.Builder
		for i := range 50 {
			fmt.Fprintf(&want, "%d\n%d\n", i, i)
		}
		if got, err := s.try("exec", "-T", "web", "sh", "-c", "for i in $(seq 0 49); do echo $i; echo $i >&2; done"); err != nil || got != want.String() {
			s.t.Errorf("it is %q, %v", got, err)
		}
	})
	s.behaves("who reads no more breaks the pipe", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "exec", "-T", "web", "yes")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		io.CopyN(io.Discard, out, 10)
		out.Close()
		if err := cmd.Wait(); exitCode(err) != 128+int(unix.SIGPIPE) {
			s.t.Errorf("it ends with %v", err)
		}
	})
	s.behaves("what a command leaves behind keeps nobody waiting, and its own words are not lost", func(s *stack) {
		if got := s.podc("exec", "-T", "web", "sh", "-c", "seq 1 2000; sleep 1000 & echo $! > /tmp/left; echo end"); !strings.HasSuffix(got, "2000\nend\n") {
			s.t.Errorf("it ends with %q", got[max(0, len(got)-20):])
		}
		s.podc("exec", "-T", "web", "sh", "-c", "kill $(cat /tmp/left)")
	})
	s.behaves("signals are the command's", func(s *stack) {
		for name, sig := range map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1} {
			cmd := s.cmd(s.t.Context(), "exec", "-T", "web", "sh", "-c", "trap 'echo got it; exit 9' "+name+"; echo ready; while :; do sleep 0.02; done")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				s.t.Fatal(err)
			}
			ready := make([]byte, 6)
			if _, err := io.ReadFull(out, ready); err != nil {
				s.t.Fatal(err)
			}
			cmd.Process.Signal(sig)
			rest, _ := io.ReadAll(out)
			if err := cmd.Wait(); string(rest) != "got it\n" || exitCode(err) != 9 {
				s.t.Errorf("after SIG%s it says %q and ends with %v", name, rest, err)
			}
		}
	})
	s.behaves("its end is an event", func(s *stack) {
		s.fails(3, "exec", "-T", "web", "sh", "-c", "exit 3")
		since := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
		contains(s.t, s.podc("events", "--json", "--since", since, "--until", "0s"), `"exec_die"`, `"exitCode":"3"`)
	})
}
