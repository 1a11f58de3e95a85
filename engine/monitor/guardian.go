package monitor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Monitor and guardian watch each other through pidfds, each of which is handed over at birth, so that no pid is ever
// mistaken. Whoever sees the other die starts a new one.

const (
	// firstRevival and maxRevival bound the pause before the next start of one that keeps dying young.
	firstRevival = 100 * time.Millisecond
	maxRevival   = 2 * time.Second
	// longLife is when a death counts as a new misfortune.
	longLife = 5 * time.Second
)

// revival counts out the pauses between starts: none before the first.
type revival struct {
	pause time.Duration
	since time.Time
}

func (r *revival) next() time.Duration {
	switch {
	case time.Since(r.since) >= longLife:
		r.pause = 0
	case r.pause == 0:
		r.pause = firstRevival
	default:
		r.pause = min(2*r.pause, maxRevival)
	}
	return r.pause
}

func (r *revival) begun() { r.since = time.Now() }

// guardian is the monitor's side: it sees to it that there is one.
type guardian struct {
	start func() (*os.File, error)
	log   *slog.Logger

	mu    sync.Mutex
	pidfd *os.File
	over  bool
}

// keep watches the guardian behind adopt, or a new one if that is nil, and starts another whenever it has died.
func (g *guardian) keep(adopt *os.File) {
	var r revival
	for pidfd := adopt; ; pidfd = nil {
		if pidfd == nil {
			<-time.After(r.next())
		}
		pidfd, err := g.hold(pidfd)
		if pidfd == nil && err == nil {
			return
		}
		r.begun()
		if err != nil {
			g.log.Error("cannot start the guardian", "err", err)
			continue
		}
		if err := kernel.AwaitPidfd(context.Background(), pidfd); err != nil {
			g.log.Error("cannot watch the guardian", "err", err)
			return
		}
		g.bury(pidfd)
	}
}

func (g *guardian) bury(pidfd *os.File) {
	g.mu.Lock()
	defer g.mu.Unlock()
	control(pidfd, func(fd int) { unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil) }) // if it was a child
	pidfd.Close()
	g.pidfd = nil
}

// control lends the descriptor of f, without taking it from Go's poller.
func control(f *os.File, fn func(fd int)) {
	if c, err := f.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { fn(int(fd)) })
	}
}

// hold makes pidfd, or that of a new guardian, the one that end ends; nothing once that has been called.
func (g *guardian) hold(pidfd *os.File) (*os.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over {
		return nil, nil
	}
	if pidfd == nil {
		var err error
		if pidfd, err = g.start(); err != nil {
			return nil, err
		}
	}
	g.pidfd = pidfd
	return pidfd, nil
}

// end ends the guardian for good, and returns when it has ended.
func (g *guardian) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.over = true
	if g.pidfd == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	control(g.pidfd, func(fd int) { unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) })
	kernel.AwaitPidfd(ctx, g.pidfd)
}

// lostCause is how many times in a row a new monitor may fail before the guardian leaves it to the next command.
const lostCause = 5

// lockPatience is how long a guardian whose monitor has died waits for one that is about to end.
const lockPatience = time.Second

// Guard is the life of a guardian of the monitors in dir: it watches the monitor behind watch, and when that has died, has
// revive start a new one and wait for its end. It returns when a monitor has ended in order, which leaves nothing to guard,
// and when revive has failed too often.
func Guard(dir string, watch *os.File, revive func() error, log *slog.Logger) error {
	now, soon, err := watchDeath(watch)
	if err != nil {
		return err
	}
	// Where another guardian lives, it either ends, since its own monitor found this one's in its place, or has a monitor of
	// its own that takes the place of this one's.
	held, err := disk.LockWait(soon, filepath.Join(dir, "guardian"), disk.Wait{For: "the guardian before this one"})
	if err != nil {
		return nil
	}
	defer held.Unlock()
	held.Note()
	<-now.Done()
	var r revival
	for failed := 0; failed < lostCause && !endedInOrder(dir); {
		<-time.After(r.next())
		r.begun()
		switch err := revive(); {
		case err == nil:
			return nil
		case errors.Is(err, ErrKilled):
			failed = 0
		default:
			failed++
			log.Error("the monitor ended", "err", err)
		}
	}
	return nil
}

// watchDeath returns contexts that end when the monitor behind pidfd has died: now at once, and soon lockPatience later.
func watchDeath(pidfd *os.File) (now, soon context.Context, err error) {
	if _, err := pidfd.SyscallConn(); err != nil {
		return nil, nil, err
	}
	now, died := context.WithCancel(context.Background())
	soon, giveUp := context.WithCancel(context.Background())
	go func() {
		defer pidfd.Close()
		kernel.AwaitPidfd(context.Background(), pidfd)
		died()
		time.AfterFunc(lockPatience, giveUp)
	}()
	return now, soon, nil
}

// endInOrder notes, in the lock file where the monitor's pid was, that its end is no accident. A folder that is gone says as
// much.
func endInOrder(dir string) { os.Truncate(filepath.Join(dir, "lock"), 0) }

func endedInOrder(dir string) bool { return disk.Holder(filepath.Join(dir, "lock")) == 0 }

// ErrKilled is returned by revive for a monitor that was killed, rather than failed.
var ErrKilled = errors.New("killed by a signal")
