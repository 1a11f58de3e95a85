package controltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

var streams = []behaviour{
	{"logs are of what is selected, in order", logged},
	{"logs are followed until nothing runs", followed},
	{"one container is followed to its end", followedOne},
	{"ends are told after the last words, those that a restart follows too", ends},
	{"of some only what begins later, only the ends, or no longer than others is followed", followedInPart},
	{"a container that keeps no log is left out", unlogged},
	{"a command has its streams, and an exit code", executed},
	{"a command that cannot be run has an exit code of its own", unexecutable},
	{"a command is left alone", detached},
	{"signals reach a command", signalled},
	{"a command is let go of when its context ends", abandoned},
	{"whoever attaches has the streams of a container", attached},
	{"a container without a log is heard from its start on", held},
	{"a container without a log is listened to while it runs", listened},
	{"events tell what befell", told},
}

// lines collects what Logs passes on, as "container: text".
type lines struct {
	met, got, warned []string
	more             func()
}

func (l *lines) output() control.LogOutput {
	return control.LogOutput{
		Met: func(pods []api.Pod) {
			for _, p := range pods {
				l.met = append(l.met, p.Spec.Name)
			}
		},
		Lines: func(list []control.Line) {
			for _, is := range list {
				l.got = append(l.got, strings.TrimPrefix(is.Pod, group+"-")+": "+string(is.Text))
			}
			if l.more != nil {
				l.more()
			}
		},
		Ended: func(e control.End) {
			text := fmt.Sprintf("%s ends %d", strings.TrimPrefix(e.Pod.Spec.Name, group+"-"), e.Pod.ExitCode)
			switch {
			case e.Replaced:
				text = strings.TrimPrefix(e.Pod.Spec.Name, group+"-") + " is another"
			case e.Restarts:
				text += " and restarts"
			}
			l.got = append(l.got, text)
			if l.more != nil {
				l.more()
			}
		},
		Warn: func(text string) { l.warned = append(l.warned, text) },
	}
}

func logged(s *suite) {
	s.up(s.service("a", "echo one; echo two >&2"))
	p := must(s.Containers.Wait(s.ctx, nameOf("a"), api.Stopped))(s)
	between := time.Now()
	s.ok(s.Projects.Up(s.ctx, desired(s.service("b", "echo three")), control.UpOptions{}, control.Watch{}))
	must(s.Containers.Wait(s.ctx, nameOf("b"), api.Stopped))(s)
	all := control.Selection{Group: group}
	for _, tt := range []struct {
		sel  control.Selection
		opt  control.LogOptions
		want string
	}{
		{all, control.LogOptions{Tail: -1}, "a-1: one a-1: two b-1: three"},
		{all, control.LogOptions{Tail: 1}, "a-1: two b-1: three"},
		{all, control.LogOptions{Tail: 0}, ""},
		{control.Selection{Group: group, Services: []string{"b"}}, control.LogOptions{Tail: -1}, "b-1: three"},
		{control.Selection{Names: []string{p.ID}}, control.LogOptions{Tail: -1}, "a-1: one a-1: two"},
		{all, control.LogOptions{Tail: -1, Since: between}, "b-1: three"},
		{all, control.LogOptions{Tail: -1, Until: between}, "a-1: one a-1: two"},
	} {
		var l lines
		s.ok(s.Streams.Logs(s.ctx, tt.sel, tt.opt, l.output()))
		if got := strings.Join(l.got, " "); got != tt.want {
			s.Errorf("%+v %+v: got %q, want %q", tt.sel, tt.opt, got, tt.want)
		}
	}
	s.ok(s.Streams.Logs(s.ctx, all, control.LogOptions{Tail: -1}, control.LogOutput{Lines: func([]control.Line) {}})) // who hears of lines only
}

func followed(s *suite) {
	s.up(s.sleeper("a"))
	var l lines
	seen := make(chan struct{}, 100)
	l.more = func() { seen <- struct{}{} }
	ended := make(chan error, 1)
	go func() {
		ended <- s.Streams.Logs(s.ctx, control.Selection{Group: group}, control.LogOptions{Follow: true, Tail: -1}, l.output())
	}()
	<-seen
	d := s.up(s.sleeper("a"), s.sleeper("b")) // made while it is followed
	<-seen
	s.ok(s.Projects.Stop(s.ctx, d, project.StopOptions{}, control.Watch{}))
	s.ok(<-ended)
	slices.Sort(l.got)
	equal(s, "met", strings.Join(l.met, " "), nameOf("a")+" "+nameOf("b"))
	equal(s, "what was told", strings.Join(l.got, ", "), "a-1 ends 0, a-1: up, b-1 ends 0, b-1: up")
}

