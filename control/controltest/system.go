package controltest

import (
	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

var system = []behaviour{
	{"podc tells of itself and of its machine", describes},
	{"the machine goes down and comes back", endsAndBegins},
	{"what is broken is found and mended", mends},
}

func describes(s *suite) {
	before := must(s.System.Info(s.ctx))(s)
	s.up(s.sleeper("a"), s.service("done", "exit 0"))
	must(s.Containers.Wait(s.ctx, nameOf("done"), api.Stopped))(s)
	after := must(s.System.Info(s.ctx))(s)
	equal(s, "root", after.Root, before.Root)
	equal(s, "containers", after.Pods-before.Pods, 2)
	equal(s, "that run", after.Running-before.Running, 1)
	if len(s.System.Examine(s.ctx)) == 0 {
		s.Error("nothing was looked at")
	}
}

// endsAndBegins is what happens around a start of the machine.
func endsAndBegins(s *suite) {
	equal(s, "ending", s.System.Ending() || s.System.Stops(), false)
	again := s.sleeper("again")
	again.Pod.Container.Restart.Name = "always"
	s.up(again)
	s.ok(s.System.EndRun())
	equal(s, "ending", s.System.Ending(), true)
	equal(s, "init says so", s.System.Stops(), false)
	for range 2 {
		s.ok(s.System.AwaitEnd(s.ctx))
		s.status("again", api.StatusExited)
	}
	s.ok(s.System.BeginRun(s.ctx))
	equal(s, "ending", s.System.Ending(), false)
	s.ok(s.Projects.Boot(s.ctx, group, project.BootOptions{}, control.Watch{}))
	s.status("again", api.StatusRunning)
}

func mends(s *suite) {
	s.up(s.sleeper("a"))
	before := s.pod("a")
	problems, mended, err := s.System.Check(s.ctx, true) // of what runs nothing is broken
	s.ok(err)
	equal(s, "problems", len(problems)+len(mended), 0)
	equal(s, "pid", s.pod("a").Pid, before.Pid)
}
