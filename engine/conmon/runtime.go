package conmon

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/child"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// RuntimeError is a failure of the OCI runtime or of conmon, rather than of what they were to run.
type RuntimeError struct {
	Program string // its name
	How     string // it failed, such as "hangs"; empty: what it said is enough
	Said    string // its last words; may be empty
	Err     error  // beside the text: its class, the end of its process
}

func (r *RuntimeError) Error() string {
	s := strings.TrimSpace(r.Program + " " + r.How)
	switch {
	case r.Said != "":
		return s + ": " + r.Said
	case r.How == "":
		return s + " failed without a word"
	}
	return s
}

func (r *RuntimeError) Unwrap() error { return r.Err }

// Failed says that the runtime at path ended with err (nil: nobody knows how) after it had said something, and what to
// do where the cause is known.
func Failed(path, said string, err error) error {
	if strings.Contains(said, "cgroups in hybrid mode not supported") {
		return HybridCgroups("hugetlb, perf_event")
	}
	failed := &RuntimeError{Program: filepath.Base(path), Said: said, Err: err}
	var exit *exec.ExitError
	switch {
	case noProgram().MatchString(said):
		failed.Said, failed.Err = noProgram().ReplaceAllString(said, `exec: "$1": executable file not found in $$PATH`), errdefs.ErrNotFound
	case strings.Contains(said, "executable") && (strings.Contains(said, "not found") || strings.Contains(said, "No such file or directory")):
		failed.Err = errdefs.ErrNotFound
	case strings.Contains(strings.ToLower(said), "no space left on device"):
		failed.Err = unix.ENOSPC
	case notExecutable().MatchString(said):
		failed.Err = errdefs.ErrPermissionDenied
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		failed.How = "crashed (" + exit.Error() + ")"
	case errors.As(err, &exit) && said == "":
		failed.How = "failed without a word (" + exit.Error() + ")"
	}
	return failed
}

// noProgram is how crun says it, twice.
var noProgram = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("executable file `([^`]*)` not found in \\$PATH(?:: No such file or directory)?")
})

// notExecutable is how runtimes say that what they were to run may not be run, or is a folder.
var notExecutable = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("(?i)permission denied|is a directory") })

// A runtime needs some hundredths of a second for what podc asks of it, and any time at all on a machine that is slow or has
// much else to do. So not the clock decides that it hangs, but that it has stopped to do anything.
const (
	// runtimeSilence is how long conmon and the runtime may do nothing at all.
	runtimeSilence = 7 * time.Second
	// runtimeWork is the time of a processor that they may use.
	runtimeWork = 5 * time.Second
	// runtimeDeadline bounds every call of them, whatever they do.
	runtimeDeadline = 60 * time.Second
	// runtimeLastWords is how long the words of a runtime that has ended may take.
	runtimeLastWords = 100 * time.Millisecond
)

// whileWorking returns a context that ends with a *RuntimeError when conmon and the runtime, at work for the container id,
// hang; accuse says which of them does, and its last words. cancel must be called.
func (r Runner) whileWorking(ctx context.Context, id string, accuse func(atWork []kernel.Process) (program, said string)) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		begun, silent := time.Now(), time.Now()
		var last vitality
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			how := ""
			starters := r.Starters(id)
			now := vitalityOf(starters)
			if now != last || now.busy {
				silent, last = time.Now(), now
			}
			switch {
			case time.Since(silent) > runtimeSilence:
				how = fmt.Sprintf("hangs (it did nothing for %s)", runtimeSilence)
			case now.work > runtimeWork:
				how = fmt.Sprintf("is stopped (it worked for %s and came to no end)", now.work)
			case time.Since(begun) > runtimeDeadline:
				how = fmt.Sprintf("did not end within %s", runtimeDeadline)
			default:
				continue
			}
			program, said := accuse(starters)
			cancel(&RuntimeError{Program: program, How: how, Said: said, Err: errdefs.ErrUnavailable})
			return
		}
	}()
	return ctx, func() { cancel(nil) }
}

// vitality is what the kernel has counted of some processes: while they do anything, it changes.
type vitality struct {
	processes, switches int
	work                time.Duration // of processors
	busy                bool          // one is computing, waits for a processor, or for a disk
}

func vitalityOf(list []kernel.Process) vitality {
	var v vitality
	for _, p := range list {
		if s, ok := kernel.StatOf(p.Pid); ok {
			v.busy = v.busy || s.State == 'R' || s.State == 'D'
			v.work += s.Work
			v.processes += p.Pid
		}
		v.switches += kernel.Switches(p.Pid)
	}
	return v
}

