package local

import (
	"context"
	"errors"
	"slices"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/engine/logfile"
)

// streams implements control.Streams.
type streams struct {
	engine     *engine.Engine
	containers containers
	projects   projects
}

// heard is a receiver, or nobody.
func heard[T any](by func(T)) func(T) {
	if by == nil {
		return func(T) {}
	}
	return by
}

func (s streams) Events(ctx context.Context, opt api.EventOptions, out func(api.Event) error) error {
	return s.engine.Events(ctx, opt, out)
}

func (s streams) Attach(ctx context.Context, ref string) (control.Stream, error) {
	p, err := s.containers.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	if s := s.projects.held.take(p.Spec.Name); s != nil {
		return s, nil
	}
	return s.engine.Attach(ctx, p.Spec.Name)
}

// batch is what a reader passes on at once.
type batch struct {
	lines    []control.Line
	caughtUp time.Time // if it is not zero: by then, everything that there was has been passed on
}

// linesAtOnce is how many lines are passed on together, at most.
const linesAtOnce = 512

// readLog reads the output that one container keeps.
func (s streams) readLog(ctx context.Context, pod string, opt logfile.Options, send func(batch) error) error {
	var b batch
	var text []byte // of the batch
	flush := func() error {
		if len(b.lines) == 0 && b.caughtUp.IsZero() {
			return nil
		}
		full := b
		b, text = batch{}, nil
		return send(full)
	}
	opt.CaughtUp = func() error {
		b.caughtUp = time.Now()
		return flush()
	}
	err := s.engine.Logs(ctx, pod, opt, func(l api.LogLine) error {
		begin := len(text)
		text = append(text, l.Text...)
		b.lines = append(b.lines, control.Line{Pod: pod, Stderr: l.Stream == "stderr", Time: l.Time, Text: text[begin:len(text):len(text)]})
		if len(b.lines) == linesAtOnce {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}

// merge passes on the lines of streams until each has ended or has passed on what there was at first, the oldest first.
func merge(streams []chan batch, out func([]control.Line)) {
	heads := make([]batch, len(streams)) // what was received and not passed on
	next := func(i int) {
		h := &heads[i]
		if h.lines = h.lines[min(1, len(h.lines)):]; len(h.lines) == 0 && h.caughtUp.IsZero() {
			*h = <-streams[i]
		}
	}
	for i := range streams {
		next(i)
	}
	var lines []control.Line
	for {
		first := -1
		for i, h := range heads {
			if len(h.lines) > 0 && (first < 0 || h.lines[0].Time.Before(heads[first].lines[0].Time)) {
				first = i
			}
		}
		if first >= 0 {
			lines = append(lines, heads[first].lines[0])
			next(first)
		}
		if len(lines) > 0 && (first < 0 || len(lines) == linesAtOnce) {
			out(lines)
			lines = lines[:0]
		}
		if first < 0 {
			return
		}
	}
}

// reorderWindow is how long a followed line may wait for an older one of another container.
const reorderWindow = 50 * time.Millisecond

// reorder sorts the lines of several containers within a short window.
type reorder struct {
	out   func([]control.Line)
	lines []control.Line
	timer *time.Timer
}

func newReorder(out func([]control.Line)) *reorder {
	r := &reorder{out: out, timer: time.NewTimer(0)}
	r.timer.Stop()
	return r
}

// mostReordered bounds the memory of a window, in lines.
const mostReordered = 16 << 10

func (r *reorder) add(lines []control.Line) {
	if len(r.lines) == 0 && len(lines) > 0 {
		r.timer.Reset(reorderWindow)
	}
	if r.lines = append(r.lines, lines...); len(r.lines) >= mostReordered {
		r.flush()
	}
}

func (r *reorder) flush() {
	r.timer.Stop()
	if len(r.lines) == 0 {
		return
	}
	slices.SortStableFunc(r.lines, func(a, b control.Line) int { return a.Time.Compare(b.Time) })
	r.out(r.lines)
	clear(r.lines) // they hold on to their text
	r.lines = r.lines[:0]
}
