package controltest

import (
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

var refusals = []behaviour{
	{"what is not there is not found", missing},
	{"what is asked for wrongly is refused", wrong},
	{"a wish that cannot be is refused before anything is made", impossible},
	{"what a context ended has its cause", cancelled},
}

// call is a method with what it is asked.
type call map[string]func() error

// each calls all methods, and fails unless each error is of a class.
func (s *suite) each(calls call, class func(error) bool) {
	for name, do := range calls {
		if err := do(); !class(err) {
			s.Errorf("%s: got error %v, of another class", name, err)
		}
	}
}

// failed drops what a method returned beside its error.
func failed[T any](_ T, err error) error { return err }

func missing(s *suite) {
	const none = "suite-none"
	ctx := s.ctx
	put := func(control.FileStat) (string, io.Reader, error) { return "/", strings.NewReader(""), nil }
	get := func(control.FileStat) (io.Writer, string, error) { return io.Discard, "", nil }
	s.each(call{
		"containers list":      func() error { return failed(s.Containers.List(ctx, control.Selection{Names: []string{none}})) },
		"containers get":       func() error { return failed(s.Containers.Get(ctx, none)) },
		"containers refresh":   func() error { return failed(s.Containers.Refresh(ctx, none)) },
		"containers inspect":   func() error { return failed(s.Containers.Inspect(ctx, none, true)) },
		"containers size":      func() error { return failed(s.Containers.Size(ctx, none)) },
		"containers start":     func() error { return s.Containers.Start(ctx, none) },
		"containers stop":      func() error { return s.Containers.Stop(ctx, none, control.StopOptions{}) },
		"containers shut down": func() error { return s.Containers.Stop(ctx, none, control.StopOptions{ForEnd: true}) },
		"containers restart":   func() error { return s.Containers.Restart(ctx, none, control.StopOptions{}) },
		"containers kill":      func() error { return s.Containers.Kill(ctx, none, "") },
		"containers pause":     func() error { return s.Containers.Pause(ctx, none) },
		"containers unpause":   func() error { return s.Containers.Unpause(ctx, none) },
		"containers remove":    func() error { return s.Containers.Remove(ctx, none, api.RemoveOptions{}) },
		"containers await":     func() error { return failed(s.Containers.Await(ctx, none)) },
		"containers wait":      func() error { return failed(s.Containers.Wait(ctx, none, api.Stopped)) },
		"containers processes": func() error { return failed(s.Containers.Processes(ctx, none)) },
		"containers usage":     func() error { return failed(s.Containers.Usage(ctx, none)) },
		"streams logs": func() error {
			return s.Streams.Logs(ctx, control.Selection{Names: []string{none}}, control.LogOptions{}, control.LogOutput{})
		},
		"streams exec": func() error {
			return failed(s.Streams.Exec(ctx, none, api.ExecOptions{Args: []string{"true"}}, control.ExecStreams{}))
		},
		"streams attach":      func() error { return failed(s.Streams.Attach(ctx, none)) },
		"files get":           func() error { return s.Files.Get(ctx, none, "/", false, get) },
		"files put":           func() error { return s.Files.Put(ctx, none, "/", false, put) },
		"files export":        func() error { return s.Files.Export(ctx, none, io.Discard) },
		"files commit":        func() error { return failed(s.Files.Commit(ctx, none, control.CommitOptions{}, nil)) },
		"networks get":        func() error { return failed(s.Networks.Get(ctx, none)) },
		"networks inspect":    func() error { return failed(s.Networks.Inspect(ctx, none)) },
		"networks remove":     func() error { return s.Networks.Remove(ctx, none) },
		"networks connect":    func() error { return s.Networks.Connect(ctx, none, none, api.Endpoint{}) },
		"networks disconnect": func() error { return s.Networks.Disconnect(ctx, none, none, true) },
		"images inspect":      func() error { return failed(s.Images.Inspect(ctx, none)) },
		"images tag":          func() error { return s.Images.Tag(ctx, none, "localhost/suite:none") },
		"images remove":       func() error { return failed(s.Images.Remove(ctx, []string{none}, false)) },
		"volumes inspect":     func() error { return failed(s.Volumes.Inspect(ctx, none)) },
		"volumes remove":      func() error { return s.Volumes.Remove(ctx, none) },
		"secrets get":         func() error { return failed(s.Secrets.Get(ctx, none)) },
		"secrets remove":      func() error { return s.Secrets.Remove(ctx, none) },
		"configs get":         func() error { return failed(s.Configs.Get(ctx, none)) },
		"configs remove":      func() error { return s.Configs.Remove(ctx, none) },
	}, errdefs.IsNotFound)
	if b, ok := s.Streams.(control.Becomer); ok {
		s.is(b.Become(ctx, none, api.ExecOptions{Args: []string{"true"}}), errdefs.IsNotFound)
	}
}

func wrong(s *suite) {
	ctx := s.ctx
	a := s.sleeper("a")
	a.Pod.Container.PreStop = []api.Hook{{Command: []string{"touch", "/tmp/stopping"}}}
	d := s.up(a)
	before := s.pod("a")
	name := before.Spec.Name
	odd := control.Filters{"odd": {"x"}}
	list := func(f control.Filters) error {
		return failed(s.Containers.List(ctx, control.Selection{Filters: f}))
	}
	s.each(call{
		"containers list, key":     func() error { return list(odd) },
		"containers list, status":  func() error { return list(control.Filters{"status": {"odd"}}) },
		"containers list, name":    func() error { return list(control.Filters{"name": {"("}}) },
		"containers list, exited":  func() error { return list(control.Filters{"exited": {"x"}}) },
		"containers list, publish": func() error { return list(control.Filters{"publish": {"x"}}) },
		"containers stop":          func() error { return s.Containers.Stop(ctx, name, control.StopOptions{Signal: "ODD"}) },
		"containers restart":       func() error { return s.Containers.Restart(ctx, name, control.StopOptions{Signal: "ODD"}) },
		"containers kill":          func() error { return s.Containers.Kill(ctx, name, "ODD") },
		"containers wait":          func() error { return failed(s.Containers.Wait(ctx, name, "odd")) },
		"containers prune, key":    func() error { return failed(s.Containers.Prune(ctx, odd)) },
		"containers prune, until":  func() error { return failed(s.Containers.Prune(ctx, control.Filters{"until": {"odd"}})) },
		"streams exec, no command": func() error { return failed(s.Streams.Exec(ctx, name, api.ExecOptions{}, control.ExecStreams{})) },
		"files commit, instruction": func() error {
			return failed(s.Files.Commit(ctx, name, control.CommitOptions{DryRun: true, Changes: []string{"ODD x"}}, nil))
		},
		"projects kill": func() error { return s.Projects.Kill(ctx, d, project.KillOptions{Signal: "ODD"}, control.Watch{}) },
	}, errdefs.IsInvalidArgument)
	s.each(s.wrongThings(), errdefs.IsInvalidArgument)
	after := s.pod("a")
	equal(s, "status", after.Status, api.StatusRunning)
	equal(s, "pid", after.Pid, before.Pid)
	equal(s, "files", s.sh("a", "ls /tmp"), "")
	if list := must(s.Volumes.List(ctx, nil))(s); len(list) > 0 {
		s.Errorf("a volume was made: %v", list)
	}
}

// wrongThings asks for things other than containers, wrongly.
func (s *suite) wrongThings() call {
	ctx := s.ctx
	odd := control.Filters{"odd": {"x"}}
	return call{
		"networks list, key":      func() error { return failed(s.Networks.List(ctx, odd)) },
		"networks list, type":     func() error { return failed(s.Networks.List(ctx, control.Filters{"type": {"odd"}})) },
		"networks list, dangling": func() error { return failed(s.Networks.List(ctx, control.Filters{"dangling": {"odd"}})) },
		"networks prune, key":     func() error { return failed(s.Networks.Prune(ctx, odd)) },
		"networks prune, until":   func() error { return failed(s.Networks.Prune(ctx, control.Filters{"until": {"odd"}})) },
		"networks create, name": func() error {
			return failed(s.Networks.Create(ctx, control.NewNetwork{Network: api.Network{Name: "no/name"}}))
		},
		"networks create, driver": func() error {
			return failed(s.Networks.Create(ctx, control.NewNetwork{Network: api.Network{Name: "odd", Driver: "no/driver"}}))
		},
		"images list, key":      func() error { return failed(s.Images.List(ctx, odd)) },
		"images list, dangling": func() error { return failed(s.Images.List(ctx, control.Filters{"dangling": {"odd"}})) },
		"images prune, until":   func() error { return failed(s.Images.Prune(ctx, control.Filters{"until": {"odd"}}, true)) },
		"images tag, name":      func() error { return s.Images.Tag(ctx, s.Image, "No Name") },
		"images pull, name":     func() error { return failed(s.Images.Pull(ctx, "No Name", control.ImageWatch{})) },
		"volumes list, key":     func() error { return failed(s.Volumes.List(ctx, odd)) },
		"volumes list, name":    func() error { return failed(s.Volumes.List(ctx, control.Filters{"name": {"("}})) },
		"volumes prune, key":    func() error { return failed(s.Volumes.Prune(ctx, odd, true)) },
		"volumes create":        func() error { return failed(s.Volumes.Create(ctx, api.Volume{Name: "no/name"})) },
		"secrets create, name":  func() error { return failed(s.Secrets.Create(ctx, api.Object{Name: "no/name", Data: []byte("x")})) },
		"configs create, empty": func() error { return failed(s.Configs.Create(ctx, api.Object{Name: "empty"})) },
		"configs create, size": func() error {
			return failed(s.Configs.Create(ctx, api.Object{Name: "large", Data: make([]byte, s.Configs.Limit()+1)}))
		},
	}
}

// impossible wishes leave nothing.
func impossible(s *suite) {
	up := func(change func(*project.Desired)) func() error {
		return func() error {
			d := desired(s.sleeper("good"), s.sleeper("bad"))
			change(&d)
			return s.Projects.Up(s.ctx, d, control.UpOptions{}, control.Watch{})
		}
	}
	s.each(call{
		"image": up(func(d *project.Desired) { d.Services[1].Pod.Container.Image = "localhost/none:none" }),
		"network": up(func(d *project.Desired) {
			d.Networks = []project.Network{{Key: "n", Spec: api.Network{Name: "none"}, External: true}}
		}),
		"volume": up(func(d *project.Desired) {
			d.Volumes = []project.Volume{{Key: "v", Spec: api.Volume{Name: "none"}, External: true}}
		}),
		"service": func() error {
			opt := control.UpOptions{UpOptions: project.UpOptions{Services: []string{"none"}}}
			return s.Projects.Up(s.ctx, desired(s.sleeper("good")), opt, control.Watch{})
		},
	}, errdefs.IsNotFound)
	if pods := must(s.Containers.List(s.ctx, control.Selection{}))(s); len(pods) > 0 {
		s.Errorf("%s was made", pods[0].Spec.Name)
	}
}

// cancelled calls whatever waits with a context that ends.
func cancelled(s *suite) {
	s.up(s.sleeper("a"))
	name := nameOf("a")
	since := time.Now().Add(-time.Hour)
	s.each(call{
		"await": func() error { return failed(s.Containers.Await(s.ending(), name)) },
		"wait":  func() error { return failed(s.Containers.Wait(s.ending(), name, api.Stopped)) },
		"logs": func() error {
			opt := control.LogOptions{Follow: true, Tail: -1}
			return s.Streams.Logs(s.ending(), control.Selection{Group: group}, opt, control.LogOutput{})
		},
		"logs of one": func() error {
			opt := control.LogOptions{Follow: true, Tail: -1}
			return s.Streams.Logs(s.ending(), control.Selection{Names: []string{name}}, opt, control.LogOutput{})
		},
		"events": func() error {
			opt := api.EventOptions{Group: group, Follow: true, Since: since}
			return s.Streams.Events(s.ending(), opt, func(api.Event) error { return nil })
		},
	}, isEnough)
}
