package project

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

// onPlan says whose output will be shown, and begins with the containers that run already and go on running.
func (a *attachment) onPlan(plan project.Plan) {
	now := time.Now()
	touched := map[string]bool{}
	var pods []api.Pod
	for _, s := range plan.Steps {
		if w := s.Key; w.Kind == "pod" && w.Verb != "wait" {
			touched[w.Name] = true
		}
		if c, ok := s.Do.(project.CreatePod); ok {
			pods = append(pods, api.Pod{Spec: c.Spec})
		}
	}
	present, _ := a.containers() // what cannot be read is not shown
	for _, p := range present {
		created := slices.ContainsFunc(pods, func(q api.Pod) bool { return q.Spec.Name == p.Spec.Name })
		if !created && !control.IsOneOff(p) && a.members[p.Spec.Labels[project.LabelService]] {
			pods = append(pods, p)
		}
	}
	a.announce(pods)
	for _, p := range present {
		if a.concerns(p.Spec.Labels) && p.Status.Up() && !touched[p.Spec.Name] {
			a.meet(p, now)
		}
	}
}

// concerns reports whether a container with these labels is one of those that are brought up.
func (a *attachment) concerns(labels map[string]string) bool {
	return a.members[labels[project.LabelService]] && !project.IsOneOff(labels)
}

// announce prints the first line of an attached up.
func (a *attachment) announce(pods []api.Pod) {
	pods = slices.DeleteFunc(pods, func(p api.Pod) bool { return !a.shown[p.Spec.Labels[project.LabelService]] })
	labels := show.LabelsOf(pods)
	a.printer.Add(labels)
	var names []string
	for _, p := range pods {
		names = append(names, labels[p.Spec.Name])
	}
	slices.Sort(names)
	if len(names) > 0 {
		a.aside(func() { fmt.Fprintf(a.o.S.Con.Out, "Attaching to %s\n", show.Printable(strings.Join(names, ", "))) })
	}
}

// onStep begins to follow a container once it is started, with all that it wrote since.
func (a *attachment) onStep(e project.Event) {
	w := e.Step.Key
	if w.Verb != "start" || e.Kind != project.StepEnded || e.Err != nil {
		return
	}
	if p, err := a.podc.Containers.Get(a.live, w.Name); err == nil && a.concerns(p.Spec.Labels) {
		a.meet(p, p.Started)
	}
}

func (a *attachment) aside(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.display.Aside(f)
}

// follower shows the output of the containers of one name, one run after the other. What follows several containers behind `logs` does
// not serve here: it reads on over stops and tells of no end, its code and its place among the lines; it begins all containers at one
// moment, where each has its own here (its start, or that of up); it leaves out those that keep no log, and does not watch any whose
// output is not wanted; and it ends with its context, where last words are shown while an interrupt is stopping everything.
type follower struct {
	pod, service string
	wake         chan struct{} // capacity 1; there is a run to follow
	since        time.Time     // from where the output of that run is shown

	// Protected by attachment.mu:
	id       string    // of the container
	started  time.Time // when its run began
	live     bool      // it is being followed
	again    bool      // while it is, something was started
	caughtUp time.Time // when all that it had written was shown
	restarts []restart // still to be shown
}

// restart is the end of a run after which the container's restart policy starts it again.
type restart struct {
	at   time.Time
	code int
}

// meet follows a run of a container, unless it is followed already or was.
func (a *attachment) meet(p api.Pod, since time.Time) {
	name, service := p.Spec.Name, p.Spec.Labels[project.LabelService]
	a.mu.Lock()
	f := a.followed[name]
	switch {
	case f != nil && f.live:
		f.again = true
		a.mu.Unlock()
		return
	case f != nil && f.id == p.ID && f.started.Equal(p.Started), p.Started.IsZero():
		a.mu.Unlock()
		return
	case f == nil:
		f = &follower{pod: name, service: service, wake: make(chan struct{}, 1)}
		a.followed[name] = f
		go a.follow(f)
	}
	replaced := f.id != "" && f.id != p.ID
	f.id, f.started, f.since, f.live = p.ID, p.Started, since, true
	a.begun(f)
	a.mu.Unlock()
	a.introduce(p, replaced)
	f.wake <- struct{}{}
}

