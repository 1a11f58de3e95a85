package local

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/engine/logfile"
)

// follower shows the output of a project's containers as it comes, over restarts, and that of containers which take the place
// of others, or are added. It ends when none of them runs any more and no command is at work that may start one.
type follower struct {
	engine interface {
		logReader
		Pods(group string) ([]api.Pod, error)
		Events(ctx context.Context, opt api.EventOptions, out func(api.Event) error) error
	}
	sel control.Selection
	opt logfile.Options
	out control.LogOutput
	// idle returns when no command is at work on a project.
	idle func(ctx context.Context, project string) error

	readers map[string]bool // ids of the pods that are read
	running int             // readers
	ends    chan error
	live    chan []control.Line
	last    chan struct{} // closed when readers are to pass on what there is, and end
}

func (f *follower) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.readers, f.ends, f.live, f.last = map[string]bool{}, make(chan error, 16), make(chan []control.Line, 16), make(chan struct{})
	f.opt.Stay, f.opt.Last = true, f.last
	events := f.follow(ctx) // before the first look, so that no container is missed
	first, err := f.meet(ctx, f.opt)
	if err != nil {
		return err
	}
	// What was written so far is in its order; from then on lines are sorted within a short window.
	merge(linesOf(first), f.out.Lines)
	for _, s := range first {
		go f.forward(s)
	}
	return f.show(ctx, events)
}

// logStream is what one pod says.
type logStream struct {
	lines chan []control.Line
	err   error // once lines is closed
}

func linesOf(streams []*logStream) []chan []control.Line {
	var list []chan []control.Line
	for _, s := range streams {
		list = append(list, s.lines)
	}
	return list
}

// forward passes on what a pod says, and then how reading it ended.
func (f *follower) forward(s *logStream) {
	for lines := range s.lines {
		f.live <- lines
	}
	f.ends <- s.err
}

// follow tells of what befalls the project's containers, from now on.
func (f *follower) follow(ctx context.Context) <-chan struct{} {
	changed := make(chan struct{}, 1)
	go f.engine.Events(ctx, api.EventOptions{Group: f.sel.Group, Since: time.Now(), Follow: true}, func(ev api.Event) error {
		switch ev.Action {
		case "start", "die", "stop", "destroy":
			select {
			case changed <- struct{}{}:
			default: // there is one to look at already
			}
		}
		return nil
	})
	return changed
}

// meet begins to read the containers that are not read yet, and returns where their lines come from.
func (f *follower) meet(ctx context.Context, opt logfile.Options) ([]*logStream, error) {
	pods, err := f.engine.Pods(f.sel.Group)
	if err != nil {
		return nil, err
	}
	var streams []*logStream
	var met []api.Pod
	for _, p := range pods {
		if !f.sel.Takes(p) || f.readers[p.ID] {
			continue
		}
		met = append(met, p)
		f.readers[p.ID] = true
		f.running++
		s := &logStream{lines: make(chan []control.Line, 4)}
		streams = append(streams, s)
		go func() {
			s.err = readLog(ctx, f.engine, p.Spec.Name, opt, s.lines)
			close(s.lines)
		}()
	}
	f.out.Met(met)
	return streams, nil
}

// show passes on lines until nothing runs any more.
func (f *follower) show(ctx context.Context, events <-chan struct{}) error {
	window := newReorder(f.out.Lines)
	var errs []error
	quiet := make(chan struct{}, 1) // no command is at work
	ending := false
	end := func() {
		if !ending {
			ending = true
			close(f.last)
		}
	}
	if f.running == 0 || !f.anyUp() {
		go f.awaitIdle(ctx, quiet)
	}
	interrupted := ctx.Done()
	for f.running > 0 || !ending {
		select {
		case lines := <-f.live:
			window.add(lines)
		case <-window.timer.C:
			window.flush()
		case <-events:
			f.meetLate(ctx)
			if !f.anyUp() {
				go f.awaitIdle(ctx, quiet)
			}
		case <-quiet:
			if f.meetLate(ctx); f.running == 0 || !f.anyUp() {
				end()
			}
		case err := <-f.ends:
			if err != nil && !errdefs.IsNotFound(err) { // removed meanwhile
				errs = append(errs, err)
			}
			if f.running--; f.running == 0 { // others may be about to take the place of what ended
				go f.awaitIdle(ctx, quiet)
			}
		case <-interrupted:
			interrupted = nil
			end()
		}
	}
	window.drain(f.live)
	return errors.Join(append(errs, context.Cause(ctx))...)
}

// meetLate reads containers that were made since with all that they have said.
func (f *follower) meetLate(ctx context.Context) {
	opt := f.opt
	opt.Tail = -1
	streams, _ := f.meet(ctx, opt) // what cannot be read now is with the next event
	for _, s := range streams {
		go f.forward(s)
	}
}

func (f *follower) awaitIdle(ctx context.Context, quiet chan<- struct{}) {
	if f.idle(ctx, f.sel.Group) == nil {
		select {
		case quiet <- struct{}{}:
		default:
		}
	}
}

// anyUp reports whether anything that is followed runs, or is about to.
func (f *follower) anyUp() bool {
	pods, err := f.engine.Pods(f.sel.Group)
	return err != nil || slices.ContainsFunc(pods, func(p api.Pod) bool { return f.sel.Takes(p) && p.Status.Up() })
}
