package main

import (
	"bytes"
	"context"
	"time"

	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/project"
)

// A container whose logging driver is "none" keeps nothing that could be read: `logs` leaves it out, and an attached `up` is
// connected with it while it runs, from before its start where it is up's own.

// listeningEngine starts containers that keep no log with a stream to them.
type listeningEngine struct {
	*engine.Engine
	a *attachment
}

// StartPod implements project.Engine.
func (e listeningEngine) StartPod(ctx context.Context, name string) error {
	p, err := e.Pod(name)
	if err != nil || control.IsUp(p) || p.Spec.Container.Log.Driver != "none" || !e.a.concerns(p.Spec.Labels) || !e.a.shown[p.Spec.Labels[project.LabelService]] {
		return e.Engine.StartPod(ctx, name)
	}
	s, err := e.StartAttached(ctx, name, nil)
	if err == nil {
		e.a.mu.Lock()
		defer e.a.mu.Unlock()
		e.a.streams[name] = s
	}
	return err
}

// stream is that to a running container which keeps no log.
func (a *attachment) stream(pod string) (*engine.Stream, error) {
	a.mu.Lock()
	s := a.streams[pod]
	delete(a.streams, pod)
	a.mu.Unlock()
	if s != nil {
		return s, nil
	}
	return a.engine.Attach(a.live, pod)
}

// listen shows what a container says, over restarts by its policy, until it has ended for good. Of a run that up did not start
// itself the first words may be missed.
func (a *attachment) listen(f *follower) error {
	for {
		s, err := a.stream(f.pod)
		if err != nil { // it has ended, or its conmon: its end is all that there is to wait for
			return a.engine.WaitPod(a.live, f.pod, engine.Stopped)
		}
		out, errs := &liveOutput{a: a, f: f}, &liveOutput{a: a, f: f, stderr: true}
		gone := context.AfterFunc(a.live, func() { s.Close() })
		s.Output(out, errs) // how it ends says nothing
		gone()
		s.Close()
		out.flush()
		errs.flush()
		p, err := a.engine.Refresh(a.live, f.pod)
		a.caughtUp(f)
		if err != nil || !control.IsUp(p) {
			return err
		}
		a.engine.WaitPod(a.live, f.pod, engine.Started) // if it never does, there is no stream to it
	}
}

// liveOutput shows the lines of one stream of a container as they come.
type liveOutput struct {
	a      *attachment
	f      *follower
	stderr bool
	open   []byte // the beginning of a line
}

// maxOpenLine is how much of a line is kept until its end comes; longer ones are shown in pieces.
const maxOpenLine = 1 << 20

// Write implements io.Writer; it never fails.
func (o *liveOutput) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		o.open = append(o.open, line...)
		if !whole {
			if len(o.open) > maxOpenLine {
				o.flush()
			}
			return n, nil
		}
		o.show()
		b = rest
	}
}

// flush shows a line whose end has not come.
func (o *liveOutput) flush() {
	if len(o.open) > 0 {
		o.show()
	}
}

func (o *liveOutput) show() {
	line := control.Line{Pod: o.f.pod, Stderr: o.stderr, Time: time.Now(), Text: o.open}
	o.a.aside(func() { o.a.printer.line(line) })
	o.open = o.open[:0]
}