// begun counts a run that is about to be followed. It needs mu.
func (a *attachment) begun(f *follower) {
	if a.counts(f.service) {
		a.alive++
	}
}

// introduce makes a container that is about to be followed known.
func (a *attachment) introduce(p api.Pod, replaced bool) {
	if !a.shown[p.Spec.Labels[project.LabelService]] {
		return
	}
	a.printer.Add(show.LabelsOf([]api.Pod{p}))
	if replaced {
		a.aside(func() { a.printer.Status(p.Spec.Name, "has been recreated") })
	}
}

// follow shows one run after the other, and reports their ends.
func (a *attachment) follow(f *follower) {
	for {
		select {
		case <-f.wake:
		case <-a.live.Done():
			return
		}
		for more := true; more; {
			id := f.id
			err := a.read(f)
			more = a.next(f)
			a.ended(f, id, err)
		}
	}
}

// next finds the run that follows the one that has ended, if there is one already.
func (a *attachment) next(f *follower) bool {
	for {
		p, err := a.podc.Containers.Refresh(a.live, f.pod)
		a.mu.Lock()
		up := err == nil && p.Status.Up()
		if up && (p.ID != f.id || !p.Started.Equal(f.started)) {
			replaced := p.ID != f.id
			f.id, f.started, f.since, f.again = p.ID, p.Started, p.Started, false
			a.begun(f)
			a.mu.Unlock()
			a.introduce(p, replaced)
			return true
		}
		if err == nil && p.ID == f.id {
			f.started = p.Started // by policy it may have been started again meanwhile, which was shown
		}
		if !f.again {
			f.live = false
			a.mu.Unlock()
			return false
		}
		f.again = false
		a.mu.Unlock()
	}
}

// follows reports whether a run of a container is being followed.
func (a *attachment) follows(pod string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.followed[pod] != nil && a.followed[pod].live
}

// meetOthers follows what other commands start: containers that are recreated, started again, or more of a service.
func (a *attachment) meetOthers() {
	err := a.podc.Streams.Events(a.live, api.EventOptions{Group: a.project, Follow: true}, func(e api.Event) error {
		switch {
		case !a.concerns(e.Attributes) || e.Action != "start" && e.Action != "die":
			return nil
		case e.Action == "die":
			a.died(e)
			return nil
		}
		// Its lock is held until the start is on record.
		if p, err := a.podc.Containers.Refresh(a.live, e.Pod); err == nil {
			a.meet(p, p.Started)
		}
		return nil
	})
	if err != nil && a.live.Err() == nil {
		a.aside(func() { show.Warn(a.o.S.Con, "what other commands start is not shown: "+err.Error()) })
	}
}

// died notes how a run ended.
func (a *attachment) died(e api.Event) {
	code, err := strconv.Atoi(e.Attributes["exitCode"])
	if err != nil {
		return
	}
	last := a.death(e.ID)
	select {
	case <-last: // that of the run before
	default:
	}
	last <- code
	// Its lock is held until it is settled what follows.
	p, err := a.podc.Containers.Refresh(a.live, e.Pod)
	if err == nil && p.ID == e.ID && (p.Status == api.StatusRestarting || p.Status.Up() && p.Restarts > 0) {
		a.restarted(e.Pod, restart{e.Time, code})
	}
}

// restarted reports the end of a run that the container's policy goes on from. It is shown after all that the run has written.
func (a *attachment) restarted(pod string, r restart) {
	a.mu.Lock()
	f := a.followed[pod]
	if f == nil {
		a.mu.Unlock()
		return
	}
	f.restarts = append(f.restarts, r)
	due := f.caughtUp.After(r.at)
	a.mu.Unlock()
	if due {
		a.aside(func() { a.showRestarts(f, time.Now()) })
	}
	if a.counts(f.service) {
		go a.report(ending{pod: pod, service: f.service, code: r.code, restarts: true})
	}
}

