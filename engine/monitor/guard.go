package monitor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
)

// lostCause is how many times in a row a new monitor may fail before the guardian leaves it to the next command.
const lostCause = 5

// lockPatience is how long a guardian waits for the one before it to end.
const lockPatience = 5 * time.Second

// Guard is the life of a guardian: it watches the monitor behind watch, and when that has died, has revive start a new one
// and wait for its end. It returns when a monitor has ended by its own will, which leaves nothing to guard, and when revive
// has failed too often. A monitor that ends in order ends its guardian first.
func Guard(lock string, watch *os.File, revive func() error, log *slog.Logger) error {
	ctx, cancel := disk.WithDeadline(context.Background(), lockPatience, "the guardian before this one")
	held, err := disk.LockWait(ctx, lock, nil)
	cancel()
	if err != nil {
		log.Warn("cannot take the guardian's lock", "err", err) // two that watch are better than none
	}
	defer held.Unlock()
	if err := engine.AwaitPidfd(context.Background(), watch); err != nil {
		return err
	}
	watch.Close()
	var r revival
	for failed := 0; failed < lostCause; {
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
	return errors.New("the monitor cannot be kept alive")
}

// ErrKilled is returned by revive for a monitor that was killed, rather than failed.
var ErrKilled = errors.New("killed by a signal")
