package controltest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

var containers = []behaviour{
	{"a container is found by its name, its id and the beginning of that", found},
	{"containers are listed by project, service, number, name and filter", listed},
	{"start and stop are idempotent", repeated},
	{"a container is restarted", restarted},
	{"a signal reaches a container, and one that rests gets none", killed},
	{"a paused container rests and goes on", paused},
	{"a container is removed when it does not run, or by force", removed},
	{"the end of a run is awaited", awaited},
	{"a wait ends when its condition holds, or never can", waited},
	{"only containers that rest are pruned", pruned},
	{"a running container has processes and uses something", measured},
}

func found(s *suite) {
	s.up(s.sleeper("a"))
	p := s.pod("a")
	for _, ref := range []string{p.Spec.Name, "/" + p.Spec.Name, p.ID, p.ID[:12]} {
		equal(s, ref, must(s.Containers.Get(s.ctx, ref))(s).ID, p.ID)
		equal(s, ref, must(s.Containers.Refresh(s.ctx, ref))(s).ID, p.ID)
		is := must(s.Containers.Inspect(s.ctx, ref, true))(s)
		equal(s, ref, is.ID, p.ID)
		if !is.State.Running || is.SizeRootFs == nil || is.SizeRw == nil {
			s.Errorf("%s: inspected as %+v", ref, is)
		}
	}
	size := must(s.Containers.Size(s.ctx, p.ID))(s)
	if size.All != size.Written+p.Image.Size || p.Image.Size == 0 {
		s.Errorf("size %+v of an image of %d bytes", size, p.Image.Size)
	}
}

func listed(s *suite) {
	a := s.sleeper("a")
	a.Replicas = 2
	s.up(a, s.service("done", "exit 3"))
	must(s.Containers.Wait(s.ctx, nameOf("done"), api.Stopped))(s)
	first, second, done := nameOf("a"), group+"-a-2", nameOf("done")
	for _, tt := range []struct {
		sel  control.Selection
		want []string
	}{
		{control.Selection{}, []string{first, second, done}},
		{control.Selection{Group: group}, []string{first, second, done}},
		{control.Selection{Group: "another"}, nil},
		{control.Selection{Group: group, Services: []string{"done"}}, []string{done}},
		{control.Selection{Names: []string{second, s.pod("a").ID}}, []string{second, first}},
		{control.Selection{Filters: control.Filters{"status": {"exited"}}}, []string{done}},
		{control.Selection{Filters: control.Filters{"exited": {"3"}}}, []string{done}},
		{control.Selection{Filters: control.Filters{"exited": {"0"}}}, nil},
		{control.Selection{Filters: control.Filters{"name": {"a-[12]$"}, "ancestor": {s.Image}}}, []string{first, second}},
		{control.Selection{Filters: control.Filters{"ancestor": {"localhost/none"}}}, nil},
	} {
		var got []string
		for _, p := range must(s.Containers.List(s.ctx, tt.sel))(s) {
			got = append(got, p.Spec.Name)
		}
		if !slices.Equal(got, tt.want) {
			s.Errorf("%+v: got %v, want %v", tt.sel, got, tt.want)
		}
	}
}

func repeated(s *suite) {
	s.up(s.sleeper("a"))
	s.printed("a", "up")
	name := nameOf("a")
	for range 2 {
		s.ok(s.Containers.Stop(s.ctx, name, control.StopOptions{}))
		p := s.pod("a")
		equal(s, "status", p.Status, api.StatusExited)
		equal(s, "exit code", p.ExitCode, 0)
	}
	s.ok(s.Containers.Start(s.ctx, name))
	pid := s.pod("a").Pid
	s.ok(s.Containers.Start(s.ctx, name))
	equal(s, "pid", s.pod("a").Pid, pid)
	s.ok(s.Containers.Stop(s.ctx, name, control.StopOptions{Signal: "SIGKILL"}))
	equal(s, "exit code", s.pod("a").ExitCode, 137)
	s.ok(s.Containers.Start(s.ctx, name))
	s.ok(s.Containers.Stop(s.ctx, name, control.StopOptions{ForEnd: true}))
	s.status("a", api.StatusExited)
}

func restarted(s *suite) {
	s.up(s.sleeper("a"))
	before := s.pod("a")
	for range 2 { // one that runs, and one that does not
		var at time.Duration
		s.ok(s.Containers.Restart(s.ctx, nameOf("a"), control.StopOptions{Timeout: &at}))
		after := s.pod("a")
		equal(s, "status", after.Status, api.StatusRunning)
		equal(s, "id", after.ID, before.ID)
		if after.Pid == before.Pid {
			s.Error("it runs as before")
		}
		before = after
		s.ok(s.Containers.Stop(s.ctx, nameOf("a"), control.StopOptions{Timeout: &at}))
	}
}

func killed(s *suite) {
	s.up(s.service("a", "trap 'exit 7' USR1; echo up; while :; do sleep 0.1; done"))
	s.printed("a", "up")
	s.ok(s.Containers.Kill(s.ctx, nameOf("a"), "USR1"))
	p := must(s.Containers.Wait(s.ctx, nameOf("a"), api.Stopped))(s)
	equal(s, "exit code", p.ExitCode, 7)
	s.is(s.Containers.Kill(s.ctx, nameOf("a"), ""), errdefs.IsFailedPrecondition)
}

