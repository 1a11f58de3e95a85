package conmon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/internal/child"
	"podc.example/podc/internal/kernel"
)

// Command is a further process for a container.
type Command struct {
	Runtime, ID string
	Process     *specs.Process
	Mark        []string // of the runtime's environment, K=V
	Login       kernel.Login
	// Null is the container's own /dev/null, for a process that the runtime leaves behind; else it stays until the process has ended.
	Null *os.File
}

// Exec is a further process that is about to run in a container. Its command is that of the runtime, which stays until the
// process has ended and then ends as it did. Streams that are set must be no files of the host's: what is one to a container
// can be read anew, truncated, and made to belong to the container's user. A stream that is not set is at its end, or leads
// nowhere.
type Exec struct {
	*exec.Cmd
	// Spec is what the runtime is told.
	Spec *specs.Process

	login kernel.Login
	files []*os.File // to be closed once the command has its own
	log   *os.File   // what the runtime says of its own failure; nil with a terminal
	said  chan string
	hung  func() error // nil, or that the runtime took too long to leave the process behind
}

// Exec prepares a further process. The end of ctx kills the runtime, not the process. It closes what c holds.
func (r Runner) Exec(ctx context.Context, c Command) (*Exec, error) {
	x := &Exec{Spec: c.Process, login: c.Login, hung: func() error { return nil }}
	if c.Null != nil {
		x.files = append(x.files, c.Null)
		var done context.CancelFunc
		ctx, done = context.WithTimeoutCause(ctx, detachPatience,
			&RuntimeError{Program: filepath.Base(c.Runtime), How: fmt.Sprintf("hangs (it did not end within %s)", detachPatience), Err: errdefs.ErrUnavailable})
		x.hung = func() error {
			defer done()
			return context.Cause(ctx)
		}
	}
	if err := x.command(ctx, r, c); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// command makes the command line, and the files that it names.
func (x *Exec) command(ctx context.Context, r Runner, c Command) error {
	spec, err := json.Marshal(x.Spec)
	if err != nil {
		return err
	}
	file, err := kernel.MemFile("podc-exec", spec)
	if err != nil {
		return err
	}
	x.files = append(x.files, file)
	given := []*os.File{file}
	args := []string{"--root", r.State}
	if !c.Process.Terminal {
		log, told, err := os.Pipe()
		if err != nil {
			return err
		}
		x.log, x.files, given = log, append(x.files, told), append(given, told)
		args = append(args, "--log", kernel.FDPath(4))
	}
	args = append(args, "exec", "--process", kernel.FDPath(3))
	if c.Null != nil {
		args = append(args, "--detach")
	}
	x.Cmd = child.Command(ctx, c.Runtime, append(args, c.ID)...)
	x.Env, x.ExtraFiles = append(slices.Clone(r.Env), c.Mark...), given
	if c.Null != nil {
		x.Stdin, x.Stdout, x.Stderr = c.Null, c.Null, c.Null
	}
	return nil
}

// Start starts the command.
func (x *Exec) Start() error {
	if x.Stdin == nil {
		ended, err := child.Ended()
		if err != nil {
			return err
		}
		x.files, x.Stdin = append(x.files, ended), ended
	}
	err := x.login.Start(x.Cmd)
	for _, f := range x.files {
		f.Close()
	}
	x.files = nil
	if err != nil {
		x.Close()
		return err
	}
	x.said = make(chan string, 1)
	go func() {
		var last Tail
		io.Copy(&last, x.log)
		x.said <- last.Words()
	}()
	return nil
}

// Wait waits for the end. A failure of the runtime itself is a *RuntimeError around the command's own error.
func (x *Exec) Wait() error {
	err := x.Cmd.Wait()
	x.log.SetReadDeadline(time.Now().Add(runtimeLastWords)) // somebody may hold on to it
	said := failures(<-x.said)
	x.Close()
	hung := x.hung()
	switch {
	case err != nil && hung != nil:
		return hung
	case err != nil && said != "":
		return Failed(x.Path, said, err)
	}
	return err
}

// detachPatience is how long the runtime may take to leave a process behind.
const detachPatience = 10 * time.Second

// failures are the lines of a runtime's log that tell of one: runc tells of other things, too, and says of each line what it is.
func failures(log string) string {
	lines := strings.Split(log, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool {
		return strings.Contains(line, "level=warning ") || strings.Contains(line, "level=info ") || strings.Contains(line, "level=debug ")
	}), "\n")
}

// Run is Start and Wait.
func (x *Exec) Run() error {
	if err := x.Start(); err != nil {
		return err
	}
	return x.Wait()
}

// Close lets go of a command that is not run after all. Idempotent.
func (x *Exec) Close() {
	for _, f := range append(x.files, x.log) {
		f.Close()
	}
	x.files = nil
}
