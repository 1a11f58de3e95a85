package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
	"podc.example/podc/project"
)

// onPlan says whose output will be shown, and begins with the containers that run already and go on running.
func (a *attachment) onPlan(plan project.Plan) {
	now := time.Now()
	touched := map[string]bool{}
	var pods []engine.Pod
	for _, s := range plan.Steps {
		if w := s.Do.Words(); w.Kind == "pod" && w.Verb != "wait" {
			touched[w.Name] = true
		}
		if c, ok := s.Do.(project.CreatePod); ok {
			pods = append(pods, engine.Pod{Spec: c.Spec})
		}
	}
	present, _ := a.engine.Pods(a.project) // what cannot be read is not shown
	for _, p := range present {
		created := slices.ContainsFunc(pods, func(q engine.Pod) bool { return q.Spec.Name == p.Spec.Name })
		if !created && !isOneOff(p) && a.members[p.Spec.Labels[project.LabelService]] {
			pods = append(pods, p)
		}
	}
	a.announce(pods)
	for _, p := range present {
		if a.members[p.Spec.Labels[project.LabelService]] && !isOneOff(p) && isUp(p) && !touched[p.Spec.Name] {
			a.follow(p.Spec.Name, p.Spec.Labels[project.LabelService], now)
		}
	}
}

// announce prints the first line of an attached up.
func (a *attachment) announce(pods []engine.Pod) {
	pods = slices.DeleteFunc(pods, func(p engine.Pod) bool { return !a.shown[p.Spec.Labels[project.LabelService]] })
	labels := labelsOf(pods)
	a.printer.add(labels)
	var names []string
	for _, p := range pods {
		names = append(names, labels[p.Spec.Name])
	}
	slices.Sort(names)
	if len(names) > 0 {
		a.aside(func() { fmt.Fprintf(a.o.s.con.out, "Attaching to %s\n", printable(strings.Join(names, ", "))) })
	}
}

// onStep begins to follow a container once it is started, with all that it wrote since.
func (a *attachment) onStep(e project.Event) {
	w := e.Step.Do.Words()
	if w.Verb != "start" {
		return
	}
	a.mu.Lock()
	if e.Kind == project.StepBegan {
		a.began[w.Name] = time.Now()
	}
	began := a.began[w.Name]
	a.mu.Unlock()
	if e.Kind != project.StepEnded || e.Err != nil {
		return
	}
	if p, err := a.engine.Pod(w.Name); err == nil && a.members[p.Spec.Labels[project.LabelService]] {
		a.follow(w.Name, p.Spec.Labels[project.LabelService], began)
	}
}

func (a *attachment) aside(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.display.aside(f)
}

// follow shows a container's output in the background, reports each of its ends, and goes on when somebody starts it again.
func (a *attachment) follow(pod, service string, since time.Time) {
	a.mu.Lock()
	again := a.followed[pod]
	a.followed[pod] = true
	a.mu.Unlock()
	if again {
		return
	}
	a.count(1)
	go func() {
		for {
			err := a.read(pod, service, since)
			since = time.Now()
			a.ended(pod, service, err)
			if a.engine.WaitPod(a.live, pod, engine.Running) != nil {
				return
			}
			a.count(1)
		}
	}()
}

// read shows a container's output until it has ended and will not restart.
func (a *attachment) read(pod, service string, since time.Time) error {
	opt := engine.LogOptions{Follow: true, Tail: -1, Since: since}
	if !a.shown[service] {
		opt.Tail = 0
	}
	err := a.engine.Logs(a.live, pod, opt, func(l engine.LogLine) error {
		if a.shown[service] {
			line := logLine{pod: pod, stderr: l.Stream == "stderr", time: time.Now(), text: bytes.Clone(l.Text)}
			a.aside(func() { a.printer.line(line) })
		}
		return nil
	})
	if errdefs.IsFailedPrecondition(err) { // it keeps no log
		return a.engine.WaitPod(a.live, pod, engine.Stopped)
	}
	return err
}

// ended reports the end of a container, once.
func (a *attachment) ended(pod, service string, err error) {
	end := ending{service: service}
	text := "has been removed"
	p, podErr := a.engine.Pod(pod)
	switch {
	case a.live.Err() != nil:
		return
	case err != nil && !errdefs.IsNotFound(err):
		text = "cannot be followed: " + err.Error()
	case podErr == nil && p.ExitKnown:
		end.code, text = p.ExitCode, fmt.Sprintf("exited with code %d", p.ExitCode)
	case podErr == nil:
		text = "exited, nobody knows how"
	}
	if a.shown[service] {
		a.aside(func() { a.printer.status(pod, text) })
	}
	select {
	case a.ends <- end:
	case <-a.live.Done():
	}
}
