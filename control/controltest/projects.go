package controltest

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

var projects = []behaviour{
	{"a project is brought up, and a second time nothing is done", converges},
	{"what has changed is made anew", changes},
	{"a plan and a dry run change nothing", planned},
	{"a dependency is waited for", ordered},
	{"data is lost only where it is agreed to", confirmed},
	{"a project is taken down, and a second time nothing is done", downed},
	{"a project is stopped, started and restarted by its name", rested},
	{"a project is paused and goes on", pausedAll},
	{"containers of a project are killed and removed", removedAll},
	{"a container beside the services is run", ranOnce},
	{"what the machine's end has stopped its start brings back", booted},
	{"a verb that its context ends leaves nothing locked", interrupted},
	{"an attached container loses no output", attachedUp},
}

// heard collects what is reported of a verb.
type heard struct{ steps, planned []string }

func (h *heard) watch() control.Watch {
	return control.Watch{Report: func(e project.Event) {
		switch e.Kind {
		case project.StepEnded:
			h.steps = append(h.steps, e.Step.Key.String())
		case project.Planned:
			h.planned = stepsOf(*e.Plan)
		}
	}}
}

func stepsOf(p project.Plan) (list []string) {
	for _, step := range p.Steps {
		list = append(list, step.Key.String())
	}
	return list
}

func converges(s *suite) {
	a := s.sleeper("a")
	a.Pod.Network.Endpoints = []api.Endpoint{{Network: "n"}}
	a.Pod.Container.Mounts = []api.Mount{{Type: api.MountVolume, Source: "v", Target: "/data"}}
	d := desired(a)
	d.Networks = []project.Network{{Key: "n", Spec: api.Network{Name: "n"}, Hash: "1"}}
	d.Volumes = []project.Volume{{Key: "v", Spec: api.Volume{Name: "v"}, Hash: "1"}}
	d.Networks[0].Spec.Labels = map[string]string{project.LabelProject: group, project.LabelNetwork: "n", project.LabelHash: "1"}
	d.Volumes[0].Spec.Labels = map[string]string{project.LabelProject: group, project.LabelVolume: "v", project.LabelHash: "1"}
	var h heard
	s.ok(s.Projects.Up(s.ctx, d, control.UpOptions{}, h.watch()))
	slices.Sort(h.steps)
	equal(s, "steps", strings.Join(h.steps, ", "), "create network n, create pod suite-a-1, create volume v, start pod suite-a-1")
	equal(s, "network", s.on("a"), "n")
	before := s.pod("a")
	h = heard{}
	s.ok(s.Projects.Up(s.ctx, d, control.UpOptions{}, h.watch()))
	equal(s, "steps", strings.Join(h.steps, ", "), "")
	equal(s, "pid", s.pod("a").Pid, before.Pid)
	s.ok(s.Projects.Down(s.ctx, d, project.DownOptions{Volumes: true}, h.watch()))
	equal(s, "networks and volumes", len(must(s.Networks.List(s.ctx, nil))(s))+len(must(s.Volumes.List(s.ctx, nil))(s)), 0)
}

func changes(s *suite) {
	s.up(s.sleeper("a"), s.sleeper("b"))
	a, b := s.pod("a"), s.pod("b")
	other := s.service("a", "echo other; while :; do sleep 0.1; done")
	other.Replicas = 2
	s.up(other, s.sleeper("b"))
	s.printed("a", "other")
	if s.pod("a").ID == a.ID {
		s.Error("the old container is there")
	}
	equal(s, "what has not changed", s.pod("b").ID, b.ID)
	equal(s, "containers", len(must(s.Containers.List(s.ctx, control.Selection{Group: group}))(s)), 3)
}

func planned(s *suite) {
	d := desired(s.sleeper("a"))
	for _, pin := range []bool{false, true} {
		plan := must(s.Projects.Plan(s.ctx, d, project.UpOptions{}, pin, control.Watch{}))(s)
		equal(s, "plan", strings.Join(stepsOf(plan), ", "), "create pod suite-a-1, start pod suite-a-1")
	}
	var h heard
	dry := h.watch()
	dry.DryRun = true
	s.ok(s.Projects.Up(s.ctx, d, control.UpOptions{}, dry))
	equal(s, "plan", strings.Join(h.planned, ", "), "create pod suite-a-1, start pod suite-a-1")
	s.ok(s.Projects.Up(s.ctx, d, control.UpOptions{}, control.Watch{DryRun: true}))
	equal(s, "containers", len(must(s.Containers.List(s.ctx, control.Selection{}))(s)), 0)
	s.up(s.sleeper("a"))
	s.ok(s.Projects.Down(s.ctx, d, project.DownOptions{}, dry))
	equal(s, "steps", len(h.steps), 0)
	s.status("a", api.StatusRunning)
}

