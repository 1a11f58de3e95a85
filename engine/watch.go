package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// watcher tells when something happens in a folder, with one inotify instance for all waits of an engine: a user has only
// 128 of them.
type watcher struct {
	mu   sync.Mutex
	f    *os.File           // the inotify descriptor; nil until the first watch
	subs map[int32][]*watch // by inotify watch descriptor
}

// watch is one subscription to a folder.
type watch struct {
	w      *watcher
	wd     int32
	events chan struct{} // one event may stand for many; capacity 1
}

// watchDir subscribes to dir: files closed after writing, renamed or removed, and the end of dir itself.
func (w *watcher) watchDir(dir string) (*watch, error) { return w.add(dir, 0) }

// add is watchDir with further events of inotify; all subscriptions to one folder see what any of them asked for.
func (w *watcher) add(dir string, more uint32) (*watch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, fmt.Errorf("cannot watch for changes (fs.inotify.max_user_instances may be too low): %w", err)
		}
		w.f, w.subs = os.NewFile(uintptr(fd), "inotify"), map[int32][]*watch{}
		go w.read(w.f)
	}
	const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_ONLYDIR | unix.IN_MASK_ADD
	wd, err := unix.InotifyAddWatch(int(w.f.Fd()), dir, mask|more)
	if err != nil {
		return nil, fmt.Errorf("cannot watch %s: %w", dir, err)
	}
	s := &watch{w: w, wd: int32(wd), events: make(chan struct{}, 1)}
	w.subs[s.wd] = append(w.subs[s.wd], s)
	return s, nil
}

func (w *watcher) read(f *os.File) {
	var buf [64 << 10]byte
	for {
		n, err := f.Read(buf[:])
		if err != nil {
			return
		}
		w.mu.Lock()
		for off := 0; off+unix.SizeofInotifyEvent <= n; {
			ev := (*unix.InotifyEvent)(unsafe.Pointer(&buf[off]))
			off += unix.SizeofInotifyEvent + int(ev.Len)
			if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
				for _, subs := range w.subs {
					notify(subs)
				}
				continue
			}
			notify(w.subs[ev.Wd])
		}
		w.mu.Unlock()
	}
}

func notify(subs []*watch) {
	for _, s := range subs {
		select {
		case s.events <- struct{}{}:
		default: // it has one to look at already
		}
	}
}

// close ends the subscription.
func (s *watch) close() {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	subs := s.w.subs[s.wd]
	for i, o := range subs {
		if o == s {
			subs = append(subs[:i:i], subs[i+1:]...)
			break
		}
	}
	if len(subs) > 0 {
		s.w.subs[s.wd] = subs
		return
	}
	delete(s.w.subs, s.wd)
	unix.InotifyRmWatch(int(s.w.f.Fd()), uint32(s.wd))
}

// until calls done at once and after each event in dir, until it answers true, fails, or ctx ends; and once more after the time
// that it asks for, if that is not 0.
func (w *watcher) until(ctx context.Context, dir string, done func() (ok bool, again time.Duration, err error)) error {
	s, err := w.watchDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		if ok, _, err := done(); ok || err != nil {
			return err
		}
		return err
	}
	if err != nil {
		return err
	}
	defer s.close()
	for {
		ok, again, err := done()
		if ok || err != nil {
			return err
		}
		var due <-chan time.Time
		if again > 0 {
			due = time.After(again)
		}
		select {
		case <-s.events:
		case <-due:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
