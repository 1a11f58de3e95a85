// Package helper is how podc asks the programs that lie beside it, since they link too much to be part of it, and how those answer.
//
// A helper is executed with a verb. The request, one JSON value, is a file in memory with the descriptor 3; the standard input is
// free for what is too large for a request, such as an archive. The answer is one JSON object on the standard output: a reply, a
// fault, or both where a part was done. Lines on the standard error are progress, or what the program's libraries say; with its
// last words it is explained how it died. The exit code is 0 without a fault.
package helper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// stopPatience is how long a helper that is asked to end may take.
const stopPatience = 10 * time.Second

// Program is a helper and how it is run.
type Program struct {
	Path     string            // of its binary
	Args     []string          // before the verb
	Dir      string            // its working directory
	Env      map[string]string // all of its environment
	Deadline time.Duration     // of one question
}

// Question is what a helper is asked.
type Question struct {
	Verb    string
	Request any                // nil: the verb says all
	Stream  io.Reader          // the helper's standard input; nil: it is empty
	Files   []*os.File         // handed over: see HandOver
	Tell    func(api.Progress) // hears how far it is; may be nil
}

// answer is what a helper writes.
type answer struct {
	Reply any          `json:"reply,omitempty"`
	Fault *fault.Fault `json:"fault,omitempty"`
}

// Ask puts q to the helper, waits for its answer and decodes it into reply. A fault that it answers with is returned as it is; then
// reply holds what was done nevertheless. Ending ctx asks the helper to stop with SIGTERM, and kills it after ten seconds.
func (p Program) Ask(ctx context.Context, q Question, reply any) error {
	b, err := json.Marshal(q.Request)
	if err != nil {
		return err
	}
	request, err := kernel.MemFile("request", b)
	if err != nil {
		return fmt.Errorf("cannot ask %s: %w", p.name(), err)
	}
	defer request.Close()
	var out bytes.Buffer
	var last tail
	listen := func(line []byte) {
		var e api.Progress
		switch {
		case json.Unmarshal(line, &e) != nil || e.ID == "":
			last.add(line)
		case q.Tell != nil:
			q.Tell(e)
		}
	}
	failed := p.Run(ctx, Run{Args: []string{q.Verb}, Stdin: q.Stream, Stdout: &out, Stderr: listen, Files: append([]*os.File{request}, q.Files...)})
	a := answer{Reply: reply}
	switch err := json.Unmarshal(out.Bytes(), &a); {
	case failed != nil && (err != nil || a.Fault == nil || !errors.As(failed, new(*exec.ExitError))):
		return fmt.Errorf("%w%s", failed, last.String())
	case err != nil:
		return fmt.Errorf("%s gave an answer that cannot be read: %w%s", p.name(), err, last.String())
	case a.Fault != nil:
		return a.Fault
	}
	return nil
}

// Run is one execution of a helper.
type Run struct {
	Args   []string
	Stdin  io.Reader
	Stdout io.Writer
	Stderr func(line []byte)
	Files  []*os.File // its descriptors from 3 on
}

// Run executes the helper and waits, for those of its verbs that answer people. An exit code other than 0 is an *exec.ExitError
// inside of the error. Ending ctx is as in Ask.
func (p Program) Run(ctx context.Context, r Run) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.Deadline, fmt.Errorf("%s did not answer within %s", p.name(), p.Deadline))
	defer cancel()
	cmd := child.Command(ctx, p.Path, append(p.Args[:len(p.Args):len(p.Args)], r.Args...)...)
	cmd.Dir = p.Dir
	for k, v := range p.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	stderr := &Lines{Each: r.Stderr}
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = r.Stdin, r.Stdout, stderr, r.Files
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopPatience
	err := cmd.Run()
	stderr.Flush()
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return fault.Hint(fmt.Errorf("cannot run %s: %w", p.name(), err), "podc needs its helper programs beside it, in %s", filepath.Dir(p.Path))
	case err != nil && context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s failed: %w", p.name(), err)
	}
	return nil
}

func (p Program) name() string { return filepath.Base(p.Path) }

// HandOver is file names, or --file=NAME, as a helper finds them that gets files as its descriptors from the number first on: one of
// podc's own descriptors, such as a shell makes of <(...), must be handed over, and is called otherwise there. The caller closes
// the files.
func HandOver(names []string, first int) (there []string, files []*os.File) {
	for _, arg := range names {
		flag, name, ok := strings.Cut(arg, "--file=")
		if !ok || flag != "" {
			name = arg
		}
		var fd int
		for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
			if number, ok := strings.CutPrefix(name, dir); ok {
				fd, _ = strconv.Atoi(number)
			}
		}
		if fd > 2 {
			if f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
				arg = strings.TrimSuffix(arg, name) + "/dev/fd/" + strconv.Itoa(first+len(files))
				files = append(files, f)
			}
		}
		there = append(there, arg)
	}
	return there, files
}

// FirstFile is the number of the first of a question's files.
const FirstFile = requestFile + 1

// CloseAll closes files that were handed over.
func CloseAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// tail keeps the last lines that a helper wrote, for when it dies without a proper answer.
type tail struct{ lines []string }

func (t *tail) add(line []byte) {
	t.lines = append(t.lines, string(line))
	if len(t.lines) > 20 {
		t.lines = t.lines[1:]
	}
}

func (t *tail) String() string {
	if len(t.lines) == 0 {
		return ""
	}
	return ":\n" + strings.Join(t.lines, "\n")
}

// Lines cuts what is written to it into lines. A line longer than 1 MiB is cut.
type Lines struct {
	Each func(line []byte)
	buf  []byte
}

func (w *Lines) Write(b []byte) (int, error) {
	w.buf = append(w.buf, b...)
	for {
		i := bytes.IndexByte(w.buf, '\n')
		if i < 0 && len(w.buf) < 1<<20 {
			return len(b), nil
		}
		if i < 0 {
			w.Flush()
			return len(b), nil
		}
		w.Each(w.buf[:i])
		w.buf = w.buf[i+1:]
	}
}

// Flush ends the last line.
func (w *Lines) Flush() {
	if len(w.buf) > 0 {
		w.Each(w.buf)
		w.buf = nil
	}
}
