// Package child is how podc starts other programs, all of them: runtimes, conmon, its own helpers, plugins. What a caller left
// open in podc must not reach them. A container is one of their children: with a descriptor of the host's in reach, a link to
// /proc/self/fd/N leads it out of its root filesystem.
package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is exec.CommandContext for a program that gets none of this process's descriptors but those that the command names.
// Where it names no standard stream, os/exec gives it the host's /dev/null, which must not reach a container (see Ended).
func Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	Seal()
	return exec.CommandContext(ctx, path, args...)
}

// Fork is syscall.ForkExec under the same rule.
func Fork(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	Seal()
	return syscall.ForkExec(path, argv, attr)
}

// Become replaces this process by the program of cmd, which keeps the standard streams of this process and finds
// cmd.ExtraFiles where a child would. It returns only if that fails.
func Become(cmd *exec.Cmd) error {
	Seal()
	for i, f := range cmd.ExtraFiles {
		if err := keepAt(f, 3+i); err != nil {
			return fmt.Errorf("cannot hand a file over to %s: %w", cmd.Path, err)
		}
	}
	return fmt.Errorf("cannot run %s: %w", cmd.Path, unix.Exec(cmd.Path, cmd.Args, cmd.Env))
}

// keepAt makes f the descriptor fd and keeps it open over an exec. A file that was there is lost.
func keepAt(f *os.File, fd int) error {
	if int(f.Fd()) == fd {
		_, err := unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
		return err
	}
	return unix.Dup3(int(f.Fd()), fd, 0)
}

// Seal keeps every open descriptor but the standard ones from what this process starts. What Go opens is sealed anyway; this
// is for what the process was started with.
func Seal() {
	if unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) != nil { // Linux before 5.11, or forbidden
		sealEach()
	}
}

// sealEach is Seal for kernels that cannot do it in one call.
func sealEach() {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// Ended is a stream for a program that is to read nothing: it is at its end. The host's /dev/null would do as well, but for
// containers: a runtime makes the standard streams belong to the container's user, and that would be everybody's /dev/null.
func Ended() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return r, w.Close()
}
