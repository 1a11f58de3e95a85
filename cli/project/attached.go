package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/container"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// check refuses services that are not part of what is brought up.
func (a attachOptions) check(d *project.Desired) error {
	for _, name := range slices.Concat(a.attach, a.noAttach, command.NonEmpty(a.exitCodeFrom)) {
		if command.ServiceOf(d, name) == nil {
			return command.NoSuchService(name)
		}
	}
	return nil
}

// attachment is an attached `up`: it shows the output of containers from their start on, and looks after their end.
type attachment struct {
	o       *command.Operation
	podc    *control.Control
	project string
	members map[string]bool // services that are brought up
	named   map[string]bool // those that were asked for, and not only needed: their ends count, and they are stopped
	shown   map[string]bool // those whose output is shown
	opt     attachOptions
	printer *show.LogPrinter
	// keyboard, if not nil, gives the keys that are pressed.
	keyboard *show.Keyboard
	// halt runs Stop or, if kill is set, Kill, with the display that it is given to use.
	halt func(ctx context.Context, kill bool, services []string, use func(show.Progress)) error

	live      context.Context   // of the follower: it outlives an interrupt
	ids       map[string]string // of the containers that were met, by their names
	following bool
	followed  chan error    // once nothing runs any more whose end counts
	more      chan struct{} // capacity 1; there is more to heed in seen
	mu        sync.Mutex    // protects what follows
	display   show.Progress // where lines must be put aside
	seen      []control.End // of runs that count
}

func newAttachment(o *command.Operation, d *project.Desired, opt upOptions) *attachment {
	a := &attachment{
		o: o, podc: o.S.Podc, project: d.Name, opt: opt.watch,
		members: map[string]bool{}, named: map[string]bool{}, shown: map[string]bool{},
		printer: show.NewLogPrinter(o.S.Con, opt.watch.style), display: o.Progress, ids: map[string]string{},
		followed: make(chan error, 1), more: make(chan struct{}, 1),
	}
	a.halt = func(ctx context.Context, kill bool, services []string, use func(show.Progress)) error {
		return halt(o, ctx, project.Desired{Name: d.Name}, kill, project.StopOptions{Services: services, Timeout: opt.Timeout}, use)
	}
	for _, svc := range d.Services {
		a.members[svc.Name] = true
		a.named[svc.Name] = len(opt.Services) == 0 || slices.Contains(opt.Services, svc.Name)
		a.shown[svc.Name] = a.shows(svc, opt.Services)
	}
	return a
}

// shows decides whether the output of a service is shown.
func (a *attachment) shows(svc project.Service, named []string) bool {
	switch {
	case slices.Contains(a.opt.noAttach, svc.Name):
		return false
	case len(a.opt.attach) > 0:
		return slices.Contains(a.opt.attach, svc.Name)
	case len(named) > 0 && !a.opt.attachDependencies && !slices.Contains(named, svc.Name):
		return false
	}
	return svc.Attach
}

// up brings the project up and stays until its containers have ended, one of them ends everything, or a signal comes.
func (a *attachment) up(ctx context.Context, w podccompose.Project, sel command.Selection, opt project.UpOptions) error {
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stop()
		if a.following { // it may have something left to show
			<-a.followed
		}
	}()
	a.live = live
	a.o.Planned = func(p project.Plan) {
		command.ShowUnchanged(a.o, w.Desired, opt, p)
		a.onPlan(p)
	}
	for _, svc := range w.Desired.Services {
		if a.shown[svc.Name] {
			a.o.Listen = append(a.o.Listen, svc.Name)
		}
	}
	err := converge(a.o, ctx, w, sel, opt)
	a.o.Close()
	a.use(show.QuietProgress{})
	if interrupted(ctx) {
		return a.interrupted()
	}
	if err != nil {
		return err
	}
	defer a.openMenu()()
	return a.watch(ctx)
}

func interrupted(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), command.ErrInterrupted)
}

// use changes the display that lines must be kept clear of.
func (a *attachment) use(p show.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.display = p
}

// counts reports whether it matters how a service ends.
func (a *attachment) counts(service string) bool {
	return a.named[service] || service == a.opt.exitCodeFrom
}

