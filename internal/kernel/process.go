package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process names a process beyond doubt: pids are reused, a pid with its start time within one boot is not.
type Process struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/<pid>/stat
}

// Find notes the identity of pid; a zero process if there is none such.
func Find(pid int) Process {
	start, life := procStat(pid)
	if life == gone {
		return Process{}
	}
	return Process{Pid: pid, Start: start}
}

// Started is when the process was started, to a hundredth of a second; zero if that cannot be told.
func (p Process) Started() time.Time {
	boot, err := BootTime()
	if err != nil || p.Pid == 0 {
		return time.Time{}
	}
	return boot.Add(time.Duration(p.Start) * Tick)
}

// life is what is left of a process.
type life int

const (
	gone    life = iota // or a zombie, which may stay unreaped for long
	exiting             // the kernel is taking it apart, which can take a while: nothing of it will run again
	Living
)

// Alive reports whether the process is not gone yet.
func (p Process) Alive() bool { return p.Life() != gone }

func (p Process) Life() life {
	if p.Pid <= 0 {
		return gone
	}
	start, life := procStat(p.Pid)
	if start != p.Start {
		return gone
	}
	return life
}

func procStat(pid int) (start uint64, l life) {
	s, ok := StatOf(pid)
	switch dead := s.State == 'Z' || s.State == 'X'; {
	case !ok, dead && s.Threads <= 1:
		return 0, gone
	case s.Exiting && s.Threads <= 1:
		return s.Start, exiting
	}
	return s.Start, Living // also one whose first thread has ended before the others
}

// Open returns a pidfd that is certain to mean p, or os.ErrProcessDone.
func (p Process) Open() (*os.File, error) {
	if p.Pid <= 0 {
		return nil, os.ErrProcessDone
	}
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		// A process that is just going, or a thread that has got its number: EINVAL before Linux 6.16.
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			return nil, os.ErrProcessDone
		}
		return nil, fmt.Errorf("cannot open process %d: %w", p.Pid, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	// Only now is the pid pinned; what it meant a moment ago says nothing.
	if !p.Alive() {
		f.Close()
		return nil, os.ErrProcessDone
	}
	return f, nil
}

// Signal sends sig to p and to no other process; os.ErrProcessDone if it has ended.
func (p Process) Signal(sig unix.Signal) error {
	f, err := p.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.PidfdSendSignal(int(f.Fd()), sig, nil, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return os.ErrProcessDone
		}
		return fmt.Errorf("cannot signal process %d: %w", p.Pid, err)
	}
	return nil
}

// Freeze stops p and returns once it has stopped: until then it may still fork. False if it has ended, or will not stop.
func (p Process) Freeze() bool {
	if p.Signal(unix.SIGSTOP) != nil {
		return false
	}
	// A stop is told to the parent only, and takes microseconds.
	for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(20 * time.Microsecond) {
		switch s, ok := StatOf(p.Pid); {
		case !ok || s.State == 'Z' || s.State == 'X':
			return false
		case s.State == 'T':
			return true
		}
	}
	return false
}

// Wait returns nil when p has ended, or ctx's cause. It holds no thread while it waits.
func (p Process) Wait(ctx context.Context) error {
	f, err := p.Open()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return AwaitPidfd(ctx, f)
}

// AwaitPidfd returns nil when the process behind a pidfd, made with PIDFD_NONBLOCK, has ended, or ctx's cause. It holds no
// thread while it waits: the Go runtime's poller does.
func AwaitPidfd(ctx context.Context, pidfd *os.File) error {
	conn, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { pidfd.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return n > 0 && err == nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// BootTime is when the kernel started, in whole seconds.
func BootTime() (time.Time, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "btime "); ok {
			sec, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			return time.Unix(sec, 0), err
		}
	}
	return time.Time{}, fmt.Errorf("cannot tell when the machine was started: /proc/stat has no btime")
}

// SinceBoot is the age of this run of the machine.
func SinceBoot() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &t)
	return time.Duration(t.Nano())
}

// FDPath is the path by which this process has its descriptor fd.
func FDPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// MemFile is a file in memory only, at its beginning: what is passed by it may be secret, and needs no clean-up.
func MemFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(content, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
