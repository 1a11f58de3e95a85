package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/control"
	"podc.example/podc/engine/conmon"
)

// pipe runs a command in a container with pipes in the place of the streams: the container is to get hold of nothing that is the
// caller's, neither of a terminal nor of a file, a pipe or a socket. What is the command's of them goes through podc: every byte, the
// end of either side, and signals.
func pipe(x *conmon.Exec, with control.ExecStreams) error {
	x.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's signals come by way of podc, and once
	flows, err := outflows(x, with.Out, with.Err)
	if err != nil {
		return err
	}
	if with.In != nil {
		in, err := x.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(in, with.In)
			in.Close()
		}()
	}
	err = x.Start()
	for _, f := range flows {
		f.begin()
	}
	if err != nil {
		return err
	}
	if with.Begun != nil {
		with.Begun()
	}
	ended := make(chan error, 1)
	go func() { ended <- x.Wait() }()
	for {
		select {
		case sig := <-with.Signals:
			x.Process.Signal(sig)
		case err := <-ended:
			for _, f := range flows {
				err = errors.Join(err, f.finish())
			}
			return err
		}
	}
}

// lingering is how long the output of a command stays open, in the hands of what it left running, after it has ended; as in
// docker.
const lingering = 2 * time.Second

// outflow passes what a command writes on to a stream of the caller's.
type outflow struct {
	to          io.Writer
	own         *os.File // what to is, if it is to be closed
	read, write *os.File // the two ends of a pipe; the second is the command's
	done        chan error
}

// outflows gives x its output streams. Two that lead to one file are one, so that what is written to them stays in order.
func outflows(x *conmon.Exec, stdout, stderr io.Writer) ([]*outflow, error) {
	out, err := newOutflow(stdout)
	if err != nil {
		return nil, err
	}
	x.Stdout, x.Stderr = out.write, out.write
	if isSameFile(stdout, stderr) {
		return []*outflow{out}, nil
	}
	errs, err := newOutflow(stderr)
	if err != nil {
		return nil, err
	}
	x.Stderr = errs.write
	return []*outflow{out, errs}, nil
}

func newOutflow(to io.Writer) (*outflow, error) {
	flow := &outflow{to: to, done: make(chan error, 1)}
	switch f := to.(type) {
	case nil:
		flow.to = io.Discard
	case *os.File:
		// Under another number: a broken pipe is for the command to find out, and not the end of podc, as Go has it for 1 and 2.
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		flow.own = os.NewFile(uintptr(fd), f.Name())
		flow.to = flow.own
	}
	var err error
	flow.read, flow.write, err = os.Pipe()
	return flow, err
}

func isSameFile(a, b io.Writer) bool {
	f, ok1 := a.(*os.File)
	g, ok2 := b.(*os.File)
	if !ok1 || !ok2 {
		return a == b
	}
	this, err1 := f.Stat()
	that, err2 := g.Stat()
	return err1 == nil && err2 == nil && os.SameFile(this, that)
}

// begin is for when the command has its end of the pipe, or will never have it.
func (f *outflow) begin() {
	f.write.Close()
	go func() { f.done <- f.pass() }()
}

func (f *outflow) pass() error {
	defer f.own.Close()  // nothing, if there is none
	defer f.read.Close() // who writes on finds the pipe broken
	buf := make([]byte, 64<<10)
	for {
		n, err := f.read.Read(buf)
		if n > 0 {
			if _, err := f.to.Write(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return f.rest()
		case err != nil: // the end
			return nil
		}
	}
}

// rest passes on what is in the pipe now: all that the command itself has written, however late its reader is.
func (f *outflow) rest() error {
	conn, err := f.read.SyscallConn()
	if err != nil {
		return err
	}
	var n int
	conn.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	f.read.SetReadDeadline(time.Time{})
	if err == nil {
		_, err = io.CopyN(f.to, f.read, int64(n))
	}
	return err
}

// finish is for when the command has ended. It returns when its output has been passed on.
func (f *outflow) finish() error {
	f.read.SetReadDeadline(time.Now().Add(lingering))
	if err := <-f.done; err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("cannot pass on the output: %w", err)
	}
	return nil
}

// codeOf is the exit code of a program that ended with err; what else went wrong is the error.
func codeOf(err error) (int, error) {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}