func followedOne(s *suite) {
	s.up(s.service("a", "trap 'echo two >&2; exit 3' TERM; echo one; while :; do sleep 0.05; done"))
	var l lines
	stopped := make(chan error, 1)
	stop := sync.OnceFunc(func() { go func() { stopped <- s.Containers.Stop(s.ctx, nameOf("a"), control.StopOptions{}) }() })
	l.more = stop
	sel, opt := control.Selection{Names: []string{nameOf("a")}}, control.LogOptions{Follow: true, Tail: -1}
	s.ok(s.Streams.Logs(s.ctx, sel, opt, l.output()))
	s.ok(<-stopped)
	equal(s, "what was told", strings.Join(l.got, ", "), "a-1: one, a-1: two, a-1 ends 3")
	l.got = nil // of a run that had ended before no end is told
	s.ok(s.Streams.Logs(s.ctx, sel, opt, l.output()))
	equal(s, "what was told later", strings.Join(l.got, ", "), "a-1: one, a-1: two")
}

// follow follows the suite's project, with l told of it, and returns once it is known whom.
func (s *suite) follow(opt control.LogOptions, l *lines) (ended chan error) {
	opt.Follow, opt.Tail = true, -1
	out := l.output()
	begun := make(chan struct{})
	know := sync.OnceFunc(func() { close(begun) })
	met := out.Met
	out.Met = func(pods []api.Pod) {
		met(pods)
		know()
	}
	ended = make(chan error, 1)
	go func() { ended <- s.Streams.Logs(s.ctx, control.Selection{Group: group}, opt, out) }()
	<-begun
	return ended
}

// until returns what waits until a text has been told.
func (l *lines) until(text string) (wait func()) {
	told := make(chan struct{})
	tell := sync.OnceFunc(func() { close(told) })
	l.more = func() {
		if slices.Contains(l.got, text) {
			tell()
		}
	}
	return func() { <-told }
}

func ends(s *suite) {
	s.up(s.sleeper("b"))
	var l lines
	last := l.until("a-1 ends 3")
	ended := s.follow(control.LogOptions{Mute: []string{"b"}}, &l)
	a := s.service("a", "echo one; echo two; exit 3")
	a.Pod.Container.Restart = api.RestartPolicy{Name: "on-failure", MaxRetries: 1}
	s.up(a, s.sleeper("b"))
	last()
	s.ok(s.Containers.Remove(s.ctx, nameOf("b"), api.RemoveOptions{Force: true}))
	s.ok(<-ended)
	const run = "a-1: one, a-1: two, a-1 ends 3"
	equal(s, "what was told", strings.Join(l.got, ", "), run+" and restarts, "+run+", b-1 ends 137")
}

func followedInPart(s *suite) {
	const script = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done"
	d := s.up(s.service("later", script), s.service("mute", script), s.service("on", script))
	for _, service := range []string{"later", "mute", "on"} {
		s.printed(service, "up")
	}
	var l lines
	up := l.until("later-1: up")
	ended := s.follow(control.LogOptions{
		Since: time.Now(), Later: []string{nameOf("later")}, Mute: []string{"mute"}, For: []string{"mute"},
	}, &l)
	s.ok(s.Projects.Restart(s.ctx, d, project.RestartOptions{Services: []string{"later"}}, control.Watch{}))
	up()
	s.ok(s.Projects.Stop(s.ctx, d, project.StopOptions{Services: []string{"mute"}}, control.Watch{}))
	s.ok(<-ended)
	equal(s, "what was told", strings.Join(l.got, ", "), "later-1: up, mute-1 ends 4")
	s.status("on", api.StatusRunning)
}

func unlogged(s *suite) {
	mute := s.sleeper("mute")
	mute.Pod.Container.Log.Driver = api.LogNone
	s.up(mute, s.service("a", "echo one"))
	must(s.Containers.Wait(s.ctx, nameOf("a"), api.Stopped))(s)
	var l lines
	s.ok(s.Streams.Logs(s.ctx, control.Selection{Group: group}, control.LogOptions{Tail: -1}, l.output()))
	equal(s, "lines", strings.Join(l.got, " "), "a-1: one")
	equal(s, "warnings", len(l.warned), 1)
	s.ok(s.Streams.Logs(s.ctx, control.Selection{Group: group}, control.LogOptions{Tail: -1}, control.LogOutput{Lines: func([]control.Line) {}}))
	s.is(s.Streams.Logs(s.ctx, control.Selection{Names: []string{nameOf("mute")}}, control.LogOptions{}, l.output()), errdefs.IsFailedPrecondition)
}

