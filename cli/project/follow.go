package project

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

// onPlan says whose output will be shown, and begins with the containers that run already and go on running.
func (a *attachment) onPlan(plan project.Plan) {
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
	present, _ := a.podc.Containers.List(a.live, control.Selection{Group: a.project}) // what cannot be read is not shown
	for _, p := range present {
		created := slices.ContainsFunc(pods, func(q api.Pod) bool { return q.Spec.Name == p.Spec.Name })
		if !created && a.members[p.Spec.Labels[project.LabelService]] {
			pods = append(pods, p)
		}
	}
	a.announce(pods)
	if len(a.members) == 0 { // whoever is there is nobody's here
		return
	}
	var later []string
	for _, p := range present {
		if !p.Status.Up() || touched[p.Spec.Name] {
			later = append(later, p.Spec.Name)
		}
	}
	a.follow(later)
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

func (a *attachment) aside(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.display.Aside(f)
}

// follow has shown what the containers say from now on, and those named in later from their next start on. It returns once it is known
// who they are.
func (a *attachment) follow(later []string) {
	opt := control.LogOptions{Follow: true, Live: true, Tail: -1, Since: time.Now(), Later: later}
	for name := range a.members {
		if !a.shown[name] {
			opt.Mute = append(opt.Mute, name)
		}
		if a.counts(name) {
			opt.For = append(opt.For, name)
		}
	}
	sel := control.Selection{Group: a.project, Services: slices.Collect(maps.Keys(a.members))}
	begun := make(chan struct{})
	know := sync.OnceFunc(func() { close(begun) })
	a.following = true
	go func() {
		a.followed <- a.podc.Streams.Logs(a.live, sel, opt, control.LogOutput{
			Met: func(pods []api.Pod) {
				a.meet(pods)
				know()
			},
			Lines: a.lines, Ended: a.ended,
			Warn: func(text string) { a.aside(func() { show.Warn(a.o.S.Con, text) }) },
		})
		know()
	}()
	<-begun
}

// meet makes containers known whose lines may follow.
func (a *attachment) meet(pods []api.Pod) {
	for _, p := range pods {
		name := p.Spec.Name
		known := a.ids[name]
		a.ids[name] = p.ID
		if !a.shown[p.Spec.Labels[project.LabelService]] {
			continue
		}
		a.printer.Add(show.LabelsOf([]api.Pod{p}))
		if known != "" && known != p.ID {
			a.aside(func() { a.printer.Status(name, "has been recreated") })
		}
	}
}

// lines shows what containers write, with the time at which it is shown.
func (a *attachment) lines(lines []control.Line) {
	for i := range lines {
		lines[i].Time = time.Now()
	}
	a.aside(func() { a.printer.Lines(lines) })
}

// ended shows the end of a run, and has it heeded if it counts.
func (a *attachment) ended(e control.End) {
	service := e.Pod.Spec.Labels[project.LabelService]
	text := "exited, nobody knows how"
	switch {
	case e.Replaced && e.Pod.ID != a.ids[e.Pod.Spec.Name]:
		text = ""
	case e.Replaced: // how it ended is forgotten
		text = "has been restarted"
	case e.Pod.ExitKnown:
		text = fmt.Sprintf("exited with code %d", e.Pod.ExitCode)
	case e.Pod.Status == api.StatusRemoving:
		text = "has been removed"
	}
	if e.Restarts {
		text += " (restarting)"
	}
	if a.shown[service] && text != "" {
		a.aside(func() { a.printer.Status(e.Pod.Spec.Name, text) })
	}
	if a.counts(service) && !e.Replaced {
		a.mu.Lock()
		a.seen = append(a.seen, e)
		a.mu.Unlock()
		select {
		case a.more <- struct{}{}:
		default: // there is one to heed already
		}
	}
}

// resumed waits until no other command is at work on the project, which may be about to start what it has stopped, and reports
// whether the container runs then.
func (a *attachment) resumed(ctx context.Context, pod string) bool {
	if a.podc.Projects.Idle(ctx, a.project) != nil {
		return false
	}
	p, err := a.podc.Containers.Get(ctx, pod)
	return err == nil && p.Status.Up()
}
