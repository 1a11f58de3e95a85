package local

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/engine/logfile"
	"podc.example/podc/project"
)

// Logs implements control.Streams.
func (s streams) Logs(ctx context.Context, sel control.Selection, opt control.LogOptions, out control.LogOutput) error {
	f := &follower{
		streams: s, sel: sel, opt: opt, late: opt.Follow && len(sel.Names) == 0,
		ends: opt.Follow && out.Ended != nil,
		out:  control.LogOutput{Met: heard(out.Met), Lines: heard(out.Lines), Ended: heard(out.Ended), Warn: heard(out.Warn)},
		runs: map[string]*run{}, said: make(chan said, 16), seen: make(chan seen), last: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.waits, f.stopWaiting = context.WithCancel(ctx)
	defer f.stopWaiting()
	f.window = newReorder(f.out.Lines)
	if f.late { // before the first look, so that no container is missed
		go f.attend(ctx, time.Now())
	}
	if err := f.begin(ctx); err != nil {
		return err
	}
	return f.show(ctx)
}

// follower reads containers, each run of each on its own, and tells of what they say and how they end, in one order. It goes on over
// starts, and with containers that take the place of others or are added, until none that it goes on for runs any more, and no command
// is at work that may start one. One that does not follow, or only what was named, has come to its end with the first runs.
type follower struct {
	streams
	sel    control.Selection
	opt    control.LogOptions
	out    control.LogOutput
	late   bool // what is started later is followed too
	ends   bool // somebody hears of ends
	window *reorder

	runs  map[string]*run // of each container the last that was met, by its name
	open  int             // those that are read
	going int             // those among them that it goes on for
	said  chan said
	seen  chan seen
	over  bool
	last  chan struct{} // closed when it is over: readers are to pass on what there is, and end
	errs  []error

	waits       context.Context // of readers that only wait; it ends when it is over
	stopWaiting func()
}

// run is that of a container, which may go on over restarts by its policy.
type run struct {
	pod      api.Pod // when it was met or, once that is known, after its end
	open     bool    // it is read
	told     bool    // its end is told
	again    bool    // the container was started meanwhile
	said     chan batch
	last     time.Time // when the last line was written
	caughtUp time.Time // when all that there was had been passed on
	restarts []restart // to be told after all that was written before

	// Once said is closed:
	now api.Pod // after its end; of one that is gone, as it was, with its exit code
	err error   // why it could not be read
}

// restart is an end that a restart by policy follows.
type restart struct {
	at  time.Time
	end control.End
}

// said is what a run says; over, that there is no more of it.
type said struct {
	run *run
	batch
	over bool
}

// seen is what has befallen a container, and how it is once that is settled.
type seen struct {
	event api.Event
	pod   api.Pod
	err   error // nothing more will be seen
}

// begin reads what is there. What was written so far comes in its order; from then on lines are sorted within a short window.
func (f *follower) begin(ctx context.Context) error {
	pods, err := f.containers.List(ctx, f.sel)
	if err != nil {
		return err
	}
	var first []*run
	var streams []chan batch
	var met []api.Pod
	for _, p := range pods {
		if slices.Contains(f.opt.Later, p.Spec.Name) {
			f.runs[p.Spec.Name] = &run{pod: p}
			continue
		}
		r := f.read(ctx, p, f.opt.Tail, f.opt.Since)
		r.told = p.Status.Up()
		first, streams, met = append(first, r), append(streams, r.said), append(met, p)
	}
	f.out.Met(met)
	merge(streams, f.out.Lines)
	for _, r := range first {
		go f.forward(r)
	}
	return nil
}

// show passes on what is said until the end.
func (f *follower) show(ctx context.Context) error {
	quiet, waiting := make(chan struct{}, 1), false // until no command is at work
	looked := false                                 // the journal may fail to tell what a command starts that is at work now
	interrupted := ctx.Done()
	for f.open > 0 || f.late && !f.over {
		if f.late && !f.over && !waiting && (f.going == 0 || !looked) { // others may be about to take the place of what ended
			waiting, looked = true, true
			go func() {
				if f.projects.Idle(ctx, f.sel.Group) == nil {
					quiet <- struct{}{}
				}
			}()
		}
		select {
		case s := <-f.said:
			f.hear(ctx, s)
		case <-f.window.timer.C:
			f.window.flush()
		case s := <-f.seen:
			f.see(ctx, s)
		case <-quiet:
			waiting = false
			pods, _ := f.containers.List(ctx, f.sel)
			for _, p := range pods {
				f.meet(ctx, p)
			}
			if f.going == 0 {
				f.end()
			}
		case <-interrupted:
			interrupted = nil
			f.end()
		}
	}
	f.window.flush()
	return errors.Join(append(f.errs, context.Cause(ctx))...)
}

func (f *follower) end() {
	if !f.over {
		f.over = true
		close(f.last)
		f.stopWaiting()
	}
}

// attend looks at containers that something befalls.
func (f *follower) attend(ctx context.Context, since time.Time) {
	err := f.engine.Events(ctx, api.EventOptions{Group: f.sel.Group, Since: since, Follow: true}, func(ev api.Event) error {
		if ev.Action == "start" || ev.Action == "die" && f.ends {
			f.look(ctx, ev)
		}
		return nil
	})
	if ctx.Err() == nil {
		f.tellSeen(ctx, seen{err: err})
	}
}

// look sees how a container is. Its lock is held until what happened is on record and it is settled what follows.
func (f *follower) look(ctx context.Context, ev api.Event) {
	if p, err := f.engine.Refresh(ctx, ev.Pod); err == nil {
		f.tellSeen(ctx, seen{event: ev, pod: p})
	}
}

func (f *follower) tellSeen(ctx context.Context, s seen) {
	select {
	case f.seen <- s:
	case <-ctx.Done():
	}
}

func (f *follower) see(ctx context.Context, s seen) {
	p := s.pod
	r := f.runs[p.Spec.Name]
	switch {
	case s.err != nil:
		f.out.Warn("what is started from now on is not shown: " + s.err.Error())
	case f.over || !f.sel.Takes(p):
	case s.event.Action == "start":
		f.meet(ctx, p)
	case r != nil && r.open && p.ID == s.event.ID && (p.Status == api.StatusRestarting || p.Status.Up() && p.Restarts > 0):
		code, err := strconv.Atoi(s.event.Attributes["exitCode"])
		p.ExitCode, p.ExitKnown = code, err == nil
		r.restarts = append(r.restarts, restart{s.event.Time, control.End{Pod: p, Restarts: true}})
		due := r.caughtUp
		if f.mutes(p) {
			due = time.Now()
		}
		f.hear(ctx, said{run: r, batch: batch{caughtUp: due}})
	}
}

// meet follows a run of a container, unless it is followed already or was.
func (f *follower) meet(ctx context.Context, p api.Pod) {
	r := f.runs[p.Spec.Name]
	switch {
	case r != nil && r.open:
		r.again = true
	case p.Started.IsZero() || r != nil && r.pod.ID == p.ID && (r.err != nil || r.pod.Started.Equal(p.Started)):
	default:
		f.follow(ctx, p)
	}
}

// follow reads a run that is met late: all that it says, and of a container that is new all that it has said.
func (f *follower) follow(ctx context.Context, p api.Pod) {
	since := f.opt.Since
	if r := f.runs[p.Spec.Name]; r != nil && r.pod.ID == p.ID {
		if since = p.Started; !r.last.Before(since) { // the reader of the run before was quick
			since = r.last.Add(1)
		}
	}
	f.out.Met([]api.Pod{p})
	r := f.read(ctx, p, -1, since)
	r.told = true
	go f.forward(r)
}

// read begins to read a run.
func (f *follower) read(ctx context.Context, p api.Pod, tail int, since time.Time) *run {
	r := &run{pod: p, open: true, said: make(chan batch, 4)}
	f.runs[p.Spec.Name] = r
	f.open++
	if f.goesOnFor(p) {
		f.going++
	}
	send := func(b batch) error {
		select {
		case r.said <- b:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	opt := logfile.Options{Follow: f.opt.Follow, Last: f.last, Tail: tail, Since: since, Until: f.opt.Until}
	go func() {
		defer close(r.said)
		if f.mutes(p) {
			send(batch{caughtUp: time.Now()})
			r.err = f.await(p.Spec.Name)
		} else if r.err = f.readLog(ctx, p.Spec.Name, opt, send); f.opt.Live && errdefs.IsFailedPrecondition(r.err) {
			r.err = f.listen(p.Spec.Name, send)
		}
		r.now = f.after(ctx, p)
	}()
	return r
}

// await waits until a container has ended, or it is over.
func (f *follower) await(pod string) error {
	if err := f.engine.WaitPod(f.waits, pod, api.Stopped); f.waits.Err() == nil {
		return err
	}
	return nil
}

// after is a container once the end of a run is on record, if that is of any interest.
func (f *follower) after(ctx context.Context, p api.Pod) api.Pod {
	if !f.late && !f.ends {
		return p
	}
	now, err := f.engine.Refresh(ctx, p.Spec.Name)
	if err != nil && !errdefs.IsNotFound(err) {
		now, err = f.engine.Pod(p.Spec.Name)
	}
	if errdefs.IsNotFound(err) {
		if now, _ = f.engine.EndOf(p); !now.ExitKnown {
			now.Status = api.StatusRemoving
		}
	}
	return now
}

func (f *follower) mutes(p api.Pod) bool {
	return slices.Contains(f.opt.Mute, p.Spec.Labels[project.LabelService])
}

func (f *follower) goesOnFor(p api.Pod) bool {
	return len(f.opt.For) == 0 || slices.Contains(f.opt.For, p.Spec.Labels[project.LabelService])
}

func (f *follower) forward(r *run) {
	for b := range r.said {
		f.said <- said{run: r, batch: b}
	}
	f.said <- said{run: r, over: true}
}

// hear passes on what a run says, and the ends of runs between which it was said.
func (f *follower) hear(ctx context.Context, s said) {
	r, lines := s.run, s.lines
	if s.over {
		f.ended(ctx, r)
		return
	}
	for len(r.restarts) > 0 {
		next := r.restarts[0]
		n := slices.IndexFunc(lines, func(l control.Line) bool { return l.Time.After(next.at) })
		if n < 0 {
			if n = len(lines); !s.caughtUp.After(next.at) {
				break
			}
		}
		f.window.add(lines[:n])
		f.tell(next.end)
		lines, r.restarts = lines[n:], r.restarts[1:]
	}
	f.window.add(lines)
	if n := len(s.lines); n > 0 {
		r.last = s.lines[n-1].Time
	}
	if !s.caughtUp.IsZero() {
		r.caughtUp = s.caughtUp
	}
}

// tell tells of an end after all that has been said.
func (f *follower) tell(e control.End) {
	f.window.flush()
	f.out.Ended(e)
}

// ended tells of the end of a run, and goes on with the one that has begun since.
func (f *follower) ended(ctx context.Context, r *run) {
	r.open = false
	f.open--
	if f.goesOnFor(r.pod) {
		f.going--
	}
	switch {
	case ctx.Err() != nil:
		return
	case errdefs.IsNotFound(r.err): // removed meanwhile
		r.err = nil
	case errdefs.IsFailedPrecondition(r.err) && len(f.sel.Names) == 0:
		f.out.Warn(r.err.Error())
		return
	case r.err != nil:
		f.errs = append(f.errs, r.err)
		return
	}
	for _, e := range r.restarts {
		f.tell(e.end)
	}
	now, up := r.now, r.now.Status.Up()
	replaced := now.ID != r.pod.ID || up && !now.Started.Equal(r.pod.Started)
	if f.ends && r.told && (replaced || !up) {
		f.tell(control.End{Pod: now, Replaced: replaced})
	}
	if now.ID == r.pod.ID {
		r.pod = now // by policy it may have been started again meanwhile, which was read
	}
	switch {
	case !f.late || f.over || !f.opt.Until.IsZero() && time.Now().After(f.opt.Until):
	case up:
		f.follow(ctx, now)
	case r.again:
		go f.look(ctx, api.Event{Action: "start", Pod: r.pod.Spec.Name})
	}
}

// listen passes on what a container says that keeps no log, over restarts by its policy, until it has ended for good. Of a run that was
// not started with somebody listening (see held) the first words may be missed.
func (f *follower) listen(pod string, send func(batch) error) error {
	send(batch{caughtUp: time.Now()})
	for {
		s, err := f.Attach(f.waits, pod)
		if err != nil { // it has ended, or its conmon: its end is all that there is to wait for
			return f.await(pod)
		}
		out, errs := &liveOutput{pod: pod, send: send}, &liveOutput{pod: pod, send: send, stderr: true}
		gone := context.AfterFunc(f.waits, func() { s.Close() })
		s.Output(out, errs) // how it ends says nothing
		gone()
		s.Close()
		out.flush()
		errs.flush()
		if f.waits.Err() != nil {
			return nil
		}
		p, err := f.engine.Refresh(f.waits, pod)
		send(batch{caughtUp: time.Now()})
		if err != nil || !p.Status.Up() {
			return err
		}
		f.engine.WaitPod(f.waits, pod, api.Started) // if it never does, there is no stream to it
	}
}

// liveOutput passes on the lines of one stream of a container as they come.
type liveOutput struct {
	pod    string
	stderr bool
	send   func(batch) error
	open   []byte // the beginning of a line
}

// maxOpenLine is how much of a line is kept until its end comes; longer ones are passed on in pieces.
const maxOpenLine = 1 << 20

// Write implements io.Writer.
func (o *liveOutput) Write(b []byte) (int, error) {
	n := len(b)
	for {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		o.open = append(o.open, line...)
		if !whole {
			if len(o.open) > maxOpenLine {
				return n, o.pass()
			}
			return n, nil
		}
		if err := o.pass(); err != nil {
			return n, err
		}
		b = rest
	}
}

// flush passes on a line whose end has not come.
func (o *liveOutput) flush() {
	if len(o.open) > 0 {
		o.pass()
	}
}

func (o *liveOutput) pass() error {
	line := control.Line{Pod: o.pod, Stderr: o.stderr, Time: time.Now(), Text: o.open}
	o.open = nil
	return o.send(batch{lines: []control.Line{line}})
}