func paused(s *suite) {
	s.up(s.sleeper("a"))
	name := nameOf("a")
	s.is(s.Containers.Unpause(s.ctx, name), errdefs.IsConflict)
	s.ok(s.Containers.Pause(s.ctx, name))
	s.status("a", api.StatusPaused)
	s.is(s.Containers.Pause(s.ctx, name), errdefs.IsConflict)
	s.is(s.execs(name, api.ExecOptions{Args: []string{"true"}}), errdefs.IsConflict)
	s.ok(s.Containers.Unpause(s.ctx, name))
	s.status("a", api.StatusRunning)
	s.ok(s.Containers.Stop(s.ctx, name, control.StopOptions{}))
	s.is(s.Containers.Pause(s.ctx, name), errdefs.IsFailedPrecondition)
}

func removed(s *suite) {
	a := s.sleeper("a")
	a.Pod.Container.Mounts = []api.Mount{{Type: api.MountVolume, Target: "/data"}}
	s.up(a)
	name := nameOf("a")
	s.is(s.Containers.Remove(s.ctx, name, api.RemoveOptions{}), errdefs.IsFailedPrecondition)
	s.status("a", api.StatusRunning)
	s.ok(s.Containers.Remove(s.ctx, name, api.RemoveOptions{Force: true}))
	s.is(failed(s.Containers.Get(s.ctx, name)), errdefs.IsNotFound)
	equal(s, "volumes that stay", len(must(s.Volumes.List(s.ctx, nil))(s)), 1)
	s.up(a)
	s.ok(s.Containers.Remove(s.ctx, name, api.RemoveOptions{Force: true, Volumes: true}))
	equal(s, "volumes that stay", len(must(s.Volumes.List(s.ctx, nil))(s)), 1)
}

func awaited(s *suite) {
	s.up(s.sleeper("a"))
	ended := make(chan error, 1)
	go func() {
		p, err := s.Containers.Await(s.ctx, nameOf("a"))
		if err == nil && (p.Status != api.StatusExited || p.ExitCode != 137) {
			err = errors.New("it is " + string(p.Status))
		}
		ended <- err
	}()
	s.ok(s.Containers.Kill(s.ctx, nameOf("a"), ""))
	s.ok(<-ended)
	p := must(s.Containers.Await(s.ctx, nameOf("a")))(s) // of one that has ended already
	equal(s, "exit code", p.ExitCode, 137)
}

func waited(s *suite) {
	well := s.sleeper("well")
	well.Pod.Container.Health = &api.HealthCheck{Test: []string{"CMD", "true"}, Interval: 50 * time.Millisecond}
	s.up(well, s.service("done", "exit 0"), s.service("bad", "exit 1"))
	for service, until := range map[string]api.Condition{"well": api.Healthy, "done": api.Completed, "bad": api.Stopped} {
		equal(s, service, must(s.Containers.Wait(s.ctx, nameOf(service), until))(s).Spec.Name, nameOf(service))
	}
	for service, until := range map[string]api.Condition{"bad": api.Completed, "done": api.Healthy} {
		var never *api.WaitError
		if _, err := s.Containers.Wait(s.ctx, nameOf(service), until); !errors.As(err, &never) || never.Until != until {
			s.Errorf("%s until %s: %v", service, until, err)
		}
	}
}

func pruned(s *suite) {
	rests := s.service("rests", "exit 0")
	rests.Pod.Labels["keep"] = "no"
	s.up(s.sleeper("runs"), rests)
	id := must(s.Containers.Wait(s.ctx, nameOf("rests"), api.Stopped))(s).ID
	for _, f := range []control.Filters{{"label": {"keep=yes"}}, {"until": {"1h"}}} {
		equal(s, "removed", len(must(s.Containers.Prune(s.ctx, f))(s).Names), 0)
	}
	gone := must(s.Containers.Prune(s.ctx, control.Filters{"label": {"keep=no"}}))(s)
	equal(s, "removed", strings.Join(gone.Names, " "), id)
	s.status("runs", api.StatusRunning)
}

func measured(s *suite) {
	s.up(s.sleeper("a"))
	p := s.pod("a")
	list := must(s.Containers.Processes(s.ctx, nameOf("a")))(s)
	if len(list) == 0 || list[0].Pid != p.Pid {
		s.Errorf("processes %+v of %d", list, p.Pid)
	}
	if u := must(s.Containers.Usage(s.ctx, nameOf("a")))(s); u.Memory == 0 || u.Pids == 0 {
		s.Errorf("usage %+v", u)
	}
	s.ok(s.Containers.Stop(s.ctx, nameOf("a"), control.StopOptions{}))
	s.is(failed(s.Containers.Processes(s.ctx, nameOf("a"))), errdefs.IsFailedPrecondition)
	s.is(failed(s.Containers.Usage(s.ctx, nameOf("a"))), errdefs.IsFailedPrecondition)
}
