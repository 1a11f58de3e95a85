package logfile

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// Options says which lines of a pod's output are wanted.
type Options struct {
	// Follow goes on with what is written later, until the pod has ended and will not restart.
	Follow bool
	// Last, which may be nil, is closed to end following once all that there is has been passed on.
	Last <-chan struct{}
	// CaughtUp, if not nil, is called by who follows whenever all that there is has been passed on. Its error ends it.
	CaughtUp func() error
	// Tail is how many of the last lines are wanted; -1: all. Since and Until leave out some of these.
	Tail  int
	Since time.Time // zero: from the beginning
	Until time.Time // zero: to the end
}

// Run is what a reader must know of the container to follow its log.
type Run struct {
	Watch *kernel.Watcher
	// Dir is a folder in which something happens whenever the container may have ended.
	Dir string
	// Ended reports whether nothing more will be written. It is asked before the log is read for the last time.
	Ended func() bool
}

// Read passes the log to out, line by line and in order, over all files that rotation has kept. It ends at the end of the log, or, if it
// follows, when the run has ended; an error of out ends it too and is returned, as is ctx's cause.
func (l Log) Read(ctx context.Context, opt Options, run Run, out func(api.LogLine) error) error {
	r := &reader{log: l, run: run, opt: opt, out: out}
	r.lines.out = r.pass
	defer func() { closeAll(r.files) }()
	err := r.read(ctx)
	if errors.Is(err, errUntil) {
		return nil
	}
	return err
}

// errUntil ends following at the first line written after LogOptions.Until.
var errUntil = errors.New("past the time asked for")

// reader reads one pod's log for one caller.
type reader struct {
	log   Log
	run   Run
	opt   Options
	files []*file // still to be read, oldest first
	lines lineJoiner
	out   func(api.LogLine) error
}

func (r *reader) read(ctx context.Context) error {
	if r.opt.Follow {
		// The watches come before the first look, so that nothing falls between.
		w, stop, err := r.watch()
		if err != nil {
			return err
		}
		defer stop()
		if err := r.open(); err != nil {
			return err
		}
		return r.follow(ctx, w)
	}
	if err := r.open(); err != nil {
		return err
	}
	for len(r.files) > 0 {
		// A container that writes quicker than this reads must not keep it here for ever.
		there := r.files[0].info.Size()
		if err := r.drain(ctx, there); err != nil {
			return err
		}
		if r.files[0].read >= there {
			r.files[0].forget()
		}
		if err := r.nextFile(); err != nil {
			return err
		}
	}
	return r.lines.flush()
}

func (r *reader) open() error {
	chain, err := openChain(r.log.Path, limitsOf(r.log.Config).files)
	if err == nil && r.opt.Tail >= 0 {
		chain, err = skipTo(chain, r.opt.Tail)
	}
	slices.Reverse(chain)
	r.files = chain
	return err
}

// drain passes on the whole records of the first file, up to limit bytes of it (0: to its end).
func (r *reader) drain(ctx context.Context, limit int64) error {
	f := r.files[0]
	for limit == 0 || f.read < limit {
		rec, err := f.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.lines.add(rec)
		}
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// nextFile leaves the first file, to which nothing more is written.
func (r *reader) nextFile() error {
	f := r.files[0]
	r.files = r.files[1:]
	defer f.Close()
	if rec, ok := f.rest(); ok {
		return r.lines.add(rec)
	}
	return nil
}

// pass filters by time.
func (r *reader) pass(l api.LogLine) error {
	if l.Time.Before(r.opt.Since) {
		return nil
	}
	if !r.opt.Until.IsZero() && l.Time.After(r.opt.Until) {
		if r.opt.Follow {
			return errUntil
		}
		return nil // the clock may have been set back: later lines may count again
	}
	return r.out(l)
}

// watch subscribes to the folder of the log and to that of the pod's state.
func (r *reader) watch() (w *logWatch, stop func(), err error) {
	log, err := r.run.Watch.Add(filepath.Dir(r.log.Path), unix.IN_MODIFY|unix.IN_CREATE)
	if err != nil {
		return nil, nil, err
	}
	state, err := r.run.Watch.Dir(r.run.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		state, err = &kernel.Watch{}, nil // none will be in this boot
	}
	if err != nil {
		log.Close()
		return nil, nil, err
	}
	return &logWatch{log: log.Events, state: state.Events, last: r.opt.Last}, func() {
		log.Close()
		state.Close()
	}, nil
}

// followPace is how far apart the looks at a log are that grows and grows: each costs the same however much there is to read.
const followPace = 20 * time.Millisecond

// logWatch waits for a log to grow, and for what the pod does.
type logWatch struct {
	log, state, last <-chan struct{}
	looked           time.Time // when the log was read last
}

// next returns when there may be something to read; asked says that the pod may have ended, last that nothing more is to be
// waited for.
func (w *logWatch) next(ctx context.Context) (asked, last bool, err error) {
	defer func() { w.looked = time.Now() }()
	var pace <-chan time.Time
	grown := w.log
	for {
		select {
		case <-grown:
			wait := followPace - time.Since(w.looked)
			if wait <= 0 {
				return false, false, nil
			}
			grown, pace = nil, time.After(wait)
		case <-pace:
			return false, false, nil
		case <-w.state:
			return true, false, nil
		case <-w.last:
			return true, true, nil
		case <-ctx.Done():
			return false, false, context.Cause(ctx)
		}
	}
}

func (r *reader) follow(ctx context.Context, w *logWatch) error {
	if !r.opt.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, r.opt.Until, errUntil)
		defer cancel()
	}
	// Asked before reading: what a pod wrote before it ended is in the file by the time its end can be seen.
	ended := r.run.Ended()
	for {
		err := r.catchUp(ctx)
		if err != nil {
			return err
		}
		if ended {
			return r.lines.flush()
		}
		if r.opt.CaughtUp != nil {
			if err := r.opt.CaughtUp(); err != nil {
				return err
			}
		}
		asked, last, err := w.next(ctx)
		if err != nil {
			return err
		}
		ended = last || asked && r.run.Ended()
	}
}

// catchUp reads everything there is, over rotations.
func (r *reader) catchUp(ctx context.Context) error {
	for {
		if len(r.files) == 0 {
			if err := r.newer(nil); err != nil || len(r.files) == 0 {
				return err
			}
		}
		if err := r.drain(ctx, 0); err != nil {
			return err
		}
		if len(r.files) == 1 {
			now, err := os.Stat(r.log.Path)
			if err != nil || os.SameFile(now, r.files[0].info) {
				return nil
			}
			// conmon closes a file before it makes the next: what it wrote since the drain above is the last of it.
			if err := r.drain(ctx, 0); err != nil {
				return err
			}
			if err := r.newer(r.files[0]); err != nil {
				return err
			}
		}
		if err := r.nextFile(); err != nil {
			return err
		}
	}
}

// newer appends the files of the chain that are newer than last; all of them if last has been dropped from it.
func (r *reader) newer(last *file) error {
	chain, err := openChain(r.log.Path, limitsOf(r.log.Config).files)
	if err != nil {
		return err
	}
	if last != nil {
		if i := slices.IndexFunc(chain, last.same); i >= 0 {
			closeAll(chain[i:])
			chain = chain[:i]
		}
	}
	slices.Reverse(chain)
	r.files = append(r.files, chain...)
	return nil
}
