package engine

import (
	"context"
	"encoding/json"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
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
	Detach        bool
	Privileged    bool
}

// ExecCommand returns the runtime's command line that runs a further process in the container of name, and a file that must
// stay open, as the descriptor that the command line names, until it runs: whoever calls it may become that command, which
// costs no process of podc's own (see Detachable), or run it as a child with the file as descriptor ExecFd.
// errdefs.IsFailedPrecondition if the pod does not run.
func (e *Engine) ExecCommand(ctx context.Context, name string, opt ExecOptions) (argv []string, process *os.File, err error) {
	p, err := e.read(name)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case p.state.Status != StatusRunning:
		return nil, nil, podError("exec in", name, notRunning(p))
	case p.paused():
		return nil, nil, podError("exec in", name, errPaused)
	case p.state.RunLost:
		return nil, nil, podError("exec in", name, errRunLost)
	}
	proc, err := p.execProcess(opt)
	if err != nil {
		return nil, nil, podError("exec in", name, err)
	}
	runtime, err := e.runtimePath(p.Spec.Container.Runtime)
	if err != nil {
		return nil, nil, err
	}
	file, err := memFile("podc-exec", proc)
	if err != nil {
		return nil, nil, err
	}
	argv = []string{runtime, "--root", e.paths.runtime()}
	if opt.Detach {
		argv = append(argv, "--log", fdPath(ExecErrFd))
	}
	argv = append(argv, "exec", "--process", fdPath(ExecFd))
	if opt.Detach {
		argv = append(argv, "--detach")
	}
	return append(argv, p.ID), file, nil
}

const (
	// ExecFd is the descriptor at which the command of ExecCommand expects its file.
	ExecFd = 3
	// ExecErrFd is the descriptor to which the command tells, with Detach, why it failed. Its standard streams are those of
	// the process that it leaves behind.
	ExecErrFd = 4
)

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// execProcess is the container's own process with what opt changes.
func (p *pod) execProcess(opt ExecOptions) (*specs.Process, error) {
	var s specs.Spec
	if err := disk.ReadJSON(p.e.paths.config(p.Spec.Name), &s); err != nil {
		return nil, err
	}
	proc := s.Process
	proc.Args, proc.Terminal = opt.Args, opt.TTY
	proc.Env = mergeEnv(proc.Env, opt.Env)
	if opt.TTY && opt.Width > 0 {
		proc.ConsoleSize = &specs.Box{Width: uint(opt.Width), Height: uint(opt.Height)}
	}
	if opt.TTY {
		proc.Env = mergeEnv([]string{"TERM=xterm"}, proc.Env)
	}
	proc.Cwd = or(opt.WorkingDir, proc.Cwd)
	if opt.User != "" {
		id, err := lookupUser(p.e.paths.merged(p.Spec.Name), opt.User, p.Spec.Container.GroupAdd)
		if err != nil {
			return nil, err
		}
		proc.User = specs.User{UID: uint32(id.UID), GID: uint32(id.GID)}
		for _, g := range id.Groups {
			proc.User.AdditionalGids = append(proc.User.AdditionalGids, uint32(g))
		}
		proc.Env = mergeEnv(proc.Env, []string{"HOME=" + or(id.Home, "/")}, opt.Env)
		proc.Capabilities.Effective, proc.Capabilities.Permitted = nil, nil
		if id.UID == 0 {
			proc.Capabilities.Effective, proc.Capabilities.Permitted = proc.Capabilities.Bounding, proc.Capabilities.Bounding
		}
	}
	if opt.Privileged {
		all := thisHost().Caps
		proc.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	}
	return proc, nil
}

// memFile holds v as JSON in memory only: what is passed by it may be secret, and needs no clean-up.
func memFile(name string, v any) (*os.File, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(b, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
