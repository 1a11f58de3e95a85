package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// Whatever befalls a pod is noted in the root's journal: one line of JSON an event, appended by whoever did it or found it out.
// The journal is two files at most, journal and the older journal.1; an appended line reaches its readers by inotify. It is
// never synced: after a power cut the last events may be missing, and no command is slower for it.

// journalLimit is the size in bytes at which the journal is begun anew; the one before is kept until the next time.
const journalLimit = 4 << 20

// NoteEvent notes what befell a pod outside of the engine, such as an exec or an attach, with attributes beside those that
// every event has. Like all of the journal it is a courtesy: nothing fails because of it.
func (e *Engine) NoteEvent(p api.Pod, action string, attributes map[string]string) {
	all := maps.Clone(p.Spec.Labels)
	if all == nil {
		all = map[string]string{}
	}
	all["image"], all["name"] = p.Spec.Container.Image, p.Spec.Name
	maps.Copy(all, attributes)
	e.journal(api.Event{Time: time.Now(), Type: "container", Action: action, Pod: p.Spec.Name, ID: p.ID, Group: p.Spec.Group, Attributes: all})
}

func (p *pod) note(action string, attributes map[string]string) {
	p.e.NoteEvent(api.Pod{Spec: p.Spec, ID: p.ID}, action, attributes)
}

// journal appends an event. A full disk, or a root that is gone, is no reason to fail.
func (e *Engine) journal(ev api.Event) {
	line, err := json.Marshal(ev)
	if err != nil {
		return
	}
	f, err := appendTo(e.paths.journal())
	if err != nil {
		return
	}
	defer f.Close()
	if n, err := f.Write(append(line, '\n')); err != nil && n > 0 {
		f.Write([]byte{'\n'}) // the next one is not to be joined to a torn one
	}
	if fi, err := f.Stat(); err == nil && fi.Size() > journalLimit {
		renewJournal(f, e.paths.journal())
	}
}

// appendPatience is how long an event waits for those who write theirs, which takes them microseconds. A process that was stopped
// in the midst of it is in nobody's way.
const appendPatience = time.Second

// appendTo opens the journal, and locks it until it is closed: one writes, and begins it anew, at a time, so that what has become
// the older file is complete. The lock is on the file itself, whatever its name.
func appendTo(path string) (*os.File, error) {
	for {
		f, err := disk.OpenAppend(path)
		if errors.Is(err, fs.ErrNotExist) && os.Mkdir(filepath.Dir(path), 0o700) == nil { // its own folder only: a root that is gone must not come back
			f, err = disk.OpenAppend(path)
		}
		if err != nil {
			return nil, err
		}
		locked := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		for end := time.Now().Add(appendPatience); locked != nil && time.Now().Before(end); <-time.After(100 * time.Microsecond) {
			locked = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		}
		if locked != nil || isAt(f, path) {
			return f, nil
		}
		f.Close() // it was begun anew meanwhile
	}
}

func isAt(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// renewJournal makes f, if it is the journal, the older file. Whoever could not lock it leaves that to others.
func renewJournal(f *os.File, path string) {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	if isAt(f, path) {
		os.Rename(path, chainPath(path, 1))
	}
}

// Events passes events to out, the oldest first, until there are no more, or, if it follows, until opt.Until or the end of ctx,
// whose cause is returned. An error of out ends it too and is returned.
func (e *Engine) Events(ctx context.Context, opt api.EventOptions, out func(api.Event) error) error {
	r := &journalReader{path: e.paths.journal(), opt: opt, out: out}
	defer r.close()
	if !opt.Follow {
		if err := r.open(); err != nil {
			return err
		}
		return r.drain()
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o700); err != nil {
		return err
	}
	changed, err := e.watch.Add(filepath.Dir(r.path), unix.IN_MODIFY|unix.IN_CREATE) // before the first look
	if err != nil {
		return err
	}
	defer changed.Close()
	if err := r.open(); err != nil {
		return err
	}
	return r.follow(ctx, changed.Events)
}

// journalReader reads the journal for one caller.
type journalReader struct {
	path  string
	opt   api.EventOptions
	out   func(api.Event) error
	files []*journalFile // oldest first; while it follows, the last one
}

type journalFile struct {
	*os.File
	info fs.FileInfo
	rest []byte // the beginning of a line whose end is not written yet
}

// open opens the files there are. Those who want no past begin at the end.
func (r *journalReader) open() error {
	for {
		r.close()
		for _, path := range []string{r.path, chainPath(r.path, 1)} {
			f, err := openJournal(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return err
			case len(r.files) > 0 && os.SameFile(f.info, r.files[0].info):
				f.Close()
			default:
				r.files = append([]*journalFile{f}, r.files...)
			}
		}
		if n := len(r.files); n == 0 || r.current(r.files[n-1]) { // else it was begun anew meanwhile
			return r.skipPast()
		}
	}
}

func openJournal(path string) (*journalFile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file: %w", path, fs.ErrNotExist) // the next event makes it anew
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &journalFile{File: f, info: info}, nil
}

func (r *journalReader) current(f *journalFile) bool {
	now, err := os.Stat(r.path)
	return err != nil || os.SameFile(now, f.info)
}

func (r *journalReader) skipPast() error {
	if !r.opt.Since.IsZero() {
		return nil
	}
	for _, f := range r.files {
		if _, err := f.Seek(0, io.SeekEnd); err != nil {
			return err
		}
	}
	return nil
}

func (r *journalReader) close() {
	for _, f := range r.files {
		f.Close()
	}
	r.files = nil
}

// errEventsUntil ends following at EventOptions.Until.
var errEventsUntil = errors.New("past the time asked for")

func (r *journalReader) follow(ctx context.Context, changed <-chan struct{}) error {
	if !r.opt.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, r.opt.Until, errEventsUntil)
		defer cancel()
	}
	for {
		err := r.catchUp()
		if err == nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		if errors.Is(err, errEventsUntil) {
			return nil
		}
		return err
	}
}

// catchUp reads all there is.
func (r *journalReader) catchUp() error {
	for {
		if err := r.drain(); err != nil {
			return err
		}
		if n := len(r.files); n > 0 && r.current(r.files[n-1]) {
			return nil
		}
		if err := r.drain(); err != nil { // now that it is complete
			return err
		}
		f, err := openJournal(r.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		r.close()
		r.files = append(r.files, f)
	}
}

func (r *journalReader) drain() error {
	for _, f := range r.files {
		if err := f.lines(r.pass); err != nil {
			return err
		}
	}
	return nil
}

// lines calls visit with each whole line that was not read yet.
func (f *journalFile) lines(visit func([]byte) error) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		f.rest = append(f.rest, buf[:n]...)
		for {
			line, rest, ok := bytes.Cut(f.rest, []byte{'\n'})
			if !ok {
				break
			}
			f.rest = rest
			if err := visit(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			f.rest = bytes.Clone(f.rest)
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pass decodes and filters. A torn line is read past.
func (r *journalReader) pass(line []byte) error {
	var ev api.Event
	if json.Unmarshal(line, &ev) != nil || ev.Time.Before(r.opt.Since) || r.opt.Group != "" && ev.Group != r.opt.Group {
		return nil
	}
	if !r.opt.Until.IsZero() && ev.Time.After(r.opt.Until) {
		if r.opt.Follow {
			return errEventsUntil
		}
		return nil // the clock may have been set back
	}
	return r.out(ev)
}