// showRestarts shows the ends before a time that a restart followed. It needs mu.
func (a *attachment) showRestarts(f *follower, before time.Time) {
	for len(f.restarts) > 0 && f.restarts[0].at.Before(before) {
		if a.shown[f.service] {
			a.printer.Status(f.pod, fmt.Sprintf("exited with code %d (restarting)", f.restarts[0].code))
		}
		f.restarts = f.restarts[1:]
	}
}

// caughtUp notes that all has been shown that a container has written so far.
func (a *attachment) caughtUp(f *follower) {
	a.mu.Lock()
	f.caughtUp = time.Now()
	due := len(f.restarts) > 0
	a.mu.Unlock()
	if due {
		a.aside(func() { a.showRestarts(f, time.Now()) })
	}
}

func (a *attachment) death(id string) chan int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deaths[id] == nil {
		a.deaths[id] = make(chan int, 1)
	}
	return a.deaths[id]
}

// exitOfRemoved is the exit code of a container that is gone, which the journal has by then, if it has it at all.
func (a *attachment) exitOfRemoved(id string) (code int, known bool) {
	select {
	case code := <-a.death(id):
		return code, true
	case <-time.After(time.Second):
		return 0, false
	}
}

// resumed waits until no other command is at work on the project, which may be about to start what it has stopped, and reports
// whether anything runs then.
func (a *attachment) resumed(ctx context.Context) bool {
	if a.podc.Projects.Idle(ctx, a.project) != nil {
		return false
	}
	pods, _ := a.containers()
	for _, p := range pods {
		if a.concerns(p.Spec.Labels) && p.Status.Up() {
			a.meet(p, p.Started)
		}
	}
	return a.waiting()
}

// read shows a container's output until it has ended and will not restart.
func (a *attachment) read(f *follower) error {
	opt := control.LogOptions{Tail: -1, Since: f.since}
	if !a.shown[f.service] {
		opt.Tail = 0
	}
	err := a.podc.Streams.Follow(a.live, f.pod, opt, control.FollowOutput{CaughtUp: func() { a.caughtUp(f) }, Line: func(l control.Line) {
		if a.shown[f.service] {
			written := l.Time
			l.Time = time.Now()
			a.aside(func() {
				a.showRestarts(f, written)
				a.printer.Line(l)
			})
		}
	}})
	switch {
	case !errdefs.IsFailedPrecondition(err):
		return err
	case a.shown[f.service]: // it keeps no log
		return a.listen(f)
	}
	return a.await(f.pod, api.Stopped)
}

// await waits until a container meets a condition.
func (a *attachment) await(pod string, until api.Condition) error {
	_, err := a.podc.Containers.Wait(a.live, pod, until)
	return err
}

// containers are those of the project.
func (a *attachment) containers() ([]api.Pod, error) {
	return a.podc.Containers.List(a.live, control.Selection{Group: a.project, OneOffs: true})
}

// ended reports the end of a run, once.
func (a *attachment) ended(f *follower, id string, err error) {
	end := ending{pod: f.pod, service: f.service}
	text := "has been removed"
	p, podErr := a.podc.Containers.Get(a.live, f.pod)
	if errdefs.IsNotFound(podErr) {
		p.ExitCode, p.ExitKnown = a.exitOfRemoved(id)
	}
	switch {
	case a.live.Err() != nil:
		return
	case podErr == nil && p.ID != id:
		end.replaced, text = true, ""
	case podErr == nil && p.Status.Up(): // how it ended is forgotten
		end.replaced, text = true, "has been restarted"
	case err != nil && !errdefs.IsNotFound(err):
		text = "cannot be followed: " + err.Error()
	case p.ExitKnown:
		end.code, text = p.ExitCode, fmt.Sprintf("exited with code %d", p.ExitCode)
	case podErr == nil:
		text = "exited, nobody knows how"
	}
	if a.shown[f.service] && text != "" {
		a.aside(func() {
			a.showRestarts(f, time.Now())
			a.printer.Status(f.pod, text)
		})
	}
	if a.counts(f.service) {
		a.report(end)
	}
}

// report has the end of a run heeded.
func (a *attachment) report(e ending) {
	select {
	case a.ends <- e:
	case <-a.live.Done():
	}
}
