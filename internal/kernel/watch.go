package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watcher tells when something happens in a folder, with one instance of inotify for all who wait. Its zero value is ready.
type Watcher struct {
	mu   sync.Mutex
	in   *Inotify           // nil until the first watch
	subs map[int32][]*Watch // by inotify's watch
}

// Watch is one subscription to a folder. Its zero value waits for ever.
type Watch struct {
	Events <-chan struct{} // one event may stand for many
	w      *Watcher
	wd     int32
	events chan struct{} // capacity 1
}

// Dir subscribes to dir: files closed after writing, renamed or removed, and the end of dir itself.
func (w *Watcher) Dir(dir string) (*Watch, error) { return w.Add(dir, 0) }

// Add is Dir with further events of inotify; all subscriptions to one folder see what any of them asked for.
func (w *Watcher) Add(dir string, more uint32) (*Watch, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.in == nil {
		in, err := OpenInotify(w.lost)
		if err != nil {
			return nil, err
		}
		w.in, w.subs = in, map[int32][]*Watch{}
		go in.Run()
	}
	const mask = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_ONLYDIR | unix.IN_MASK_ADD
	var wd int32 // set before the lock is free
	wd, err := w.in.Add(dir, mask|more, func(uint32, string) { w.happened(&wd) })
	if err != nil {
		return nil, fmt.Errorf("cannot %w", err)
	}
	events := make(chan struct{}, 1)
	s := &Watch{Events: events, w: w, wd: wd, events: events}
	w.subs[wd] = append(w.subs[wd], s)
	return s, nil
}

// lost is for when the kernel has dropped events: everybody has to look.
func (w *Watcher) lost() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, subs := range w.subs {
		notify(subs)
	}
}

func (w *Watcher) happened(wd *int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	notify(w.subs[*wd])
}

func notify(subs []*Watch) {
	for _, s := range subs {
		select {
		case s.events <- struct{}{}:
		default: // it has one to look at already
		}
	}
}

// Close ends the subscription. The zero Watch, to which nothing ever happens, has nothing to end.
func (s *Watch) Close() {
	if s.w == nil {
		return
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	subs := slices.DeleteFunc(slices.Clone(s.w.subs[s.wd]), func(o *Watch) bool { return o == s })
	if len(subs) > 0 {
		s.w.subs[s.wd] = subs
		return
	}
	delete(s.w.subs, s.wd)
	s.w.in.Remove(s.wd)
}

// Until calls done at once and after each event in dir, until it answers true, fails, or ctx ends; and once more after the time
// that it asks for, if that is not 0.
func (w *Watcher) Until(ctx context.Context, dir string, done func() (ok bool, again time.Duration, err error)) error {
	s, err := w.Dir(dir)
	if errors.Is(err, os.ErrNotExist) {
		if ok, _, failed := done(); ok || failed != nil {
			return failed
		}
	}
	if err != nil {
		return err
	}
	defer s.Close()
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
		case <-s.Events:
		case <-due:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Inotify is one instance of inotify with a handler per watch: a user may have only 128 instances.
type Inotify struct {
	fd int
	f  *os.File // fd, in the hands of Go's poller

	mu       sync.Mutex
	handlers map[int32]func(mask uint32, name string)
	overflow func()
}

// OpenInotify returns an instance; overflow is called when the kernel had to drop events.
func OpenInotify(overflow func()) (*Inotify, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot watch for changes (fs.inotify.max_user_instances may be too low): %w", err)
	}
	return &Inotify{fd: fd, f: os.NewFile(uintptr(fd), "inotify"), handlers: map[int32]func(uint32, string){}, overflow: overflow}, nil
}

// Add watches path and returns the watch. Handlers run one after the other, in the goroutine of Run or Drain, and must not block. A
// file or folder has one watch per instance: adding it again replaces mask and handler.
func (n *Inotify) Add(path string, mask uint32, handler func(mask uint32, name string)) (int32, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	wd, err := unix.InotifyAddWatch(n.fd, path, mask)
	if err != nil {
		return 0, &os.PathError{Op: "watch", Path: path, Err: err}
	}
	n.handlers[int32(wd)] = handler
	return int32(wd), nil
}

// Remove ends a watch; one that has ended by itself is fine.
func (n *Inotify) Remove(wd int32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.handlers[wd] != nil {
		delete(n.handlers, wd)
		unix.InotifyRmWatch(n.fd, uint32(wd))
	}
}

// Run hands out events until Close.
func (n *Inotify) Run() error {
	buf := make([]byte, 16<<10)
	for {
		size, err := n.f.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("cannot read inotify events: %w", err)
		}
		n.dispatch(buf[:size])
	}
}

// Drain hands out the events that the kernel has queued so far, in the goroutine of the caller: for who must not lag behind, and does
// not call Run. After Close there are none.
func (n *Inotify) Drain() {
	conn, err := n.f.SyscallConn()
	if err != nil {
		return
	}
	conn.Read(func(fd uintptr) bool {
		for {
			var buf [4096]byte
			size, err := unix.Read(int(fd), buf[:])
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || size <= 0 {
				return true
			}
			n.dispatch(buf[:size])
		}
	})
}

func (n *Inotify) dispatch(b []byte) {
	for len(b) >= unix.SizeofInotifyEvent {
		ev := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
		end := unix.SizeofInotifyEvent + int(ev.Len)
		n.handle(ev.Wd, ev.Mask, string(bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00")))
		b = b[end:]
	}
}

func (n *Inotify) handle(wd int32, mask uint32, name string) {
	if mask&unix.IN_Q_OVERFLOW != 0 {
		n.overflow()
		return
	}
	n.mu.Lock()
	h := n.handlers[wd]
	if mask&unix.IN_IGNORED != 0 {
		delete(n.handlers, wd)
	}
	n.mu.Unlock()
	if h != nil {
		h(mask, name)
	}
}

// Close ends all watches; further ones fail.
func (n *Inotify) Close() {
	n.mu.Lock()
	n.fd = -1
	n.mu.Unlock()
	n.f.Close()
}
