package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is a held flock on a file of its own, which is never renamed. The kernel releases it when its holder dies, however
// it dies; so a lock file on disk means nothing, and whoever can take the lock of an object knows that nobody works on it.
type Lock struct{ f *os.File }

// ErrLocked is returned by TryLock while somebody else holds the lock.
var ErrLocked = errors.New("locked by another process")

// TryLock takes the lock at path or fails at once with ErrLocked. It creates the file and its folder where missing.
func TryLock(path string) (*Lock, error) {
	return lock(context.Background(), path, unix.LOCK_EX|unix.LOCK_NB)
}

// LockShared takes the lock at path together with other LockShared holders, waiting while somebody holds it alone; such
// holders keep it only for moments.
func LockShared(path string) (*Lock, error) {
	return lock(context.Background(), path, unix.LOCK_SH)
}

// LockWait takes the lock at path, waiting until ctx ends. Within one process two LockWait calls exclude each other too.
// waiting, which may be nil, is called once before the first wait with the pid noted by the holder (0 if unknown).
func LockWait(ctx context.Context, path string, waiting func(holder int)) (*Lock, error) {
	l, err := TryLock(path)
	if !errors.Is(err, ErrLocked) {
		return l, err
	}
	if waiting != nil {
		waiting(Holder(path))
	}
	// flock(2) cannot be cancelled, so a goroutine blocks in it; if ctx ends first, the goroutine gives the lock back when
	// it gets it, at the latest when this process ends. It makes no file anew then: the object may be gone by that time.
	type result struct {
		l   *Lock
		err error
	}
	got := make(chan result)
	go func() {
		l, err := lock(ctx, path, unix.LOCK_EX)
		select {
		case got <- result{l, err}:
		case <-ctx.Done():
			l.Unlock()
		}
	}()
	select {
	case r := <-got:
		return r.l, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waited for lock %s held by pid %d: %w", filepath.Base(path), Holder(path), context.Cause(ctx))
	}
}

// lock opens, locks and checks until the file it locked is the one at path, or, between two tries, until ctx ends.
func lock(ctx context.Context, path string, how int) (*Lock, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
				continue
			}
		}
		if errors.Is(err, unix.EISDIR) && os.Remove(path) == nil { // damage
			continue
		}
		if err != nil {
			return nil, err
		}
		for {
			err = unix.Flock(int(f.Fd()), how)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		if err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrLocked
			}
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		// The file may have been removed, with its object, while we waited: then this lock protects nothing.
		held, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, there) {
			return &Lock{f}, nil
		}
		f.Close()
	}
}

// Note writes this process's id into the lock file, as a hint for those who wait (never as a lock).
func (l *Lock) Note() {
	if l.f.Truncate(0) == nil {
		fmt.Fprintf(l.f, "%d\n", os.Getpid())
	}
}

// Holder returns the pid noted in the lock file at path, or 0.
func Holder(path string) int {
	b, err := ReadFile(path)
	if err != nil {
		return 0
	}
	var pid int
	fmt.Sscan(strings.TrimSpace(string(b)), &pid)
	return pid
}

// Unlock releases the lock; nil is allowed, and so is a second call.
func (l *Lock) Unlock() {
	if l != nil && l.f != nil {
		l.f.Close()
		l.f = nil
	}
}

// Held reports whether anybody holds the lock at path alone, without keeping it. It creates nothing: a file that vanishes
// with its object must not come back because somebody asked.
func Held(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Await returns when nobody holds the lock at path alone, or with ctx's cause. Like Held it creates nothing.
func Await(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	free := make(chan error, 1)
	go func() { // as in LockWait, it outlasts ctx
		defer f.Close()
		for {
			if err := unix.Flock(int(f.Fd()), unix.LOCK_SH); !errors.Is(err, unix.EINTR) {
				free <- err
				return
			}
		}
	}()
	select {
	case err := <-free:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// WithDeadline is context.WithTimeoutCause for a wait on something outside this process; what names it in the error.
func WithDeadline(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, fmt.Errorf("%s did not answer within %s", what, d))
}