// accuse says whether conmon or the runtime keeps the other waiting: conmon has noted its pid before it starts the runtime, and
// has not read what that has said.
func accuse(c Container, atWork []kernel.Process) (program, said string) {
	if _, err := os.Stat(c.conmonPid()); err != nil {
		return "conmon", ""
	}
	program = "conmon"
	for _, p := range atWork {
		if slices.Contains(kernel.Args(p.Pid), "--exit-dir") {
			continue // conmon
		}
		program = filepath.Base(c.Runtime)
		said = cmp.Or(unread(kernel.StderrOf(p.Pid)), said)
	}
	return program, said
}

// unread is the end of what is in a pipe and was not read. It stays there: a program that waits until somebody reads would else go on,
// and end before it is said to hang.
func unread(path string) string {
	if fi, err := os.Stat(path); err != nil || fi.Mode()&os.ModeNamedPipe == 0 {
		return ""
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return ""
	}
	defer r.Close()
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 1<<20) // as much as is allowed
	unix.Tee(int(f.Fd()), int(w.Fd()), 1<<20, unix.SPLICE_F_NONBLOCK)
	w.Close()
	var last Tail
	io.Copy(&last, r)
	return last.Words()
}

// Call runs the runtime at path about the container id, to its end.
func (r Runner) Call(ctx context.Context, path, id, verb string) error {
	var said Tail
	ctx, cancel := r.whileWorking(ctx, id, func([]kernel.Process) (string, string) { return filepath.Base(path), "" })
	defer cancel()
	cmd := child.Command(ctx, path, "--root", r.State, verb, id)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) } // what it has started, too
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = r.Env, &said, &said, runtimeLastWords
	err := cmd.Run()
	var hung *RuntimeError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case errors.As(context.Cause(ctx), &hung):
		hung.Said = said.Words()
		return hung
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cmd.ProcessState == nil:
		return fmt.Errorf("cannot run %s: %w", filepath.Base(path), err)
	}
	return Failed(path, said.Words(), err)
}

// Tail keeps the end of what is written to it: what a program said last says why it ended.
type Tail struct {
	b   bytes.Buffer
	cut bool
}

// lastWords is how much is kept, in bytes, and lastLines how many lines of it are shown.
const (
	lastWords = 2048
	lastLines = 20
)

func (w *Tail) Write(b []byte) (int, error) {
	w.b.Write(b)
	if over := w.b.Len() - lastWords; over > 0 {
		w.b.Next(over)
		w.cut = true
	}
	return len(b), nil
}

// Words are the last lines, none of them half, unless there is no whole one.
func (w *Tail) Words() string {
	text := strings.TrimRight(w.b.String(), "\n")
	if _, whole, ok := strings.Cut(text, "\n"); ok && w.cut {
		text = whole
	}
	lines := strings.Split(text, "\n")
	return strings.TrimSpace(strings.Join(lines[max(0, len(lines)-lastLines):], "\n"))
}

// HybridCgroups refuses cgroups that crun does not take; controllers are those of the v2 hierarchy.
func HybridCgroups(controllers string) error {
	return fault.New(errdefs.ErrFailedPrecondition, "crun refuses this host's hybrid cgroups: the unified hierarchy still holds a controller; "+
		"mount it as a v1 hierarchy (%s; `go tool task setup` does) or use another runtime", controllers)
}

// Starters finds conmon and the runtime at work for a container, and what these have started: a start may have died before it
// could note a pid.
func (r Runner) Starters(id string) []kernel.Process {
	var list []kernel.Process
	known := map[int]bool{}
	var add func(pid int)
	add = func(pid int) {
		proc := kernel.Find(pid)
		if known[pid] || proc == (kernel.Process{}) || pid == os.Getpid() { // conmon's exit handler is its child
			return
		}
		known[pid] = true
		list = append(list, proc)
		for _, c := range kernel.Children(pid) {
			add(c)
		}
	}
	for _, pid := range kernel.Processes() {
		if r.isStarter(kernel.Args(pid), id) {
			add(pid)
		}
	}
	return list
}

// isStarter recognises conmon and the runtime, whatever their names, by their arguments: the container's id, and where the runtime
// keeps its state.
func (r Runner) isStarter(args []string, id string) bool {
	return slices.Contains(args, id) && slices.Contains(args, r.State)
}
