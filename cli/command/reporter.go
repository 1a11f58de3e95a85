package command

import (
	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

// Reporter turns what package project reports into progress.
type Reporter struct {
	show.Progress
	Explain bool // say why each step is taken
	// QuietPull and QuietBuild show of images only that their preparation begins and ends.
	QuietPull, QuietBuild bool
	// Planned, if not nil, hears of the plan before it is run, and stepped of the steps that begin and end.
	Planned func(project.Plan)
	Stepped func(project.Event)
	skipped map[string]bool // what was said to be skipped
	// restart says that what stops and starts again is restarted by somebody's wish; replaced are the pods that the plan makes anew.
	restart  bool
	replaced map[string]bool
	// pod, if not nil, tells what has become of a container.
	pod func(name string) (api.Pod, error)
	// dry, if not nil, gets the plan of a dry run, in which no step counts.
	dry func(project.Plan)
}

func (r *Reporter) Report(e project.Event) {
	if r.Stepped != nil && e.Step != nil {
		r.Stepped(e)
	}
	if e.Kind == project.Planned && r.dry == nil {
		r.begin(*e.Plan)
	}
	switch {
	case e.Kind == project.Planned && r.dry != nil:
		r.dry(*e.Plan)
	case e.Kind == project.Planned && r.Planned != nil:
		r.Planned(*e.Plan)
	case e.Step != nil && r.dry == nil:
		r.step(e)
	case e.Image != "" && !(e.Kind == project.PrepareMoved && r.quiet(e.How)):
		r.Show(imageEvent(e))
	}
	switch e.Kind {
	case project.LockAwaited:
		r.Say(e.Text)
	case project.Warned:
		r.Say("warning: " + e.Text)
	}
}

func (r *Reporter) quiet(how project.Preparation) bool {
	if how == project.ByBuild {
		return r.QuietBuild
	}
	return r.QuietPull
}

// begin looks at what steps of a plan are one act to docker, and shows what is so already.
func (r *Reporter) begin(p project.Plan) {
	removed := map[string]bool{}
	r.replaced = map[string]bool{}
	for _, s := range p.Steps {
		switch do := s.Do.(type) {
		case project.RemovePod:
			removed[do.Name] = true
		case project.CreatePod:
			r.replaced[do.Spec.Name] = removed[do.Spec.Name]
		}
	}
	for _, name := range p.Stopped {
		do := project.StopPod{Name: name}
		stop := project.Step{Key: do.Key(), Do: do}
		r.Show(stepEvent(stop, show.Working, begun["stop"], ""))
		r.Show(stepEvent(stop, show.Done, ended["stop"], ""))
	}
}

// partOf is what a step is a part of: its first word, and the word for its end, "" if the act goes on after the step. Not ok: of
// nothing but itself.
func (r *Reporter) partOf(w project.Key) (begun, ended string, ok bool) {
	switch {
	case w.Kind != "pod":
	case r.replaced[w.Name] && w.Verb == "create":
		return "Recreate", "Recreated", true
	case r.replaced[w.Name] && (w.Verb == "stop" || w.Verb == "remove"):
		return "Recreate", "", true
	case r.restart && w.Verb == "stop":
		return "Restarting", "", true
	case r.restart && w.Verb == "start":
		return "Restarting", "Started", true
	}
	return "", "", false
}

// step shows the beginning or the end of a step.
func (r *Reporter) step(e project.Event) {
	switch e.Kind {
	case project.StepBegan:
		text := begun[verbOf(e)]
		if whole, _, ok := r.partOf(e.Step.Key); ok {
			text = whole
		}
		r.Show(stepEvent(*e.Step, show.Working, text, r.why(*e.Step)))
	case project.StepSkipped:
		r.skip(stepEvent(*e.Step, show.Warning, "Skipped", e.Text))
	case project.StepEnded:
		if e.Err != nil {
			r.Show(stepEvent(*e.Step, show.Failed, "Error", show.OneLine(e.Err.Error())))
			return
		}
		text := r.endText(*e.Step)
		if _, whole, ok := r.partOf(e.Step.Key); ok {
			text = whole
		}
		if text != "" {
			r.Show(stepEvent(*e.Step, show.Done, text, r.why(*e.Step)))
		}
	case project.Warned:
		r.Show(stepEvent(*e.Step, show.Warning, "Error", show.OneLine(e.Err.Error())))
	}
}

// skip says that something is skipped, with the first reason: the further steps of a container follow from it.
func (r *Reporter) skip(e show.Event) {
	if r.skipped[e.ID] {
		return
	}
	if r.skipped == nil {
		r.skipped = map[string]bool{}
	}
	r.skipped[e.ID] = true
	r.Show(e)
}

func (r *Reporter) why(s project.Step) string {
	if !r.Explain || s.Why.Kind == "" {
		return ""
	}
	return "(" + s.Why.String() + ")"
}

// The words of docker for what is done.
var (
	begun = map[string]string{"create": "Creating", "start": "Starting", "stop": "Stopping", "remove": "Removing", "kill": "Killing",
		"wait": "Waiting", "restore": "Restoring", "pause": "Pausing", "unpause": "Unpausing",
		"connect": "Connecting", "disconnect": "Disconnecting", "keep": "Keeping", "pull": "Pulling", "push": "Pushing", "build": "Building"}
	ended = map[string]string{"create": "Created", "start": "Started", "stop": "Stopped", "remove": "Removed", "kill": "Killed", "restore": "Restored",
		"pause": "Paused", "unpause": "Unpaused", "connect": "Connected", "disconnect": "Disconnected", "keep": "Kept", "pull": "Pulled", "push": "Pushed", "build": "Built"}
	kinds = map[string]string{"pod": "Container", "files of": "Files of", "addresses of": "Addresses of", "network": "Network", "volume": "Volume"}
)

func verbOf(e project.Event) string { return e.Step.Key.Verb }

// endText is endText of the package, except that what has ended well is not said to be healthy.
func (r *Reporter) endText(s project.Step) string {
	w := s.Key
	if api.Condition(w.Until) == api.Ready && r.pod != nil {
		if p, err := r.pod(w.Name); err != nil || !p.Status.Up() {
			return "Exited"
		}
	}
	return endText(s)
}

func endText(s project.Step) string {
	w := s.Key
	if w.Verb != "wait" {
		return ended[w.Verb]
	}
	switch api.Condition(w.Until) {
	case api.Healthy, api.Ready:
		return "Healthy"
	case api.Completed, api.Stopped:
		return "Exited"
	}
	return "Running"
}

func stepEvent(s project.Step, status, text, details string) show.Event {
	w := s.Key
	return show.Event{Progress: api.Progress{ID: kinds[w.Kind] + " " + w.Name, Status: status, Text: text, Details: details}}
}

// imageEvent describes the state of an image, or of a layer of it.
func imageEvent(e project.Event) show.Event {
	id := "Image " + e.Image
	if e.Kind == project.PrepareMoved && e.Progress.ParentID != "" {
		layer := e.Progress
		layer.ParentID = id
		return show.Event{Progress: layer}
	}
	ev := api.Progress{ID: id, Status: show.Working, Text: begun[string(e.How)], Details: e.Progress.Details}
	switch {
	case e.Kind == project.RemovalBegan:
		ev.Text = "Removing"
	case e.Kind == project.RemovalEnded && errdefs.IsFailedPrecondition(e.Err):
		ev.Status, ev.Text = show.Warning, "Resource is still in use"
	case e.Err != nil:
		ev.Status, ev.Text, ev.Details = show.Failed, "Error", show.OneLine(e.Err.Error())
	case e.Kind == project.RemovalEnded:
		ev.Status, ev.Text = show.Done, "Removed"
	case e.Kind == project.PrepareEnded:
		ev.Status, ev.Text = show.Done, ended[string(e.How)]
	}
	return show.Event{Progress: ev}
}

// ShowPlan renders a plan that will not be carried out, each step with its reason.
func ShowPlan(p show.Progress, plan project.Plan) {
	for _, i := range plan.Prepare {
		p.Show(show.Event{DryRun: true, Progress: api.Progress{ID: "Image " + i.Ref, Status: show.Done, Text: ended[string(i.How)], Details: "(" + i.Why.String() + ")"}})
	}
	for _, s := range plan.Steps {
		e := stepEvent(s, show.Done, endText(s), "("+s.Why.String()+")")
		e.DryRun = true
		p.Show(e)
	}
	if plan.Empty() {
		p.Say(" DRY-RUN MODE - nothing to do")
	}
}

// ShowUnchanged mentions the containers that a plan leaves as they are: up leaves alone only what runs.
func ShowUnchanged(p show.Progress, d *project.Desired, opt project.UpOptions, plan project.Plan) {
	if opt.NoStart {
		return
	}
	touched := map[string]bool{}
	for _, s := range plan.Steps {
		touched[s.Key.Name] = true
	}
	for _, svc := range d.Services {
		n, scaled := opt.Scale[svc.Name]
		if !scaled {
			n = svc.Replicas
		}
		for i := range n {
			name := project.Replica(svc, i+1, api.Image{}).Name
			if !touched[name] {
				p.Show(show.Event{Progress: api.Progress{ID: "Container " + name, Status: show.Done, Text: "Running"}})
			}
		}
	}
}
