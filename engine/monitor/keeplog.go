package monitor

import (
	"context"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/engine/logfile"
)

const (
	// A log that grows is looked at no more often than this, and no less.
	minLook = 20 * time.Millisecond
	maxLook = 200 * time.Millisecond
	// reopenWait is how long conmon may take to begin a new file before it is told again.
	reopenWait = 5 * time.Second
)

// keepLog rotates the log of one run of a pod until ctx ends. It wakes up when the log is written to: a pod that is silent
// costs nothing, and one that floods costs a look every now and then.
func (w *worker) keepLog(ctx context.Context, log logfile.Log) {
	changed := make(chan struct{}, 1)
	pace := pace{per: math.Inf(1)}
	lost := false // it could not be looked at
	for ctx.Err() == nil {
		wd, s, err := w.lookAtLog(log, changed)
		if err != nil {
			if !lost { // whatever it says next is no news
				w.log.Error("cannot keep the log", "err", err)
			}
			lost = true
			pause(ctx, reopenWait)
			continue
		}
		lost = false
		switch {
		case s.Path == "": // for a moment, or since somebody removed it
			pause(ctx, reopenWait)
			if s, err = log.State(); err == nil && s.Path == "" && ctx.Err() == nil {
				err = log.Reopen()
			}
		case s.Pending:
			if !wait(ctx, changed, reopenWait) && ctx.Err() == nil {
				err = log.Reopen()
			}
			if s, _ = log.State(); !s.Pending {
				log.Trim()
			}
			pace.size, pace.at = 0, time.Now() // a new file grows as quickly as the old one did
		case s.Size >= s.Max:
			pace.next(s, time.Now())
			err = log.Rotate()
		default:
			d := pace.next(s, time.Now())
			select {
			case <-changed:
				pause(ctx, d)
			case <-ctx.Done():
			}
		}
		w.m.watches.Remove(wd)
		if err != nil {
			w.log.Error("cannot rotate the log", "err", err)
			pause(ctx, reopenWait)
		}
	}
}

// lookAtLog has the next change of the log told, and then looks at it, so that none is missed: while it grows a write is
// such a change, and during a rotation the moment when the old file loses its first name.
func (w *worker) lookAtLog(log logfile.Log, changed chan struct{}) (int32, logfile.State, error) {
	s, err := log.State()
	if err != nil || s.Path == "" {
		return 0, s, err
	}
	mask := uint32(unix.IN_MODIFY | unix.IN_ONESHOT)
	if s.Pending {
		mask = unix.IN_ATTRIB | unix.IN_ONESHOT
	}
	select {
	case <-changed: // of an earlier watch
	default:
	}
	wd, err := w.m.watches.Add(s.Path, mask, func(uint32, string) { notify(changed) })
	if err != nil {
		return 0, s, err
	}
	now, err := log.State()
	if now.Pending != s.Pending || now.Size != s.Size {
		notify(changed)
	}
	return wd, now, err
}

// pace is how quickly a log grows.
type pace struct {
	size int64 // when it was looked at last
	at   time.Time
	per  float64 // bytes per second
}

// next tells when to look again: when half the time has passed that the log needs to fill up. After a silence its pace is
// not known; and it is forgotten only by and by, since a flood comes in waves.
func (p *pace) next(s logfile.State, now time.Time) time.Duration {
	passed, was := now.Sub(p.at), p.per
	switch {
	case passed > 5*maxLook:
		p.per = math.Inf(1)
	case passed >= minLook/2:
		now := max(0, float64(s.Size-p.size)/passed.Seconds())
		if p.per = now; !math.IsInf(was, 1) {
			p.per = max(now, was/2)
		}
	}
	p.size, p.at = s.Size, now
	full := float64(s.Max-s.Size) / max(p.per, 1) / 2
	return min(max(time.Duration(full*float64(time.Second)), minLook), maxLook)
}

// wait reports whether changed came before d was over or ctx ended.
func wait(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func pause(ctx context.Context, d time.Duration) { wait(ctx, nil, d) }
