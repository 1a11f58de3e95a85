package engine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// LogOptions says which lines of a pod's output are wanted.
type LogOptions struct {
	// Follow goes on with what is written later, until the pod has ended and will not restart.
	Follow bool
	// Stay, with Follow, goes on over stops and starts, until the pod is removed or Last says so.
	Stay bool
	// Last, which may be nil, is closed to end following once all that there is has been passed on.
	Last <-chan struct{}
	// CaughtUp, if not nil, is called by who follows whenever all that there is has been passed on. Its error ends it.
	CaughtUp func() error
	// Tail is how many of the last lines are wanted; -1: all. Since and Until leave out some of these.
	Tail  int
	Since time.Time // zero: from the beginning
	Until time.Time // zero: to the end
}

// Logs passes the output of a pod to out, line by line and in order, over all files that rotation has kept. It ends at the
// end of the log, or, if it follows, when the pod has ended; an error of out ends it too and is returned, as is ctx's cause.
// errdefs.IsFailedPrecondition if the pod keeps no log.
func (e *Engine) Logs(ctx context.Context, name string, opt LogOptions, out func(api.LogLine) error) error {
	// The record is enough: what the pod does at the moment is of interest only to those who follow.
	var p record
	err := disk.ReadJSON(e.paths.spec(name), &p)
	if !disk.IsName(name) || errors.Is(err, fs.ErrNotExist) {
		return missingPod(name)
	}
	if err != nil {
		return err
	}
	if !p.Spec.Container.Log.Kept() {
		return fault.New(errdefs.ErrFailedPrecondition, "%q keeps no log: its logging driver is %q", name, api.LogNone)
	}
	r := &logReader{e: e, name: p.Spec.Name, id: p.ID, path: e.paths.log(p.Spec.Name), kept: limitsOf(p.Spec.Container.Log).files, opt: opt, out: out}
	r.lines.out = r.pass
	defer func() { closeLogs(r.files) }()
	err = r.run(ctx)
	if errors.Is(err, errLogUntil) {
		return nil
	}
	return err
}

// errLogUntil ends following at the first line written after LogOptions.Until.
var errLogUntil = errors.New("past the time asked for")

// logReader reads one pod's log for one caller.
type logReader struct {
	e        *Engine
	name, id string
	path     string
	kept     int // files of the chain
	opt      LogOptions
	files    []*logFile // still to be read, oldest first
	lines    lineJoiner
	out      func(api.LogLine) error
}

func (r *logReader) run(ctx context.Context) error {
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

func (r *logReader) open() error {
	chain, err := openLogChain(r.path, r.kept)
	if err == nil && r.opt.Tail >= 0 {
		chain, err = skipTo(chain, r.opt.Tail)
	}
	slices.Reverse(chain)
	r.files = chain
	return err
}

// drain passes on the whole records of the first file, up to limit bytes of it (0: to its end).
func (r *logReader) drain(ctx context.Context, limit int64) error {
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
func (r *logReader) nextFile() error {
	f := r.files[0]
	r.files = r.files[1:]
	defer f.Close()
	if rec, ok := f.rest(); ok {
		return r.lines.add(rec)
	}
	return nil
}

// pass filters by time.
func (r *logReader) pass(l api.LogLine) error {
	if l.Time.Before(r.opt.Since) {
		return nil
	}
	if !r.opt.Until.IsZero() && l.Time.After(r.opt.Until) {
		if r.opt.Follow {
			return errLogUntil
		}
		return nil // the clock may have been set back: later lines may count again
	}
	return r.out(l)
}

// watch subscribes to the folder of the log and to that of the pod's state.
func (r *logReader) watch() (w *logWatch, stop func(), err error) {
	log, err := r.e.watch.Add(r.e.paths.bundle(r.name), unix.IN_MODIFY|unix.IN_CREATE)
	if err != nil {
		return nil, nil, err
	}
	state, err := r.e.watch.Dir(r.e.paths.runPod(r.name))
	if errors.Is(err, fs.ErrNotExist) {
		state, err = &kernel.Watch{}, nil // after a reboot: no start has been asked for in this boot
		if r.opt.Stay {
			err = os.MkdirAll(r.e.paths.runPod(r.name), 0o700)
			if err == nil {
				state, err = r.e.watch.Dir(r.e.paths.runPod(r.name))
			}
		}
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

func (r *logReader) follow(ctx context.Context, w *logWatch) error {
	if !r.opt.Until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, r.opt.Until, errLogUntil)
		defer cancel()
	}
	// Asked before reading: what a pod wrote before it ended is in the file by the time its end can be seen.
	ended := r.ended()
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
		ended = last || asked && r.ended()
	}
}

// catchUp reads everything there is, over rotations.
func (r *logReader) catchUp(ctx context.Context) error {
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
			now, err := os.Stat(r.path)
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
func (r *logReader) newer(last *logFile) error {
	chain, err := openLogChain(r.path, r.kept)
	if err != nil {
		return err
	}
	if last != nil {
		if i := slices.IndexFunc(chain, last.same); i >= 0 {
			closeLogs(chain[i:])
			chain = chain[:i]
		}
	}
	slices.Reverse(chain)
	r.files = append(r.files, chain...)
	return nil
}

// ended reports whether nothing more will be written.
func (r *logReader) ended() bool {
	p, err := r.e.read(r.name)
	if err != nil || p.ID != r.id {
		return true
	}
	if r.opt.Stay || p.state.Status == api.StatusRunning || p.state.Status == api.StatusRestarting {
		return false
	}
	return !p.restartsNext()
}

// maxWaitLine bounds a line shown in an error.
const maxWaitLine = 500

// lastLines returns the last n lines of a pod's output, as far as they can be had.
func (e *Engine) lastLines(name string, n int) []string {
	var lines []string
	e.Logs(context.Background(), name, LogOptions{Tail: n}, func(l api.LogLine) error {
		lines = append(lines, string(l.Text[:min(len(l.Text), maxWaitLine)]))
		return nil
	})
	return lines
}
