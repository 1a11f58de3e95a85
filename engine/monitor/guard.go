package monitor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// lostCause is how many times in a row a new monitor may fail before the guardian leaves it to the next command.
const lostCause = 5

// lockPatience is how long a guardian whose monitor has died waits for one that is about to end.
const lockPatience = time.Second

// Guard is the life of a guardian of the monitors in dir: it watches the monitor behind watch, and when that has died, has
// revive start a new one and wait for its end. It returns when a monitor has ended in order, which leaves nothing to guard,
// and when revive has failed too often.
func Guard(dir string, watch *os.File, revive func() error, log *slog.Logger) error {
	gone, err := watchDeath(watch)
	if err != nil {
		return err
	}
	// Where another guardian lives, it either ends, since its own monitor found this one's in its place, or has a monitor of
	// its own that takes the place of this one's.
	held, err := disk.LockWait(gone.soon, filepath.Join(dir, "guardian"), disk.Wait{For: "the guardian before this one"})
	if err != nil {
		return nil
	}
	defer held.Unlock()
	held.Note()
	<-gone.now
	var r revival
	for failed := 0; failed < lostCause && !endedInOrder(dir); {
		if pause := r.next(); pause > 0 {
			timer := time.NewTimer(pause)
			<-timer.C
		}
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

// death is that of the monitor: now is closed at it, soon ends lockPatience later.
type death struct {
	now  chan struct{}
	soon context.Context
}

func watchDeath(pidfd *os.File) (death, error) {
	soon, cancel := context.WithCancel(context.Background())
	d := death{now: make(chan struct{}), soon: soon}
	if _, err := pidfd.SyscallConn(); err != nil {
		cancel()
		return d, err
	}
	go func() {
		defer pidfd.Close()
		kernel.AwaitPidfd(context.Background(), pidfd)
		close(d.now)
		time.AfterFunc(lockPatience, cancel)
	}()
	return d, nil
}

// endInOrder notes, in the lock file where the monitor's pid was, that its end is no accident. A folder that is gone says as
// much.
func endInOrder(dir string) { os.Truncate(filepath.Join(dir, "lock"), 0) }

func endedInOrder(dir string) bool { return disk.Holder(filepath.Join(dir, "lock")) == 0 }

// ErrKilled is returned by revive for a monitor that was killed, rather than failed.
var ErrKilled = errors.New("killed by a signal")
