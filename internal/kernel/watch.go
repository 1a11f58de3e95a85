package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

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
		if ok, _, err := done(); ok || err != nil {
			return err
		}
		return err
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
