package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// Wait is a wait for a lock: everything that waits says for what and for whom, and ends.
type Wait struct {
	For      string        // what the lock protects, for people, such as `pod "web"`
	Patience time.Duration // 0: as long as the context lasts, which ends by itself
	// Begin, which may be nil, is called once before the first wait with who holds the lock; else the context is told when the
	// wait takes long (see ReportWaits).
	Begin func(holder string)
}

// waitSilence is how long a wait may take before anybody is told.
const waitSilence = time.Second

type waitReporter struct{}

// ReportWaits returns a context in which waits for locks that take longer than a moment are told to tell: what for, and who
// holds it. tell may be called from any goroutine.
func ReportWaits(ctx context.Context, tell func(what, holder string)) context.Context {
	return context.WithValue(ctx, waitReporter{}, tell)
}

// LockWait takes the lock at path, waiting until ctx or w's patience ends; the error says who held it then. Within one process
// two calls exclude each other too.
func LockWait(ctx context.Context, path string, w Wait) (*Lock, error) {
	return lockWithin(ctx, path, unix.LOCK_EX, w)
}

// LockShared takes the lock at path together with other LockShared holders, waiting while somebody holds it alone.
func LockShared(ctx context.Context, path string, w Wait) (*Lock, error) {
	return lockWithin(ctx, path, unix.LOCK_SH, w)
}

func lockWithin(ctx context.Context, path string, how int, w Wait) (*Lock, error) {
	l, err := lock(context.Background(), path, how|unix.LOCK_NB) // one that is free needs no wait
	if !errors.Is(err, ErrLocked) {
		return l, err
	}
	// One that is given up makes no file anew when it gets the lock at last: the object may be gone by that time.
	return w.take(ctx, func() string { return holderOf(path) }, func(ctx context.Context) (*Lock, error) { return lock(ctx, path, how) })
}

// LockFile takes the lock of f, which is closed with it, or by the error; for what is locked without a path of its own.
func LockFile(ctx context.Context, f *os.File, w Wait) (*Lock, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", f.Fd()) // once: a wait that is given up may close f meanwhile
	holder := func() string { return holderOf(path) }
	return w.take(ctx, holder, func(context.Context) (*Lock, error) {
		if err := flock(f, unix.LOCK_EX); err != nil {
			f.Close()
			return nil, err
		}
		return &Lock{f}, nil
	})
}

// take calls get, which blocks: flock(2) cannot be cancelled. If the wait ends first, the lock is given back when get has it, at
// the latest when this process ends.
func (w Wait) take(ctx context.Context, holder func() string, get func(context.Context) (*Lock, error)) (*Lock, error) {
	patience, cancel := context.WithCancel(ctx)
	if w.Patience > 0 {
		patience, cancel = context.WithTimeout(ctx, w.Patience)
	}
	defer cancel()
	type result struct {
		l   *Lock
		err error
	}
	got := make(chan result)
	go func() {
		l, err := get(patience)
		select {
		case got <- result{l, err}:
		case <-patience.Done():
			l.Unlock()
		}
	}()
	if w.Begin != nil {
		w.Begin(holder())
	}
	long := time.NewTimer(waitSilence)
	defer long.Stop()
	for {
		select {
		case r := <-got:
			return r.l, r.err
		case <-long.C:
			if tell, ok := ctx.Value(waitReporter{}).(func(what, holder string)); ok && w.Begin == nil {
				tell(w.For, holder())
			}
		case <-patience.Done():
			if ctx.Err() != nil {
				return nil, fmt.Errorf("waited for %s, held by %s: %w", w.For, holder(), context.Cause(ctx))
			}
			return nil, fmt.Errorf("waited %s for %s, held by %s", w.Patience, w.For, holder())
		}
	}
}

// lock opens, locks and checks until the file it locked is the one at path, or, between two tries, until ctx ends.
func lock(ctx context.Context, path string, how int) (*Lock, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			dir := filepath.Dir(path)
			if err = os.MkdirAll(dir, 0o700); err == nil {
				continue
			}
			if errors.Is(err, os.ErrExist) && passing(dir) {
				continue
			}
		}
		if isStranger(f, err) {
			f.Close() // nil: an error of no interest
			if err = makeWay(path); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		if err = flock(f, how); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrLocked
			}
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		// The file may have been removed, with its object, while we waited: then this lock protects nothing.
		held, err1 := f.Stat()
		there, err2 := os.Lstat(path)
		if err1 == nil && err2 == nil && os.SameFile(held, there) {
			return &Lock{f}, nil
		}
		f.Close()
	}
}

// passing reports whether a folder comes and goes: others make it for a lock, and remove it, at the same time.
func passing(dir string) bool {
	fi, err := os.Lstat(dir)
	return errors.Is(err, os.ErrNotExist) || err == nil && fi.IsDir()
}

// isStranger tells from how opening it went that something else than a lock file was in its place: damage, which nobody locks.
func isStranger(f *os.File, err error) bool {
	if err == nil {
		fi, err := f.Stat()
		return err == nil && !fi.Mode().IsRegular()
	}
	return errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO)
}

// makeWay removes such a thing. Only one process at a time does: who is slower finds the lock file of who was quicker.
func makeWay(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := flock(dir, unix.LOCK_EX); err != nil {
		return fmt.Errorf("cannot lock %s: %w", dir.Name(), err)
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode().IsRegular() {
		return nil
	}
	return RemoveTree(path)
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
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

// holderOf names who holds the lock at path: with process ids from the kernel, or the one noted in the file, and command lines.
func holderOf(path string) string {
	pids := lockers(path)
	if pid := Holder(path); len(pids) == 0 && pid > 0 {
		pids = []int{pid}
	}
	var names []string
	for _, pid := range pids {
		name := fmt.Sprintf("pid %d", pid)
		if pid == os.Getpid() {
			name = "this command itself"
		} else if line := commandLine(pid); line != "" {
			name += " (" + line + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "another process"
	}
	return strings.Join(names, ", ")
}

// lockers are the processes with a flock on the file at path, as far as they are in this process's pid namespace.
func lockers(path string) []int {
	var st unix.Stat_t
	b, err := os.ReadFile("/proc/locks")
	if err != nil || unix.Stat(path, &st) != nil {
		return nil
	}
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	var pids []int
	for line := range strings.Lines(string(b)) {
		// "1: FLOCK  ADVISORY  WRITE 4711 fd:00:12345 0 EOF"; those who wait have "->" after the number.
		if f := strings.Fields(line); len(f) > 5 && f[1] == "FLOCK" && f[5] == file {
			if pid, _ := strconv.Atoi(f[4]); pid > 0 && !slices.Contains(pids, pid) {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// commandLine is the beginning of that of a process.
func commandLine(pid int) string {
	const shown = 80 // bytes
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if len(b) == 0 {
		return ""
	}
	args := strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
	args[0] = filepath.Base(args[0])
	line := strings.Join(args, " ")
	if len(line) > shown {
		line = strings.ToValidUTF8(line[:shown], "") + "..."
	}
	return line
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
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK)
}

// Await returns when nobody holds the lock at path alone, or with ctx's cause. Like Held it creates nothing.
func Await(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) || err != nil && isStranger(f, err) {
		return nil
	}
	if err != nil {
		return err
	}
	free := make(chan error, 1)
	go func() { // as in Wait.take, it outlasts ctx
		defer f.Close()
		free <- flock(f, unix.LOCK_SH)
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
