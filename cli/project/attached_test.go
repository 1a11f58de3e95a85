package project

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// fakePods are containers whose output and end a test decides.
type fakePods struct {
	control.Containers
	control.Streams

	mu   sync.Mutex
	pods map[string]api.Pod
	opt  control.LogOptions
	idle func(ctx context.Context) error
	told chan func(control.LogOutput) // what the follower tells
}

func newFakePods(pods ...api.Pod) *fakePods {
	f := &fakePods{pods: map[string]api.Pod{}, told: make(chan func(control.LogOutput), 16)}
	f.idle = func(ctx context.Context) error { return context.Cause(ctx) }
	for _, p := range pods {
		f.add(p)
	}
	return f
}

// add places a container that has just been started.
func (f *fakePods) add(p api.Pod) {
	p.Status, p.Started, p.ExitKnown = api.StatusRunning, time.Now(), false
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods[p.Spec.Name] = p
}

// fakeProjects are at rest when the test says so.
type fakeProjects struct {
	control.Projects
	pods *fakePods
}

func (f fakeProjects) Idle(ctx context.Context, _ string) error { return f.pods.idle(ctx) }

func (f *fakePods) List(context.Context, control.Selection) ([]api.Pod, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Values(f.pods)), nil
}

func (f *fakePods) Get(_ context.Context, name string) (api.Pod, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.pods[name]; ok {
		return p, nil
	}
	return api.Pod{}, errdefs.ErrNotFound
}

// fakeSystem goes on.
type fakeSystem struct{ control.System }

func (fakeSystem) Ending() bool { return false }

// Logs tells what the test says, until nothing runs that it goes on for.
func (f *fakePods) Logs(ctx context.Context, sel control.Selection, opt control.LogOptions, out control.LogOutput) error {
	f.opt = opt
	goesOn := func() bool {
		pods, _ := f.List(ctx, sel)
		return slices.ContainsFunc(pods, func(p api.Pod) bool {
			return p.Status.Up() && slices.Contains(opt.For, p.Spec.Labels[project.LabelService])
		})
	}
	pods, _ := f.List(ctx, sel)
	out.Met(pods)
	for goesOn() || f.idle(ctx) == nil && goesOn() || len(f.told) > 0 {
		select {
		case tell := <-f.told:
			tell(out)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// started tells that a container was started.
func (f *fakePods) started(name string) {
	p, _ := f.Get(context.Background(), name)
	f.told <- func(out control.LogOutput) { out.Met([]api.Pod{p}) }
}

// end makes a container end.
func (f *fakePods) end(name string, code int) {
	p, _ := f.Get(context.Background(), name)
	if p.ExitKnown {
		return
	}
	f.told <- func(out control.LogOutput) {
		p.Status, p.ExitCode, p.ExitKnown = api.StatusExited, code, true
		f.mu.Lock()
		f.pods[name] = p
		f.mu.Unlock()
		out.Ended(control.End{Pod: p})
	}
}

// startAgain makes a container that has ended run again.
func (f *fakePods) startAgain(name string) {
	p, _ := f.Get(context.Background(), name)
	f.add(p)
	f.started(name)
}

// restarts tells of the end of a run that the restart policy goes on from.
func (f *fakePods) restarts(name string, code int) {
	p, _ := f.Get(context.Background(), name)
	p.ExitCode, p.ExitKnown = code, true
	f.told <- func(out control.LogOutput) { out.Ended(control.End{Pod: p, Restarts: true}) }
}

// replace puts another container in the place of one that runs.
func (f *fakePods) replace(name string) {
	p, _ := f.Get(context.Background(), name)
	p.ID += "-new"
	f.add(p)
	f.told <- func(out control.LogOutput) { out.Ended(control.End{Pod: p, Replaced: true}) }
	f.started(name)
}

// endAll ends what runs, as Stop and Kill do.
func (f *fakePods) endAll(code int) {
	pods, _ := f.List(context.Background(), control.Selection{})
	for _, p := range pods {
		f.end(p.Spec.Name, code)
	}
}

// attached is an `up` of web and db, attached to pods that run.
type attached struct {
	*attachment
	pods   *fakePods
	out    func() string
	stderr func() string
	halts  []string
}

func attach(t *testing.T, opt attachOptions, services ...string) *attached {
	con, out, stderr := show.BufferConsole()
	pods := newFakePods(testPod("db", "1", nil), testPod("web", "1", nil))
	d := &project.Desired{Name: "shop", Services: []project.Service{{Name: "db", Attach: true}, {Name: "web", Attach: true}}}
	s := &command.Session{Con: con, Globals: command.Globals{Style: show.Style{Progress: show.ProgressQuiet}}, Podc: &control.Control{Projects: fakeProjects{pods: pods}, Containers: pods, Streams: pods, System: fakeSystem{}}}
	opt.style = show.LogStyle{Prefix: true}
	a := &attached{attachment: newAttachment(&command.Operation{S: s, Reporter: command.Reporter{Progress: show.QuietProgress{}}}, d, upOptions{watch: opt, UpOptions: project.UpOptions{Services: services}}), pods: pods}
	a.out, a.stderr = out.String, stderr.String
	a.halt = func(_ context.Context, kill bool, services []string, _ func(show.Progress)) error {
		a.halts = append(a.halts, "stop "+strings.Join(services, " "))
		pods.endAll(143)
		return nil
	}
	var stop func()
	a.live, stop = context.WithCancel(context.Background())
	t.Cleanup(stop)
	a.onPlan(project.Plan{})
	return a
}

// say has a container write a line, and waits until it has been shown.
func (a *attached) say(pod, text string) {
	a.pods.told <- func(out control.LogOutput) { out.Lines([]control.Line{{Pod: pod, Text: []byte(text)}}) }
	synctest.Wait()
}

func TestAttachedEndsWithItsContainers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := attach(t, attachOptions{})
		result := make(chan error)
		go func() { result <- a.watch(context.Background()) }()
		a.say("shop-db-1", "ready")
		a.say("shop-web-1", "hello")
		synctest.Wait()
		a.pods.end("shop-db-1", 0)
		synctest.Wait()
		a.pods.end("shop-web-1", 5)
		if err := <-result; err != nil {
			t.Error(err)
		}
		want := "Attaching to db-1, web-1\ndb-1   | ready\nweb-1  | hello\ndb-1 exited with code 0\nweb-1 exited with code 5\n"
		if a.out() != want {
			t.Errorf("got\n%s", a.out())
		}
	})
}

func TestAttachedShowsWhatIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := attach(t, attachOptions{})
		result := make(chan error)
		go func() { result <- a.watch(context.Background()) }()
		a.pods.end("shop-web-1", 1)
		synctest.Wait()
		a.pods.startAgain("shop-web-1")
		a.say("shop-web-1", "back")
		a.pods.end("shop-db-1", 0)
		synctest.Wait()
		a.pods.end("shop-web-1", 2)
		if err := <-result; err != nil {
			t.Error(err)
		}
		want := "Attaching to db-1, web-1\nweb-1 exited with code 1\nweb-1  | back\ndb-1 exited with code 0\nweb-1 exited with code 2\n"
		if a.out() != want {
			t.Errorf("got\n%s", a.out())
		}
	})
}

func TestAttachedShowsWhatOthersStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := attach(t, attachOptions{abortOnExit: true, exitCodeFrom: "web"})
		result := make(chan error)
		go func() { result <- a.watch(context.Background()) }()
		a.pods.replace("shop-web-1")
		a.say("shop-web-1", "new")
		a.pods.add(testPod("web", "2", nil))
		a.pods.started("shop-web-2")
		a.say("shop-web-2", "one more")
		synctest.Wait()
		a.pods.end("shop-web-2", 4)
		if got := fault.ExitOf(<-result); got != 4 {
			t.Errorf("code %d", got)
		}
		want := "Attaching to db-1, web-1\nweb-1 has been recreated\nweb-1  | new\nweb-2  | one more\nweb-2 exited with code 4\n"
		if !strings.HasPrefix(a.out(), want) {
			t.Errorf("got\n%s", a.out())
		}
	})
}

