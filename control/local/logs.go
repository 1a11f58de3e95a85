package local

import (
	"context"
	"errors"

	"github.com/containerd/errdefs"

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

func (s streams) Logs(ctx context.Context, sel control.Selection, opt control.LogOptions, out control.LogOutput) error {
	pods, err := s.containers.List(ctx, sel)
	if err != nil {
		return err
	}
	out = control.LogOutput{Met: heard(out.Met), Lines: heard(out.Lines), Warn: heard(out.Warn)}
	read := logfile.Options{Follow: opt.Follow, Tail: opt.Tail, Since: opt.Since, Until: opt.Until}
	if len(sel.Names) > 0 {
		out.Met(pods)
		return printLogs(ctx, s.engine, pods, read, out.Lines)
	}
	kept := keptLogs{s.engine, out.Warn}
	if !opt.Follow {
		out.Met(pods)
		return printLogs(ctx, kept, pods, read, out.Lines)
	}
	f := &follower{engine: kept, sel: sel, opt: read, out: out, idle: s.projects.Idle}
	return f.run(ctx)
}

// heard is a receiver, or nobody.
func heard[T any](by func(T)) func(T) {
	if by == nil {
		return func(T) {}
	}
	return by
}

func (s streams) Follow(ctx context.Context, ref string, opt control.LogOptions, out control.FollowOutput) error {
	p, err := s.containers.Get(ctx, ref)
	if err != nil {
		return err
	}
	name, line := p.Spec.Name, heard(out.Line)
	read := logfile.Options{Follow: true, Tail: opt.Tail, Since: opt.Since, Until: opt.Until, CaughtUp: func() error {
		if out.CaughtUp != nil {
			out.CaughtUp()
		}
		return nil
	}}
	return s.engine.Logs(ctx, name, read, func(l api.LogLine) error {
		line(control.Line{Pod: name, Stderr: l.Stream == "stderr", Time: l.Time, Text: l.Text})
		return nil
	})
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

// logReader is what reads the output of one pod.
type logReader interface {
	Logs(ctx context.Context, name string, opt logfile.Options, out func(api.LogLine) error) error
}

// keptLogs reads the output that containers keep, and says of the others that they keep none.
type keptLogs struct {
	*engine.Engine
	warn func(text string)
}

// Logs implements logReader.
func (k keptLogs) Logs(ctx context.Context, name string, opt logfile.Options, out func(api.LogLine) error) error {
	err := k.Engine.Logs(ctx, name, opt, out)
	if errdefs.IsFailedPrecondition(err) {
		k.warn(err.Error())
		return nil
	}
	return err
}

// printLogs reads the logs of all pods at once and passes their lines on in the order in which they were written. If it follows,
// it ends when the pods have ended.
func printLogs(ctx context.Context, src logReader, pods []api.Pod, opt logfile.Options, out func([]control.Line)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streams := make([]chan []control.Line, len(pods))
	ends := make(chan error, len(pods))
	for i, p := range pods {
		streams[i] = make(chan []control.Line, 4)
		go func() {
			defer close(streams[i])
			ends <- readLog(ctx, src, p.Spec.Name, opt, streams[i])
		}()
	}
	live := make(chan []control.Line, 16)
	left := make(chan struct{}, len(pods))
	open := merge(streams, out)
	for _, s := range open {
		go forward(s, live, left)
	}
	window := newReorder(out)
	for n := len(open); n > 0; {
		select {
		case lines := <-live:
			window.add(lines)
		case <-window.timer.C:
			window.flush()
		case <-left:
			n--
		}
	}
	window.drain(live)
	var errs []error
	for range pods {
		if err := <-ends; err != nil && !errdefs.IsNotFound(err) { // removed meanwhile
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func forward(from <-chan []control.Line, to chan<- []control.Line, left chan<- struct{}) {
	for lines := range from {
		to <- lines
	}
	left <- struct{}{}
}

// linesAtOnce is how many lines are passed on together, at most.
const linesAtOnce = 512

// readLog reads the output of one pod. An empty batch stands for the moment when a reader who follows has passed on what there
// was at first.
func readLog(ctx context.Context, src logReader, pod string, opt logfile.Options, to chan<- []control.Line) error {
	var batch []control.Line
	var text []byte // of the batch
	send := func(lines []control.Line) error {
		select {
		case to <- lines:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		lines := batch
		batch, text = nil, nil
		return send(lines)
	}
	marked := false
	opt.CaughtUp = func() error {
		err := flush()
		if err == nil && !marked {
			marked, err = true, send(nil)
		}
		return err
	}
	err := src.Logs(ctx, pod, opt, func(l api.LogLine) error {
		begin := len(text)
		text = append(text, l.Text...)
		batch = append(batch, control.Line{Pod: pod, Stderr: l.Stream == "stderr", Time: l.Time, Text: text[begin:len(text):len(text)]})
		if len(batch) == linesAtOnce {
			return flush()
		}
		return nil
	})
	return errors.Join(err, flush())
}

// merge passes on the lines of streams until each has ended or has passed on what there was at first, the oldest first. It
// returns those that go on.
func merge(streams []chan []control.Line, out func([]control.Line)) (open []chan []control.Line) {
	heads := make([][]control.Line, len(streams)) // what was received and not passed on
	next := func(i int) {
		if heads[i] = heads[i][min(1, len(heads[i])):]; len(heads[i]) > 0 {
			return
		}
		lines, ok := <-streams[i]
		if ok && len(lines) == 0 {
			open = append(open, streams[i])
		}
		heads[i] = lines
	}
	for i := range streams {
		next(i)
	}
	var batch []control.Line
	for {
		first := -1
		for i, h := range heads {
			if len(h) > 0 && (first < 0 || h[0].Time.Before(heads[first][0].Time)) {
				first = i
			}
		}
		if first >= 0 {
			batch = append(batch, heads[first][0])
			next(first)
		}
		if len(batch) > 0 && (first < 0 || len(batch) == linesAtOnce) {
			out(batch)
			batch = batch[:0]
		}
		if first < 0 {
			return open
		}
	}
}
