package project

import (
	"bytes"
	"context"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

// A container whose logging driver is "none" keeps nothing that could be read: `logs` leaves it out, and an attached `up` is
// connected with it while it runs, from before its start where it is up's own.

// listen shows what a container says, over restarts by its policy, until it has ended for good. Of a run that up did not start
// itself the first words may be missed.
func (a *attachment) listen(f *follower) error {
	for {
		s, err := a.podc.Streams.Attach(a.live, f.pod)
		if err != nil { // it has ended, or its conmon: its end is all that there is to wait for
			return a.await(f.pod, api.Stopped)
		}
		out, errs := &liveOutput{a: a, f: f}, &liveOutput{a: a, f: f, stderr: true}
		gone := context.AfterFunc(a.live, func() { s.Close() })
		s.Output(out, errs) // how it ends says nothing
		gone()
		s.Close()
		out.flush()
		errs.flush()
		p, err := a.podc.Containers.Refresh(a.live, f.pod)
		a.caughtUp(f)
		if err != nil || !p.Status.Up() {
			return err
		}
		a.await(f.pod, api.Started) // if it never does, there is no stream to it
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
	o.a.aside(func() { o.a.printer.Line(line) })
	o.open = o.open[:0]
}
