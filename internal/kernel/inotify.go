package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
