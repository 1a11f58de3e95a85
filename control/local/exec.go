package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/fault"
)

// session is a command that is about to run in a container, and what the journal calls it.
type session struct {
	*conmon.Exec
	streams streams
	pod     api.Pod
	what    string
	id      map[string]string
}

func (s streams) prepare(ctx context.Context, ref string, opt api.ExecOptions) (*session, error) {
	p, err := s.containers.Get(ctx, ref)
	switch {
	case err != nil:
		return nil, err
	case len(opt.Args) == 0:
		return nil, fault.Invalid("cannot exec in %q: there is no command", p.Spec.Name)
	}
	opt.TTY = opt.TTY && !opt.Detach
	x, err := s.engine.ExecCommand(ctx, p.Spec.Name, engine.ExecOptions{ExecOptions: opt})
	if err != nil {
		return nil, err
	}
	if err := checkProgram(p.Pid, x.Spec); err != nil {
		x.Close()
		return nil, err
	}
	return &session{x, s, p, strings.Join(opt.Args, " "), map[string]string{"execID": rand.Text()}}, nil
}

// begun notes that the command runs.
func (x *session) begun() {
	x.streams.engine.NoteEvent(x.pod, "exec_create: "+x.what, x.id)
	x.streams.engine.NoteEvent(x.pod, "exec_start: "+x.what, x.id)
}

func (s streams) Exec(ctx context.Context, ref string, opt api.ExecOptions, with control.ExecStreams) (int, error) {
	if opt.TTY && !opt.Detach {
		return 0, fault.New(errdefs.ErrNotImplemented, "a terminal is given by Become only")
	}
	x, err := s.prepare(ctx, ref, opt)
	if err != nil {
		return 0, err
	}
	defer x.Close()
	if opt.Detach {
		x.begun()
		if err := x.Run(); err != nil {
			return 0, fmt.Errorf("cannot exec in %q: %w", x.pod.Spec.Name, err)
		}
		return 0, nil
	}
	begun := with.Begun
	with.Begun = func() {
		if begun != nil {
			begun()
		}
		x.begun()
	}
	code, err := endOf(pipe(x.Exec, with))
	ended := code
	if err != nil {
		ended = fault.ExitOf(err)
	}
	s.engine.NoteEvent(x.pod, "exec_die", map[string]string{"execID": x.id["execID"], "exitCode": strconv.Itoa(ended)})
	return code, err
}

// endOf is the exit code of a command that ended with err. The runtime has said already why it did not run it.
func endOf(err error) (int, error) {
	var failed *conmon.RuntimeError
	if errors.As(err, &failed) {
		return 0, fault.Exit(fmt.Errorf("%s could not run the command", failed.Program), fault.ExitUnable)
	}
	return codeOf(err)
}

// Become implements control.Becomer. How the command ends is not noted: nothing of podc will be there to see it.
func (s streams) Become(ctx context.Context, ref string, opt api.ExecOptions) error {
	x, err := s.prepare(ctx, ref, opt)
	if err != nil {
		return err
	}
	defer x.Close()
	x.begun()
	return child.Become(x.Cmd)
}