func ordered(s *suite) {
	first, second := s.sleeper("first"), s.sleeper("second")
	first.Pod.Container.Health = &api.HealthCheck{Test: []string{"CMD", "test", "-e", "/tmp/well"}, Interval: 20 * time.Millisecond, Retries: 1000}
	first.Pod.Container.Command[2] = "touch /tmp/well; " + first.Pod.Container.Command[2]
	second.DependsOn = []project.Dependency{{Service: "first", Condition: api.Healthy, Required: true}}
	var h heard
	s.ok(s.Projects.Up(s.ctx, desired(first, second), control.UpOptions{}, h.watch()))
	well, started := -1, -1
	for i, step := range h.steps {
		switch {
		case strings.HasPrefix(step, "wait") && strings.Contains(step, "first"):
			well = i
		case step == "start pod suite-second-1":
			started = i
		}
	}
	if well < 0 || started < well {
		s.Errorf("steps %q", h.steps)
	}
}

func confirmed(s *suite) {
	with := func(hash string) project.Desired {
		a := s.sleeper("a")
		a.Pod.Container.Mounts = []api.Mount{{Type: api.MountVolume, Source: "v", Target: "/data"}}
		d := desired(a)
		labels := map[string]string{project.LabelProject: group, project.LabelVolume: "v", project.LabelHash: hash}
		d.Volumes = []project.Volume{{Key: "v", Spec: api.Volume{Name: "v", Labels: labels}, Hash: hash}}
		return d
	}
	s.ok(s.Projects.Up(s.ctx, with("1"), control.UpOptions{}, control.Watch{}))
	s.sh("a", "echo one > /data/x")
	var asked []string
	answer := func(yes bool) control.Watch {
		return control.Watch{Confirm: func(steps []project.Step) bool {
			for _, step := range steps {
				asked = append(asked, step.Key.String())
			}
			return yes
		}}
	}
	for _, w := range []control.Watch{{}, answer(false)} {
		s.ok(s.Projects.Up(s.ctx, with("2"), control.UpOptions{}, w))
		equal(s, "data", s.sh("a", "cat /data/x"), "one")
	}
	equal(s, "asked", strings.Join(asked, ", "), "remove volume v")
	s.ok(s.Projects.Up(s.ctx, with("2"), control.UpOptions{}, answer(true)))
	equal(s, "data", s.sh("a", "ls /data"), "")
}

func downed(s *suite) {
	s.up(s.sleeper("a"), s.sleeper("b"))
	only := project.Desired{Name: group}
	s.ok(s.Projects.Down(s.ctx, only, project.DownOptions{Services: []string{"b"}}, control.Watch{}))
	s.status("a", api.StatusRunning)
	for range 2 {
		s.ok(s.Projects.Down(s.ctx, only, project.DownOptions{RemoveOrphans: true}, control.Watch{}))
		equal(s, "containers", len(must(s.Containers.List(s.ctx, control.Selection{}))(s)), 0)
	}
}

func rested(s *suite) {
	s.up(s.sleeper("a"), s.sleeper("b"))
	only := project.Desired{Name: group}
	for range 2 {
		s.ok(s.Projects.Stop(s.ctx, only, project.StopOptions{Services: []string{"a"}}, control.Watch{}))
		s.status("a", api.StatusExited)
		s.status("b", api.StatusRunning)
	}
	before := s.pod("b")
	for range 2 {
		s.ok(s.Projects.Start(s.ctx, only, project.StartOptions{}, control.Watch{}))
		s.status("a", api.StatusRunning)
	}
	equal(s, "what ran", s.pod("b").Pid, before.Pid)
	since := time.Now()
	s.ok(s.Projects.Restart(s.ctx, only, project.RestartOptions{Services: []string{"b"}}, control.Watch{}))
	if after := s.pod("b"); after.Pid == before.Pid || after.Status != api.StatusRunning {
		s.Errorf("restarted as %d, %s", after.Pid, after.Status)
	}
	var last string
	s.ok(s.Streams.Events(s.ctx, api.EventOptions{Group: group, Since: since}, func(e api.Event) error {
		last = e.Action
		return nil
	}))
	equal(s, "last event", last, "restart")
}

func pausedAll(s *suite) {
	s.up(s.sleeper("a"), s.service("done", "exit 0"))
	must(s.Containers.Wait(s.ctx, nameOf("done"), api.Stopped))(s)
	only := project.Desired{Name: group}
	s.ok(s.Projects.Pause(s.ctx, only, project.PauseOptions{}, control.Watch{}))
	s.status("a", api.StatusPaused)
	s.is(s.Projects.Pause(s.ctx, only, project.PauseOptions{}, control.Watch{}), errdefs.IsConflict)
	s.ok(s.Projects.Unpause(s.ctx, only, project.PauseOptions{}, control.Watch{}))
	s.status("a", api.StatusRunning)
	s.is(s.Projects.Unpause(s.ctx, only, project.PauseOptions{}, control.Watch{}), errdefs.IsConflict)
}

