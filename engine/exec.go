package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/child"
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

// Exec is a further process that is about to run in a container. Its command is that of the runtime, which stays until the
// process has ended and then ends as it did. Streams that are set must be no files of the host's: what is one to a container
// can be read anew, truncated, and made to belong to the container's user. A stream that is not set is at its end, or leads
// nowhere.
type Exec struct {
	*exec.Cmd
	// Spec is what the runtime is told.
	Spec *specs.Process

	pod   *pod
	login kernel.Login
	files []*os.File // to be closed once the command has its own
	log   *os.File   // what the runtime says of its own failure; nil with a terminal
	said  chan string
	hung  func() error // nil, or that the runtime took too long to leave the process behind
}

// ExecCommand prepares a further process in the container of name. With a terminal the caller is to become the command (see
// child.Become), so that the runtime moves bytes between the two terminals; else it runs it. The end of ctx kills the runtime,
// not the process. errdefs.IsFailedPrecondition if the pod does not run.
func (e *Engine) ExecCommand(ctx context.Context, name string, opt ExecOptions) (*Exec, error) {
	p, err := e.read(name)
	if err != nil {
		return nil, err
	}
	x, err := p.exec(ctx, opt)
	return x, podError("exec in", name, err)
}

func (p *pod) exec(ctx context.Context, opt ExecOptions) (*Exec, error) {
	switch {
	case p.state.Status != api.StatusRunning:
		return nil, notRunning(p)
	case p.paused():
		return nil, errPaused
	case p.state.RunLost:
		return nil, errRunLost
	}
	proc, err := p.execProcess(opt)
	if err != nil {
		return nil, err
	}
	runtime, err := p.e.runtimePath(p.Spec.Container.Runtime)
	if err != nil {
		return nil, err
	}
	x := &Exec{Spec: proc, pod: p, login: opt.Login, hung: func() error { return nil }}
	if opt.Detach {
		var done context.CancelFunc
		ctx, done = context.WithTimeoutCause(ctx, detachPatience,
			&RuntimeError{Program: filepath.Base(runtime), How: fmt.Sprintf("hangs (it did not end within %s)", detachPatience), Err: errdefs.ErrUnavailable})
		x.hung = func() error {
			defer done()
			return context.Cause(ctx)
		}
	}
	if err := x.command(ctx, runtime, opt); err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// command makes the command line, and the files that it names.
func (x *Exec) command(ctx context.Context, runtime string, opt ExecOptions) error {
	file, err := memFile("podc-exec", x.Spec)
	if err != nil {
		return err
	}
	x.files = []*os.File{file}
	given := []*os.File{file}
	args := []string{"--root", x.pod.e.paths.runtime()}
	if !opt.TTY {
		log, told, err := os.Pipe()
		if err != nil {
			return err
		}
		x.log, x.files, given = log, append(x.files, told), append(given, told)
		args = append(args, "--log", fdPath(4))
	}
	args = append(args, "exec", "--process", fdPath(3))
	if opt.Detach {
		args = append(args, "--detach")
	}
	x.Cmd = child.Command(ctx, runtime, append(args, x.pod.ID)...)
	x.Env, x.ExtraFiles = append(x.pod.e.helperEnv(), opt.Mark...), given
	if opt.Detach {
		null, err := x.pod.null()
		if err != nil {
			return err
		}
		x.files = append(x.files, null)
		x.Stdin, x.Stdout, x.Stderr = null, null, null
	}
	return nil
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// null is the container's own /dev/null: what is left behind with the host's could change it for everybody.
func (p *pod) null() (*os.File, error) {
	root, err := p.liveRoot(RootAll)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := openAt(root, os.DevNull, unix.O_PATH)
	if err != nil {
		return nil, fmt.Errorf("cannot open the container's %s: %w", os.DevNull, err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		return nil, fault.New(errdefs.ErrFailedPrecondition, "the container has another thing in the place of %s", os.DevNull)
	}
	return os.OpenFile(fdPath(int(f.Fd())), os.O_RDWR, 0)
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
		var last tailWriter
		io.Copy(&last, x.log)
		x.said <- last.words()
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
		return runtimeFailed(x.Path, said, err)
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

// execProcess is the container's own process with what opt changes.
func (p *pod) execProcess(opt ExecOptions) (*specs.Process, error) {
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
	if proc.Cwd, err = p.workingDir(cmp.Or(opt.WorkingDir, proc.Cwd)); err != nil {
		return nil, err
	}
	if opt.User != "" {
		id, err := lookupUser(p.e.paths.merged(p.Spec.Name), opt.User, p.Spec.Container.GroupAdd)
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
		all := thisHost().Caps
		proc.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		if proc.ApparmorProfile != "" {
			proc.ApparmorProfile = oci.Unconfined
		}
	}
	return proc, oci.CheckArguments(proc.Args, proc.Env, oci.Container{Spec: p.Spec.Container, Host: oci.Host{Stack: stackLimit()}}.Stack())
}

// workingDir is where dir leads in the container, as a path without links. The runtime would follow one to a descriptor of its
// own, and from there the container would be in the host's files (CVE-2024-21626).
func (p *pod) workingDir(dir string) (string, error) {
	if dir == "/" {
		return dir, nil
	}
	root, err := p.liveRoot(RootAll)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := openAt(root, dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return "", fmt.Errorf("cannot use the working directory %q: %w", dir, errors.Unwrap(err))
	}
	defer f.Close()
	return os.Readlink(fdPath(int(f.Fd())))
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
