package main

import (
	"bufio"
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

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/fault"
)

// Deadlines of the helpers. An image may be large and its registry slow; podc-image gives up on a silent registry by itself.
const (
	composeDeadline = time.Minute
	imageDeadline   = 2 * time.Hour
)

// helper is one run of a program that lies beside podc.
type helper struct {
	name     string
	args     []string
	stdin    io.Reader
	stdout   io.Writer
	files    []*os.File // handed over, as /dev/fd/3 and so on
	deadline time.Duration
	// stderr, if not nil, gets what the helper has to say to people. Else onStderr is given each line; if that is nil too,
	// the last lines become part of the error.
	stderr   io.Writer
	onStderr func(line []byte)
}

// run executes the helper and waits. An exit code other than 0 is an *exec.ExitError inside of the error, with what the
// helper said last. Ending ctx asks it to stop with SIGTERM, and kills it after ten seconds.
func (h helper) run(ctx context.Context, con *console) error {
	path := filepath.Join(filepath.Dir(con.exe), h.name)
	ctx, cancel := context.WithTimeoutCause(ctx, h.deadline, fmt.Errorf("%s did not answer within %s", h.name, h.deadline))
	defer cancel()
	cmd := child.Command(ctx, path, h.args...)
	cmd.Dir = con.dir
	cmd.Env = h.environ(con)
	cmd.Stdin, cmd.Stdout, cmd.ExtraFiles = h.stdin, h.stdout, h.files
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var last tail
	stderr := &lineWriter{each: last.add}
	if h.onStderr != nil {
		stderr.each = h.onStderr
	}
	cmd.Stderr = stderr
	if h.stderr != nil {
		cmd.Stderr = h.stderr
	}
	err := cmd.Run()
	stderr.flush()
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		err = fmt.Errorf("cannot run %s: %w", h.name, err)
		return fault.Hint(err, "podc needs its helper programs beside it, in %s", filepath.Dir(con.exe))
	case err != nil && context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s failed: %w%s", h.name, err, last.String())
	}
	return nil
}

// handOver is file names, or --file=NAME, as a helper finds them: one of podc's own descriptors, such as a shell makes of <(...),
// must be handed over, and is called otherwise there. The caller closes the files.
func handOver(args []string) (there []string, files []*os.File) {
	for _, arg := range args {
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
				arg = strings.TrimSuffix(arg, name) + "/dev/fd/" + strconv.Itoa(3+len(files))
				files = append(files, f)
			}
		}
		there = append(there, arg)
	}
	return there, files
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

func (h helper) environ(con *console) []string {
	env := make([]string, 0, len(con.env))
	for k, v := range con.env {
		env = append(env, k+"="+v)
	}
	return env
}

// tail keeps the last lines a helper wrote, for when it dies without a proper answer.
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

// lineWriter cuts what is written to it into lines. A line longer than 1 MiB is cut.
type lineWriter struct {
	each func(line []byte)
	buf  []byte
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.buf = append(w.buf, b...)
	for {
		i := bytes.IndexByte(w.buf, '\n')
		if i < 0 && len(w.buf) < 1<<20 {
			return len(b), nil
		}
		if i < 0 {
			w.each(w.buf)
			w.buf = nil
			return len(b), nil
		}
		w.each(w.buf[:i])
		w.buf = w.buf[i+1:]
	}
}

func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.each(w.buf)
		w.buf = nil
	}
}

// askImages runs a verb of podc-image and decodes its reply. Its progress goes to show.
func askImages(ctx context.Context, con *console, g globals, stdin io.Reader, show func(event), reply any, verb ...string) error {
	var out bytes.Buffer
	var last tail
	h := helper{
		name: "podc-image", args: append(rootArgs(g), verb...), stdin: stdin, stdout: &out, deadline: imageDeadline,
		onStderr: func(line []byte) {
			var e event
			if json.Unmarshal(line, &e.ImageEvent) == nil && e.ID != "" {
				show(e)
			} else {
				last.add(line)
			}
		},
	}
	err := h.run(ctx, con)
	if err == nil {
		if err = json.Unmarshal(out.Bytes(), reply); err != nil {
			err = fmt.Errorf("podc-image gave an answer that cannot be read: %w%s", err, last.String())
		}
		return err
	}
	var failure engine.ImageFailure
	if errors.As(err, new(*exec.ExitError)) && json.Unmarshal(out.Bytes(), &failure) == nil && failure.Fault != nil {
		if failure.Done != nil {
			json.Unmarshal(failure.Done, reply) // best effort: the failure is the news
		}
		return failure.Fault
	}
	return fmt.Errorf("%w%s", err, last.String())
}

// rootArgs tell podc-image which roots to work on.
func rootArgs(g globals) []string { return []string{"--root", g.root, "--runroot", g.runRoot} }

// readStdin reads all of the standard input, up to limit bytes.
func readStdin(con *console, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(con.in), limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the standard input: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fault.New(errdefs.ErrInvalidArgument, "standard input holds more than %s", size(limit))
	}
	return b, nil
}

// exitStatus is the code a helper ended with, if that is what err is about.
func exitStatus(err error) (int, bool) {
	var e *exec.ExitError
	if errors.As(err, &e) && e.ExitCode() > 0 {
		return e.ExitCode(), true
	}
	return 0, false
}
