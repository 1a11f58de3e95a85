package engine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/internal/fault"
)

// hooks runs the hooks of pods.
type hooks struct{ e *Engine }

func (e *Engine) hooks() hooks { return hooks{e} }

// postStart runs the hooks that follow a start, unless they have succeeded since. Until then they are due: who starts the pod
// again, though it runs, runs them again. A run that ends meanwhile needs none.
func (h hooks) postStart(ctx context.Context, name string) error {
	p, err := h.e.read(name)
	if err != nil || !p.state.HooksDue || p.state.Status != api.StatusRunning {
		return err
	}
	run := p.state.Started
	if err := h.run(ctx, p, "post-start", p.Spec.Container.PostStart); err != nil {
		return err
	}
	return h.e.update(ctx, name, func(p *pod) error {
		if p.state.Started.Equal(run) {
			p.state.HooksDue = false
		}
		return nil
	})
}

// preStop runs the hooks that go before a stop. As in docker compose, one that fails keeps the pod from being stopped; a pod
// that does not run, or is paused, needs none.
func (h hooks) preStop(ctx context.Context, name string) error {
	p, err := h.e.read(name)
	if isMissing(err) {
		return nil
	}
	if err != nil || len(p.Spec.Container.PreStop) == 0 || p.state.Status != api.StatusRunning || p.run().paused() {
		return err
	}
	return h.run(ctx, p, "pre-stop", p.Spec.Container.PreStop)
}

// run runs one after another; the first that fails is the last. That the container has ended is no failure of theirs.
func (h hooks) run(ctx context.Context, p *pod, kind string, hooks []api.Hook) error {
	for i, hook := range hooks {
		err := h.runOne(ctx, p.Spec.Name, hook)
		if err == nil {
			continue
		}
		if now, lookErr := h.e.read(p.Spec.Name); lookErr != nil || now.state.Status != api.StatusRunning || now.ID != p.ID {
			return nil
		}
		return fmt.Errorf("%s hook %d (%s) %w", kind, i+1, strings.Join(hook.Command, " "), err)
	}
	return nil
}

func (h hooks) runOne(ctx context.Context, name string, hook api.Hook) error {
	mark := "PODC_HOOK=" + api.NewID()
	ctx, cancel := context.WithTimeoutCause(ctx, api.HookDeadline, fmt.Errorf("did not end within %s", api.HookDeadline))
	defer cancel()
	x, err := h.e.ExecCommand(ctx, name, ExecOptions{Args: hook.Command, Env: hook.Env, User: hook.User, WorkingDir: hook.WorkingDir, Privileged: hook.Privileged, Mark: []string{mark}})
	if err != nil {
		return fmt.Errorf("cannot be run: %w", err)
	}
	var out conmon.Tail
	x.Stdout, x.Stderr = &out, &out
	x.WaitDelay = time.Second // a child that it leaves behind may hold on to the streams
	x.Cancel = func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killDeadline)
		defer cancel()
		return errors.Join(h.e.Supervisor().KillMarked(ctx, name, mark), x.Process.Kill())
	}
	switch err := x.Run(); {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return hookFailure(err, out.Words())
	}
}

func hookFailure(err error, output string) error {
	var failed *conmon.RuntimeError
	var ended *exec.ExitError
	if errors.As(err, &failed) || !errors.As(err, &ended) {
		return fmt.Errorf("cannot be run: %w", err)
	}
	if output != "" {
		output = ":\n" + output
	}
	return fault.New(errdefs.ErrFailedPrecondition, "exited with code %d%s", ended.ExitCode(), output)
}
