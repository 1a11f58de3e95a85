package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

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
	Args       []string
	Env        []string // K=V, beside the container's own
	User       string   // empty: the container's
	WorkingDir string   // empty: the container's
	TTY        bool
	// Width and Height are those of the terminal at first; 0: unknown.
	Width, Height int
	Detach        bool // the runtime ends once the process runs
	Privileged    bool
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
		proc.User = specs.User{UID: uint32(id.UID), GID: uint32(id.GID)}
		for _, g := range id.Groups {
			proc.User.AdditionalGids = append(proc.User.AdditionalGids, uint32(g))
		}
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
