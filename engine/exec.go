package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/internal/valid"
)

// ExecOptions is a further process in a running pod's container.
type ExecOptions struct {
	api.ExecOptions
	// Mark, K=V, is in the environment of the runtime and of the process, so that KillMarked finds both.
	Mark []string
	// Login is of whose doing it is; empty: of the caller's.
	Login kernel.Login
}

// ExecCommand prepares a further process in the container of name. With a terminal the caller is to become the command (see
// child.Become), so that the runtime moves bytes between the two terminals; else it runs it. The end of ctx kills the runtime,
// not the process. errdefs.IsFailedPrecondition if the pod does not run.
func (e *Engine) ExecCommand(ctx context.Context, name string, opt ExecOptions) (*conmon.Exec, error) {
	p, err := e.read(name)
	if err != nil {
		return nil, err
	}
	x, err := p.run().exec(ctx, opt)
	return x, podError("exec in", name, err)
}

func (p podRun) exec(ctx context.Context, opt ExecOptions) (*conmon.Exec, error) {
	switch {
	case p.state.Status != api.StatusRunning:
		return nil, notRunning(p.pod)
	case p.paused():
		return nil, errPaused
	case p.state.RunLost:
		return nil, errRunLost
	}
	proc, err := p.execProcess(opt)
	if err != nil {
		return nil, err
	}
	runtime, err := p.e.programs.RuntimePath(p.Spec.Container.Runtime)
	if err != nil {
		return nil, err
	}
	c := conmon.Command{Runtime: runtime, ID: p.ID, Process: proc, Mark: opt.Mark, Login: opt.Login}
	if opt.Detach {
		if c.Null, err = p.files().null(); err != nil {
			return nil, err
		}
	}
	return p.e.runner.Exec(ctx, c)
}

// null is the container's own /dev/null: what is left behind with the host's could change it for everybody.
func (p podFiles) null() (*os.File, error) {
	root, err := p.liveRoot(RootAll)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := rootfs.OpenAt(root, os.DevNull, unix.O_PATH)
	if err != nil {
		return nil, fmt.Errorf("cannot open the container's %s: %w", os.DevNull, err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return nil, fault.New(errdefs.ErrFailedPrecondition, "the container has another thing in the place of %s", os.DevNull)
	}
	return os.OpenFile(kernel.FDPath(int(f.Fd())), os.O_RDWR, 0)
}

// execProcess is the container's own process with what opt changes.
func (p podRun) execProcess(opt ExecOptions) (*specs.Process, error) {
	if err := valid.Arguments(nil, opt.Env); err != nil {
		return nil, fault.New(errdefs.ErrInvalidArgument, "%w", err)
	}
	var s struct { // of an OCI configuration only this: all of its types take longer to prepare than to read
		Process *specs.Process `json:"process"`
	}
	err := disk.ReadJSON(p.e.paths.config(p.Spec.Name), &s)
	if err != nil {
		return nil, err
	}
	proc := s.Process
	proc.Args, proc.Terminal = opt.Args, opt.TTY
	proc.Env = api.MergeEnv(proc.Env, opt.Mark, opt.Env)
	if opt.TTY && opt.Width > 0 {
		proc.ConsoleSize = &specs.Box{Width: uint(opt.Width), Height: uint(opt.Height)}
	}
	if opt.TTY {
		proc.Env = api.MergeEnv([]string{"TERM=xterm"}, proc.Env)
	}
	if proc.Cwd, err = p.files().workingDir(cmp.Or(opt.WorkingDir, proc.Cwd)); err != nil {
		return nil, err
	}
	if opt.User != "" {
		id, err := rootfs.LookupUser(p.e.paths.merged(p.Spec.Name), opt.User, p.Spec.Container.GroupAdd)
		if err != nil {
			return nil, err
		}
		proc.User = id.User()
		proc.Env = api.MergeEnv(proc.Env, []string{"HOME=" + cmp.Or(id.Home, "/")}, opt.Env)
		proc.Capabilities.Effective, proc.Capabilities.Permitted = nil, nil
		if id.UID == 0 {
			proc.Capabilities.Effective, proc.Capabilities.Permitted = proc.Capabilities.Bounding, proc.Capabilities.Bounding
		}
	}
	if opt.Privileged {
		all := p.e.host().Caps
		proc.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		if proc.ApparmorProfile != "" {
			proc.ApparmorProfile = oci.Unconfined
		}
	}
	return proc, oci.CheckArguments(proc.Args, proc.Env, oci.Container{Spec: p.Spec.Container, Host: oci.Host{Stack: host.StackLimit()}}.Stack())
}

// workingDir is where dir leads in the container, as a path without links. The runtime would follow one to a descriptor of its
// own, and from there the container would be in the host's files (CVE-2024-21626).
func (p podFiles) workingDir(dir string) (string, error) {
	if dir == "/" {
		return dir, nil
	}
	root, err := p.liveRoot(RootAll)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := rootfs.OpenAt(root, dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", fmt.Errorf("cannot use the working directory %q: %w", dir, errors.Unwrap(err))
	}
	defer f.Close()
	return os.Readlink(kernel.FDPath(int(f.Fd())))
}

// Attach opens a stream to a running pod; errdefs.IsFailedPrecondition if it does not run.
func (e *Engine) Attach(_ context.Context, name string) (*conmon.Stream, error) {
	if _, err := e.readRunning("attach to", name); err != nil {
		return nil, err
	}
	s, err := conmon.Dial(e.paths.bundle(name))
	return s, podError("attach to", name, err)
}

// StartAttached is StartPod with a stream that misses nothing: it is open, and have is called with it, before the container's process
// runs. It is closed if that fails. A pod that runs already is an error (errdefs.IsFailedPrecondition). Until the
// stream is closed, or this process dies, a pod with AutoRemove is the caller's to remove.
func (e *Engine) StartAttached(ctx context.Context, name string, have func(*conmon.Stream)) error {
	var s *conmon.Stream
	err := e.startPod(ctx, name, func() (err error) {
		if s, err = conmon.Dial(e.paths.bundle(name)); err != nil {
			return err
		}
		if s.Held, err = disk.TryLock(e.paths.attended(name)); err == nil {
			have(s)
		}
		return err
	})
	if err == nil && s == nil {
		err = podError("start", name, fault.New(errdefs.ErrFailedPrecondition, "it is running already"))
	}
	if err != nil && s != nil {
		s.Close()
	}
	return err
}

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
	x, err := h.e.ExecCommand(ctx, name, ExecOptions{Mark: []string{mark}, ExecOptions: api.ExecOptions{
		Args: hook.Command, Env: hook.Env, User: hook.User, WorkingDir: hook.WorkingDir, Privileged: hook.Privileged,
	}})
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