// execs runs a command whose output nobody wants; an exit code other than 0 is an error.
func (s *suite) execs(ref string, opt api.ExecOptions) error {
	var out bytes.Buffer
	code, err := s.Streams.Exec(s.ctx, ref, opt, control.ExecStreams{Out: &out, Err: &out})
	if err == nil && code != 0 {
		err = errors.New(out.String())
	}
	return err
}

// sh has the container of a service run a script, and returns what that prints.
func (s *suite) sh(service, script string) string {
	s.Helper()
	var out, complaints bytes.Buffer
	opt := api.ExecOptions{Args: []string{"sh", "-c", script}}
	code := must(s.Streams.Exec(s.ctx, nameOf(service), opt, control.ExecStreams{Out: &out, Err: &complaints}))(s)
	equal(s, script+complaints.String(), code, 0)
	return strings.TrimSpace(out.String())
}

func executed(s *suite) {
	s.up(s.sleeper("a"))
	var out, complaints bytes.Buffer
	begun := false
	code := must(s.Streams.Exec(s.ctx, nameOf("a"), api.ExecOptions{
		Args: []string{"sh", "-c", "cat; echo $A $(id -u) $PWD; echo bad >&2; exit 7"}, Env: []string{"A=b"}, User: "1000", WorkingDir: "/tmp",
	}, control.ExecStreams{In: strings.NewReader("in\n"), Out: &out, Err: &complaints, Begun: func() { begun = true }}))(s)
	equal(s, "code", code, 7)
	equal(s, "output", out.String(), "in\nb 1000 /tmp\n")
	equal(s, "errors", complaints.String(), "bad\n")
	equal(s, "begun", begun, true)

	file := must(os.CreateTemp(s.TempDir(), ""))(s) // what goes to one file stays in order
	defer file.Close()
	must(s.Streams.Exec(s.ctx, nameOf("a"), api.ExecOptions{Args: []string{"sh", "-c", "echo 1; echo 2 >&2; echo 3"}},
		control.ExecStreams{Out: file, Err: file}))(s)
	equal(s, "file", string(must(os.ReadFile(file.Name()))(s)), "1\n2\n3\n")

	s.ok(s.Containers.Stop(s.ctx, nameOf("a"), control.StopOptions{}))
	s.is(s.execs(nameOf("a"), api.ExecOptions{Args: []string{"true"}}), errdefs.IsFailedPrecondition)
}

func unexecutable(s *suite) {
	s.up(s.sleeper("a"))
	for program, code := range map[string]int{"none": fault.ExitNotFound, "/etc/passwd": fault.ExitNotExecutable} {
		err := s.execs(nameOf("a"), api.ExecOptions{Args: []string{program}})
		if err == nil || fault.ExitOf(err) != code {
			s.Errorf("%s: %v", program, err)
		}
	}
}

func detached(s *suite) {
	s.up(s.sleeper("a"))
	code := must(s.Streams.Exec(s.ctx, nameOf("a"), api.ExecOptions{Args: []string{"sh", "-c", "echo $A > /tmp/new; mv /tmp/new /tmp/done; sleep 1000"},
		Env: []string{"A=b"}, Detach: true}, control.ExecStreams{}))(s)
	equal(s, "code", code, 0)
	equal(s, "written", s.sh("a", "until test -e /tmp/done; do sleep 0.02; done; cat /tmp/done"), "b")
}

func signalled(s *suite) {
	s.up(s.sleeper("a"))
	signals := make(chan os.Signal, 1)
	up := &hearing{word: "up", heard: func() { signals <- syscall.SIGTERM }}
	code := must(s.Streams.Exec(s.ctx, nameOf("a"), api.ExecOptions{Args: []string{"sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"}},
		control.ExecStreams{Out: up, Err: up, Signals: signals}))(s)
	equal(s, "code", code, 5)
}

// hearing is a writer that waits for a word.
type hearing struct {
	bytes.Buffer
	word  string
	heard func()
}

func (h *hearing) Write(p []byte) (int, error) {
	n, err := h.Buffer.Write(p)
	if h.heard != nil && strings.Contains(h.String(), h.word) {
		h.heard()
		h.heard = nil
	}
	return n, err
}