// What another command stops only to start it again ends nothing.
func TestAttachedWaitsForOtherCommands(t *testing.T) {
	for _, opt := range []attachOptions{{}, {abortOnExit: true}} {
		synctest.Test(t, func(t *testing.T) {
			a := attach(t, opt)
			waited := 0
			a.pods.idle = func(context.Context) error { // until the other command has started db again
				time.Sleep(time.Second)
				if waited++; waited == 1 {
					p, _ := a.pods.Get(t.Context(), "shop-db-1")
					a.pods.add(p)
				}
				return nil
			}
			result := make(chan error)
			go func() { result <- a.watch(context.Background()) }()
			if !opt.abortOnExit {
				a.pods.end("shop-web-1", 0)
			}
			a.pods.end("shop-db-1", 0)
			time.Sleep(2 * time.Second)
			a.say("shop-db-1", "back")
			a.pods.end("shop-db-1", 3)
			if got := fault.ExitOf(<-result); opt.abortOnExit && got != 3 {
				t.Errorf("code %d", got)
			}
			if !strings.Contains(a.out(), "db-1   | back\ndb-1 exited with code 3\n") {
				t.Errorf("got\n%s", a.out())
			}
		})
	}
}

func TestAttachedAborts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		opt    attachOptions
		first  string
		code   int
		want   int
		aborts bool
	}{
		{"on exit", attachOptions{abortOnExit: true}, "shop-db-1", 0, 0, true},
		{"on exit, code", attachOptions{abortOnExit: true}, "shop-db-1", 3, 3, true},
		{"on failure", attachOptions{abortOnFailure: true}, "shop-db-1", 3, 3, true},
		{"code from the one that ended", attachOptions{abortOnExit: true, exitCodeFrom: "db"}, "shop-db-1", 4, 4, true},
		{"code from one that was stopped", attachOptions{abortOnExit: true, exitCodeFrom: "web"}, "shop-db-1", 4, 143, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := attach(t, tt.opt)
			result := make(chan error)
			go func() { result <- a.watch(context.Background()) }()
			a.pods.end(tt.first, tt.code)
			if got := fault.ExitOf(<-result); got != tt.want {
				t.Errorf("%s: code %d, want %d", tt.name, got, tt.want)
			}
			if !slices.Equal(a.halts, []string{"stop db web"}) {
				t.Errorf("%s: %q", tt.name, a.halts)
			}
		})
	}
}

// What was not asked for, but only needed, neither ends an attached up nor is stopped by it.
func TestAttachedHeedsWhatWasNamed(t *testing.T) {
	for _, opt := range []attachOptions{{attachDependencies: true}, {attachDependencies: true, abortOnExit: true}} {
		synctest.Test(t, func(t *testing.T) {
			a := attach(t, opt, "web")
			result := make(chan error)
			go func() { result <- a.watch(context.Background()) }()
			a.pods.add(testPod("db", "2", nil))
			a.pods.started("shop-db-2")
			a.pods.end("shop-db-1", 1)
			synctest.Wait()
			a.pods.end("shop-web-1", 6)
			want := 0
			if opt.abortOnExit {
				want = 6
			}
			if got := fault.ExitOf(<-result); got != want {
				t.Errorf("code %d", got)
			}
			if opt.abortOnExit != slices.Equal(a.halts, []string{"stop web"}) {
				t.Errorf("%q", a.halts)
			}
			synctest.Wait() // the stop of this test ends all that runs, db-2 too: of that podc may still tell
			if !strings.Contains(a.out(), "db-1 exited with code 1\nweb-1 exited with code 6\n") {
				t.Errorf("got\n%s", a.out())
			}
		})
	}
}

func TestAttachedShowsEndsThatARestartFollows(t *testing.T) {
	for _, opt := range []attachOptions{{}, {abortOnExit: true, exitCodeFrom: "web"}} {
		synctest.Test(t, func(t *testing.T) {
			a := attach(t, opt)
			result := make(chan error)
			go func() { result <- a.watch(context.Background()) }()
			a.pods.restarts("shop-web-1", 3)
			synctest.Wait()
			if !opt.abortOnExit {
				a.say("shop-web-1", "back")
				a.pods.endAll(4)
			}
			if got, want := fault.ExitOf(<-result), map[bool]int{true: 3}[opt.abortOnExit]; got != want {
				t.Errorf("code %d", got)
			}
			if !opt.abortOnExit && !strings.Contains(a.out(), "web-1 exited with code 3 (restarting)\nweb-1  | back\n") {
				t.Errorf("got\n%s", a.out())
			}
		})
	}
}

func TestAttachedGoesOnAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := attach(t, attachOptions{abortOnFailure: true})
		result := make(chan error)
		go func() { result <- a.watch(context.Background()) }()
		a.pods.end("shop-db-1", 0)
		synctest.Wait()
		if len(a.halts) > 0 {
			t.Error("a success aborts")
		}
		a.pods.end("shop-web-1", 0)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}

func TestAttachedInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := attach(t, attachOptions{})
		second := make(chan struct{})
		a.o.S.Con.SecondSignal = func() <-chan struct{} { return second }
		var order []string
		a.halt = func(ctx context.Context, kill bool, _ []string, _ func(show.Progress)) error {
			if kill {
				order = append(order, "kill")
				a.pods.endAll(137)
				return nil
			}
			order = append(order, "stop")
			<-ctx.Done() // containers that do not listen
			return context.Cause(ctx)
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		result := make(chan error)
		go func() { result <- a.watch(ctx) }()
		cancel(command.ErrInterrupted)
		synctest.Wait()
		close(second)
		if got := fault.ExitOf(<-result); got != command.ExitInterrupted {
			t.Errorf("code %d", got)
		}
		if !slices.Equal(order, []string{"stop", "kill"}) {
			t.Errorf("%q", order)
		}
		if !strings.Contains(a.out(), "web-1 exited with code 137") {
			t.Errorf("last words are missing:\n%s", a.out())
		}
	})
}

func TestAttachedChoosesServices(t *testing.T) {
	for _, tt := range []struct {
		opt      attachOptions
		services []string
		want     string
	}{
		{attachOptions{}, nil, "db-1, web-1"},
		{attachOptions{}, []string{"web"}, "web-1"},
		{attachOptions{attachDependencies: true}, []string{"web"}, "db-1, web-1"},
		{attachOptions{attach: []string{"db"}}, []string{"web"}, "db-1"},
		{attachOptions{noAttach: []string{"db"}}, nil, "web-1"},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := attach(t, tt.opt, tt.services...)
			if got := strings.TrimSpace(a.out()); got != "Attaching to "+tt.want {
				t.Errorf("%+v: %q", tt.opt, got)
			}
			synctest.Wait()
			a.pods.endAll(0)
			if err := a.watch(context.Background()); err != nil {
				t.Error(err)
			}
			for _, service := range []string{"db", "web"} {
				if slices.Contains(a.pods.opt.Mute, service) == strings.Contains(tt.want, service) {
					t.Errorf("%+v: muted are %q", tt.opt, a.pods.opt.Mute)
				}
			}
		})
	}
}

// Of a file without services nothing is brought up, whatever still runs of its project.
func TestAttachedToNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := attach(t, attachOptions{})
		clear(a.members)
		a.following = false
		a.onPlan(project.Plan{})
		if a.following {
			t.Error("it follows others")
		}
		if err := a.watch(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestKeysOfAnAttachedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, suspended, restored := make(chan byte), 0, 0
		a := attach(t, attachOptions{menu: true})
		a.o.S.Con.Keyboard = func() (*show.Keyboard, error) {
			return &show.Keyboard{Keys: keys, Suspend: func() { suspended++ }, Restore: func() { restored++ }}, nil
		}
		shut := a.openMenu()
		result := make(chan error)
		go func() { result <- a.watch(context.Background()) }()
		for _, key := range []byte{'\n', 'x', keySuspend, 'w', 'd'} {
			keys <- key
			synctest.Wait()
		}
		if err := <-result; err != nil || len(a.halts) > 0 {
			t.Errorf("%v; stopped %v", err, a.halts)
		}
		shut()
		if suspended != 1 || restored != 1 {
			t.Errorf("suspended %d times, restored %d times", suspended, restored)
		}
		if out := a.out(); !strings.HasSuffix(out, "\n\n") || !strings.Contains(a.stderr(), "not available yet") || !strings.Contains(a.stderr(), "detached") {
			t.Errorf("%q %q", out, a.stderr())
		}
	})
}

// A terminal that goes is no reason to go.
func TestAnAttachedUpOutlivesItsKeyboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := make(chan byte)
		a := attach(t, attachOptions{menu: true})
		a.o.S.Con.Keyboard = func() (*show.Keyboard, error) {
			return &show.Keyboard{Keys: keys, Suspend: nil, Restore: func() {}}, nil
		}
		defer a.openMenu()()
		result := make(chan error)
		go func() { result <- a.watch(context.Background()) }()
		close(keys)
		synctest.Wait()
		a.pods.endAll(0)
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
}