// watch stays until every container has ended, one ends everything, or a signal comes.
func (a *attachment) watch(ctx context.Context) error {
	var keys <-chan byte
	if a.keyboard != nil {
		keys = a.keyboard.Keys
	}
	for heeded := 0; a.following; {
		select {
		case <-ctx.Done():
			return a.interrupted()
		case key, ok := <-keys:
			if !ok {
				keys = nil
			} else if a.pressed(key) {
				return nil
			}
		case <-a.more:
		case err := <-a.followed:
			a.following = false
			if err != nil {
				show.Warn(a.o.S.Con, err.Error())
			}
		}
		seen := a.ends()
		for _, e := range seen[heeded:] {
			aborts := a.opt.abortOnExit || a.opt.abortOnFailure && e.Pod.ExitCode != 0
			if aborts && (e.Restarts || !a.resumed(ctx, e.Pod.Spec.Name)) {
				return a.abort(ctx, e.Pod.ExitCode)
			}
		}
		heeded = len(seen)
	}
	if interrupted(ctx) {
		return a.interrupted()
	}
	return a.result(0)
}

// ends are those seen so far.
func (a *attachment) ends() []control.End {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// result is the exit code of `up`: that of the service asked for, else code.
func (a *attachment) result(code int) error {
	if a.opt.exitCodeFrom != "" {
		seen := a.ends()
		i := slices.IndexFunc(seen, func(e control.End) bool { return e.Pod.Spec.Labels[project.LabelService] == a.opt.exitCodeFrom })
		if i < 0 {
			return fmt.Errorf("the exit code of service %q is not known: it did not end", a.opt.exitCodeFrom)
		}
		code = seen[i].Pod.ExitCode
	}
	if code == 0 {
		return nil
	}
	return fault.Silent(code)
}

// abort stops everything because a container has ended with a code.
func (a *attachment) abort(ctx context.Context, code int) error {
	fmt.Fprintln(a.o.S.Con.Err, "Aborting on container exit...")
	err := a.stopAll(ctx, nil)
	if interrupted(ctx) {
		return a.interrupted()
	}
	if err != nil {
		return err
	}
	return a.result(code)
}

// interrupted stops everything because of a signal; another one kills, unless it is the machine that goes down: it sends several.
func (a *attachment) interrupted() error {
	again := a.o.S.Con.SecondSignal()
	if a.podc.System.Ending() {
		again = nil
		fmt.Fprintln(a.o.S.Con.Err, "Gracefully stopping, for the machine goes down...")
	} else {
		fmt.Fprintln(a.o.S.Con.Err, "Gracefully stopping... (press Ctrl+C again to force)")
	}
	if err := a.stopAll(context.WithoutCancel(a.live), again); err != nil {
		command.Report(a.o.S.Con.Err, err, a.o.S.Progress == show.ProgressJSON)
	}
	return fault.Silent(command.ExitInterrupted)
}

// stopAll stops what was asked for, dependents first, or kills it once again closes. It returns when the ends that the stop brought about
// have been seen.
func (a *attachment) stopAll(ctx context.Context, again <-chan struct{}) error {
	soft, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopping, killed := make(chan error, 1), make(chan error, 1)
	stopped := stopping
	services := a.asked()
	go func() { stopping <- a.halt(soft, false, services, a.use) }()
	var err error
	var late <-chan time.Time
	for pending := true; pending || a.following; {
		select {
		case <-a.followed:
			a.following = false
		case err = <-stopped:
			pending = false
			late = time.After(container.LastWords)
		case <-again:
			again = nil
			if !pending {
				continue
			}
			stopped = nil // what comes of it is of no interest any more
			cancel(errors.New("killed instead"))
			go func() {
				<-stopping
				killed <- a.halt(ctx, true, services, a.use)
			}()
		case err = <-killed:
			pending = false
			late = time.After(container.LastWords)
		case <-late:
			return err
		}
	}
	return err
}

// asked are the services that were asked for: only they are stopped or killed, and not what they need, which others may need too.
func (a *attachment) asked() []string {
	var services []string
	for name, named := range a.named {
		if named {
			services = append(services, name)
		}
	}
	slices.Sort(services)
	return services
}

// halt runs Stop or Kill with a display of its own. Labels are enough for it. When the machine goes down nobody asks for the stop,
// which is that of the whole project then.
func halt(o *command.Operation, ctx context.Context, d project.Desired, kill bool, opt project.StopOptions, use func(show.Progress)) error {
	name := "stop"
	if kill {
		name = "kill"
	}
	h := o.S.Operate(name)
	use(h)
	defer use(show.QuietProgress{})
	defer h.Close()
	projects := o.S.Podc.Projects
	switch {
	case kill:
		return projects.Kill(ctx, d, project.KillOptions{Services: opt.Services}, h.Watch())
	case o.S.Podc.System.Ending():
		return projects.ShutDown(ctx, d.Name, h.Watch())
	}
	return projects.Stop(ctx, d, opt, h.Watch())
}