func removedAll(s *suite) {
	s.up(s.sleeper("a"), s.sleeper("b"))
	only := project.Desired{Name: group}
	for range 2 { // nothing that runs is no error
		s.ok(s.Projects.Kill(s.ctx, only, project.KillOptions{Services: []string{"a"}}, control.Watch{}))
		p := must(s.Containers.Wait(s.ctx, nameOf("a"), api.Stopped))(s)
		equal(s, "exit code", p.ExitCode, 137)
	}
	s.ok(s.Projects.Remove(s.ctx, only, project.RemoveOptions{}, control.Watch{})) // nobody agrees
	s.status("a", api.StatusExited)
	asked := 0
	s.ok(s.Projects.Remove(s.ctx, only, project.RemoveOptions{}, control.Watch{Confirm: func(steps []project.Step) bool {
		asked = len(steps)
		return true
	}}))
	equal(s, "steps agreed to", asked, 1)
	s.is(failed(s.Containers.Get(s.ctx, nameOf("a"))), errdefs.IsNotFound)
	s.status("b", api.StatusRunning)
	for range 2 {
		s.ok(s.Projects.Remove(s.ctx, only, project.RemoveOptions{Stop: true, Force: true}, control.Watch{}))
	}
	s.is(failed(s.Containers.Get(s.ctx, nameOf("b"))), errdefs.IsNotFound)
}

func ranOnce(s *suite) {
	d := s.up(s.sleeper("a"))
	run := func(name string, command ...string) error {
		opt := control.UpOptions{UpOptions: project.UpOptions{Services: []string{"a"}, OneOff: &project.OneOff{Service: "a", Pod: name, Slug: name, Command: command}}}
		return s.Projects.Up(s.ctx, d, opt, control.Watch{})
	}
	s.ok(run("once", "sh", "-c", "exit 4"))
	p := must(s.Containers.Await(s.ctx, "once"))(s)
	equal(s, "exit code", p.ExitCode, 4)
	equal(s, "one-off", control.IsOneOff(p), true)
	equal(s, "replicas", len(must(s.Containers.List(s.ctx, control.Selection{Group: group}))(s)), 1)
	equal(s, "all", len(must(s.Containers.List(s.ctx, control.Selection{Group: group, OneOffs: true}))(s)), 2)
	if err := run("never", "none"); err == nil || fault.ExitOf(err) != fault.ExitNotFound {
		s.Errorf("a command that is not there: %v", err)
	}
}

func booted(s *suite) {
	again, once := s.sleeper("again"), s.sleeper("once")
	again.Pod.Container.Restart.Name = "always"
	s.up(again, once)
	s.ok(s.Projects.ShutDown(s.ctx, group, control.Watch{}))
	s.status("again", api.StatusExited)
	s.status("once", api.StatusExited)
	for range 2 {
		s.ok(s.Projects.Boot(s.ctx, group, project.BootOptions{}, control.Watch{}))
		s.status("again", api.StatusRunning)
		s.status("once", api.StatusExited)
	}
}

func interrupted(s *suite) {
	s.ok(s.Projects.Idle(s.ctx, group))
	sick := s.sleeper("a")
	sick.Pod.Container.Health = &api.HealthCheck{Test: []string{"CMD", "false"}, Interval: 20 * time.Millisecond, Retries: 100000}
	ctx, cancel := context.WithCancelCause(s.ctx)
	waits, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- s.Projects.Up(ctx, desired(sick), control.UpOptions{UpOptions: project.UpOptions{Wait: true}}, control.Watch{Report: func(e project.Event) {
			if e.Kind == project.StepBegan && e.Step.Key.Verb == "wait" {
				close(waits)
			}
		}})
	}()
	<-waits
	s.is(s.Projects.Idle(s.ending(), group), isEnough)
	s.is(s.Projects.Stop(s.ending(), project.Desired{Name: group}, project.StopOptions{}, control.Watch{}), isEnough)
	cancel(errEnough)
	s.is(<-ended, isEnough)
	s.ok(s.Projects.Idle(s.ctx, group))
	s.status("a", api.StatusRunning)
}

func attachedUp(s *suite) {
	a := s.service("a", "stty size; read x; echo got $x")
	a.Pod.Container.TTY, a.Pod.Container.StdinOpen = true, true
	s.ok(s.Projects.Up(s.ctx, desired(a), control.UpOptions{Attach: nameOf("a"), Width: 123, Height: 45}, control.Watch{}))
	stream := must(s.Streams.Attach(s.ctx, nameOf("a")))(s)
	defer stream.Close()
	must(stream.Write([]byte("this\n")))(s)
	var out strings.Builder
	s.ok(stream.Output(&out, &out))
	if !strings.Contains(out.String(), "45 123") || !strings.Contains(out.String(), "got this") {
		s.Errorf("output %q", out.String())
	}
}