func abandoned(s *suite) {
	s.up(s.sleeper("a"))
	ctx, cancel := context.WithCancelCause(s.ctx)
	up := &hearing{word: "up", heard: func() { cancel(errEnough) }}
	_, err := s.Streams.Exec(ctx, nameOf("a"), api.ExecOptions{Args: []string{"sh", "-c", "echo up; exec sleep 1000"}}, control.ExecStreams{Out: up, Err: up})
	if ctx.Err() == nil {
		s.Errorf("it ended by itself: %v", err)
	}
	s.status("a", api.StatusRunning)
}

func attached(s *suite) {
	a := s.service("a", "read x; echo got $x; cat; echo end")
	a.Pod.Container.StdinOpen, a.Pod.Container.StdinOnce = true, true
	s.up(a)
	stream := must(s.Streams.Attach(s.ctx, nameOf("a")))(s)
	defer stream.Close()
	var out, complaints bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- stream.Output(&out, &complaints) }()
	must(stream.Write([]byte("this\nthat\n")))(s)
	s.ok(stream.CloseWrite())
	s.ok(<-ended)
	equal(s, "output", out.String(), "got this\nthat\nend\n")
	must(s.Containers.Await(s.ctx, nameOf("a")))(s)
	s.is(failed(s.Streams.Attach(s.ctx, nameOf("a"))), errdefs.IsFailedPrecondition)

	tty := s.service("tty", "trap 'stty size' WINCH; echo up; while :; do sleep 0.05; done")
	tty.Pod.Container.TTY = true
	s.up(tty)
	s.printed("tty", "up")
	stream = must(s.Streams.Attach(s.ctx, nameOf("tty")))(s)
	s.ok(stream.Resize(123, 45))
	s.printed("tty", "45 123")
	s.ok(stream.Close())
}

// held: a container that keeps no log is started with somebody listening.
func held(s *suite) {
	a := s.service("a", "echo one; read x; echo two")
	a.Pod.Container.StdinOpen, a.Pod.Container.Log.Driver = true, api.LogNone
	unheard := s.sleeper("unheard")
	unheard.Pod.Container.Log.Driver = api.LogNone
	s.ok(s.Projects.Up(s.ctx, desired(a, unheard), control.UpOptions{Listen: []string{"a", "unheard"}}, control.Watch{}))
	stream := must(s.Streams.Attach(s.ctx, nameOf("a")))(s)
	defer stream.Close()
	must(stream.Write([]byte("go\n")))(s)
	var out, complaints bytes.Buffer
	s.ok(stream.Output(&out, &complaints))
	equal(s, "output", out.String(), "one\ntwo\n")
}

func listened(s *suite) {
	s.up(s.sleeper("b"))
	var l lines
	last := l.until("a-1 ends 3")
	ended := s.follow(control.LogOptions{Live: true, Mute: []string{"b"}}, &l)
	a := s.service("a", "echo one; sleep 0.1; printf 'the last'; exit 3")
	a.Pod.Container.Log.Driver = api.LogNone
	d := desired(a, s.sleeper("b"))
	s.ok(s.Projects.Up(s.ctx, d, control.UpOptions{Listen: []string{"a"}}, control.Watch{}))
	last()
	s.ok(s.Projects.Stop(s.ctx, d, project.StopOptions{}, control.Watch{}))
	s.ok(<-ended)
	equal(s, "what was told", strings.Join(l.got, ", "), "a-1: one, a-1: the last, a-1 ends 3, b-1 ends 0")
}

func told(s *suite) {
	since := time.Now()
	s.up(s.sleeper("a"))
	later := make(chan string, 100)
	ctx, cancel := context.WithCancelCause(s.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Streams.Events(ctx, api.EventOptions{Group: group, Since: since, Follow: true}, func(e api.Event) error {
			later <- e.Action
			return nil
		})
	}()
	s.ok(s.Containers.Stop(s.ctx, nameOf("a"), control.StopOptions{}))
	for action := range later {
		if action == "stop" {
			break
		}
	}
	cancel(errEnough)
	s.is(<-ended, isEnough)
	var actions []string
	collect := func(e api.Event) error {
		if e.Pod != nameOf("a") || e.Group != group || e.Type != "container" {
			s.Errorf("event %+v", e)
		}
		actions = append(actions, e.Action)
		return nil
	}
	s.ok(s.Streams.Events(s.ctx, api.EventOptions{Group: group, Since: since}, collect))
	equal(s, "events", strings.Join(actions, " "), "create start kill die stop")
	actions = nil
	s.ok(s.Streams.Events(s.ctx, api.EventOptions{Group: "another", Since: since}, collect))
	equal(s, "events of another", len(actions), 0)
	s.is(s.Streams.Events(s.ctx, api.EventOptions{Since: since}, func(api.Event) error { return errEnough }), isEnough)
}
