// Package journal is where a root notes what befalls its pods: one line of JSON an event, appended by whoever did it or found it out.
// It is two files at most, journal and the older journal.1; an appended line reaches its readers by inotify. It is never synced: after a
// power cut the last events may be missing, and no command is slower for it.
package journal

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
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Journal is that of one root. Any number of processes may write and read it at once.
type Journal struct {
	path  string
	watch *kernel.Watcher
}

// Open returns the journal whose newer file is at path, which need not exist.
func Open(path string, watch *kernel.Watcher) *Journal { return &Journal{path, watch} }

// limit is the size in bytes at which the journal is begun anew; the one before is kept until the next time.
const limit = 4 << 20

// NoteEvent notes what befell a pod outside of the engine, such as an exec or an attach, with attributes beside those that
// every event has. Like all of the journal it is a courtesy: nothing fails because of it.
func (j *Journal) NoteEvent(p api.Pod, action string, attributes map[string]string) {
	all := maps.Clone(p.Spec.Labels)
	if all == nil {
		all = map[string]string{}
	}
	all["image"], all["name"] = p.Spec.Container.Image, p.Spec.Name
	maps.Copy(all, attributes)
	j.append(api.Event{Time: time.Now(), Type: "container", Action: action, Pod: p.Spec.Name, ID: p.ID, Group: p.Spec.Group, Attributes: all})
}

// append appends an event. A full disk, or a root that is gone, is no reason to fail.
func (j *Journal) append(ev api.Event) {
	line, err := json.Marshal(ev)
	if err != nil {
		return
	}
	f, err := appendTo(j.path)
	if err != nil {
		return
	}
	defer f.Close()
	if n, err := f.Write(append(line, '\n')); err != nil && n > 0 {
		f.Write([]byte{'\n'}) // the next one is not to be joined to a torn one
	}
	if fi, err := f.Stat(); err == nil && fi.Size() > limit {
		renew(f, j.path)
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

// older is the path of the older file.
func older(path string) string { return path + ".1" }

func isAt(f *os.File, path string) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Stat(path)
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// renew makes f, if it is the journal, the older file. Whoever could not lock it leaves that to others.
func renew(f *os.File, path string) {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	if isAt(f, path) {
		os.Rename(path, older(path))
	}
}

// Events passes events to out, the oldest first, until there are no more, or, if it follows, until opt.Until or the end of ctx,
// whose cause is returned. An error of out ends it too and is returned.
func (j *Journal) Events(ctx context.Context, opt api.EventOptions, out func(api.Event) error) error {
	r := &reader{path: j.path, opt: opt, out: out}
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
	changed, err := j.watch.Add(filepath.Dir(r.path), unix.IN_MODIFY|unix.IN_CREATE) // before the first look
	if err != nil {
		return err
	}
	defer changed.Close()
	if err := r.open(); err != nil {
		return err
	}
	return r.follow(ctx, changed.Events)
}

// reader reads the journal for one caller.
type reader struct {
	path  string
	opt   api.EventOptions
	out   func(api.Event) error
	files []*file // oldest first; while it follows, the last one
}

type file struct {
	*os.File
	info fs.FileInfo
	rest []byte // the beginning of a line whose end is not written yet
}

// open opens the files there are. Those who want no past begin at the end.
func (r *reader) open() error {
	for {
		r.close()
		for _, path := range []string{r.path, older(r.path)} {
			f, err := open(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return err
			case len(r.files) > 0 && os.SameFile(f.info, r.files[0].info):
				f.Close()
			default:
				r.files = append([]*file{f}, r.files...)
			}
		}
		if n := len(r.files); n == 0 || r.current(r.files[n-1]) { // else it was begun anew meanwhile
			return r.skipPast()
		}
	}
}

func open(path string) (*file, error) {
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
	return &file{File: f, info: info}, nil
}

func (r *reader) current(f *file) bool {
	now, err := os.Stat(r.path)
	return err != nil || os.SameFile(now, f.info)
}

func (r *reader) skipPast() error {
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

func (r *reader) close() {
	for _, f := range r.files {
		f.Close()
	}
	r.files = nil
}

// errUntil ends following at EventOptions.Until.
var errUntil = errors.New("past the time asked for")

func (r *reader) follow(ctx context.Context, changed <-chan struct{}) error {
	if !r.opt.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, r.opt.Until, errUntil)
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
		if errors.Is(err, errUntil) {
			return nil
		}
		return err
	}
}

// catchUp reads all there is.
func (r *reader) catchUp() error {
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
		f, err := open(r.path)
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

func (r *reader) drain() error {
	for _, f := range r.files {
		if err := f.lines(r.pass); err != nil {
			return err
		}
	}
	return nil
}

// lines calls visit with each whole line that was not read yet.
func (f *file) lines(visit func([]byte) error) error {
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
func (r *reader) pass(line []byte) error {
	var ev api.Event
	if json.Unmarshal(line, &ev) != nil || ev.Time.Before(r.opt.Since) || r.opt.Group != "" && ev.Group != r.opt.Group {
		return nil
	}
	if !r.opt.Until.IsZero() && ev.Time.After(r.opt.Until) {
		if r.opt.Follow {
			return errUntil
		}
		return nil // the clock may have been set back
	}
	return r.out(ev)
}

// EndOf is a pod that is gone, with the end of its last run as far as the journal tells it.
func (j *Journal) EndOf(p api.Pod) (api.Pod, error) {
	p.Status, p.ExitKnown = api.StatusExited, false
	err := j.Events(context.Background(), api.EventOptions{Group: p.Spec.Group, Since: p.Started}, func(ev api.Event) error {
		if ev.ID == p.ID && ev.Action == "die" {
			code, err := strconv.Atoi(ev.Attributes["exitCode"])
			p.ExitCode, p.ExitKnown = code, err == nil
		}
		return nil
	})
	return p, err
}

// Damage says what is wrong with a journal that is none; "" if nothing is. Lines that cannot be read are passed over; where all are
// such, something has written over them.
func (j *Journal) Damage() string {
	f, err := open(j.path)
	if err != nil {
		if _, err := os.Lstat(j.path); err != nil {
			return ""
		}
		return "the journal of events is no regular file"
	}
	defer f.Close()
	bad := false
	good := errors.New("a line that can be read")
	err = f.lines(func(line []byte) error {
		var ev api.Event
		if json.Unmarshal(line, &ev) == nil && !ev.Time.IsZero() {
			return good
		}
		bad = bad || len(line) > 0
		return nil
	})
	if errors.Is(err, good) || !bad && len(f.rest) == 0 {
		return ""
	}
	return "nothing in the journal of events can be read"
}

// Discard removes the newer file, whatever it is: the next event begins it anew.
func (j *Journal) Discard() error { return os.RemoveAll(j.path) }
