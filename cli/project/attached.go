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

	live     context.Context // of the readers: it outlives an interrupt
	ends     chan ending
	mu       sync.Mutex    // protects what follows
	display  show.Progress // where lines must be put aside
	followed map[string]*follower
	deaths   map[string]chan int // by id: the exit code of a container's last run, for when the container is gone
	alive    int                 // runs of containers whose end counts and is still to come
}

// ending is how a run of a container ended.
type ending struct {
	pod, service string
	code         int
	replaced     bool // by another run, of this container or of one in its place
	restarts     bool // its restart policy starts it again
}

func newAttachment(o *command.Operation, d *project.Desired, opt upOptions) *attachment {
	a := &attachment{
		o: o, podc: o.S.Podc, project: d.Name, opt: opt.watch,
		members: map[string]bool{}, named: map[string]bool{}, shown: map[string]bool{},
		printer: show.NewLogPrinter(o.S.Con, opt.watch.style), display: o.Progress, ends: make(chan ending),
		followed: map[string]*follower{}, deaths: map[string]chan int{},
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
	defer stop()
	a.live = live
	a.o.Planned = func(p project.Plan) {
		command.ShowUnchanged(a.o, w.Desired, opt, p)
		a.onPlan(p)
	}
	a.o.Stepped = a.onStep
	for _, svc := range w.Desired.Services {
		if a.shown[svc.Name] {
			a.o.Listen = append(a.o.Listen, svc.Name)
		}
	}
	go a.meetOthers()
	err := converge(a.o, ctx, w, sel, opt)
	a.o.Close()
	a.use(show.QuietProgress{})
	if interrupted(ctx) {
		return a.interrupted(nil)
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

// waiting reports whether the end of any container is still to come.
func (a *attachment) waiting() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.alive > 0
}

// counts reports whether it matters how a service ends.
func (a *attachment) counts(service string) bool {
	return a.named[service] || service == a.opt.exitCodeFrom
}

// settle notes that a run whose end was reported is over.
func (a *attachment) settle(e ending) {
	if !e.restarts {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.alive--
	}
}

// watch stays until every container has ended, one ends everything, or a signal comes.
func (a *attachment) watch(ctx context.Context) error {
	var seen []ending
	var keys <-chan byte
	if a.keyboard != nil {
		keys = a.keyboard.Keys
	}
	for a.waiting() || a.resumed(ctx) {
		select {
		case <-ctx.Done():
			return a.interrupted(seen)
		case key, ok := <-keys:
			if !ok {
				keys = nil
			} else if a.pressed(key) {
				return nil
			}
		case e := <-a.ends:
			a.settle(e)
			if e.replaced {
				continue
			}
			seen = append(seen, e)
			aborts := a.opt.abortOnExit || a.opt.abortOnFailure && e.code != 0
			if aborts && (e.restarts || !(a.resumed(ctx) && a.follows(e.pod))) {
				return a.abort(ctx, seen)
			}
		}
	}
	if interrupted(ctx) {
		return a.interrupted(seen)
	}
	return a.result(seen, 0)
}

// result is the exit code of `up`: that of the service asked for, else code.
func (a *attachment) result(seen []ending, code int) error {
	if a.opt.exitCodeFrom != "" {
		i := slices.IndexFunc(seen, func(e ending) bool { return e.service == a.opt.exitCodeFrom })
		if i < 0 {
			return fmt.Errorf("the exit code of service %q is not known: it did not end", a.opt.exitCodeFrom)
		}
		code = seen[i].code
	}
	if code == 0 {
		return nil
	}
	return fault.Silent(code)
}

// abort stops everything because a container has ended, the last of those seen.
func (a *attachment) abort(ctx context.Context, seen []ending) error {
	code := seen[len(seen)-1].code
	fmt.Fprintln(a.o.S.Con.Err, "Aborting on container exit...")
	seen, err := a.stopAll(ctx, seen, nil)
	if interrupted(ctx) {
		return a.interrupted(seen)
	}
	if err != nil {
		return err
	}
	return a.result(seen, code)
}

// interrupted stops everything because of a signal; another one kills, unless it is the machine that goes down: it sends several.
func (a *attachment) interrupted(seen []ending) error {
	again := a.o.S.Con.SecondSignal()
	if a.podc.System.Ending() {
		again = nil
		fmt.Fprintln(a.o.S.Con.Err, "Gracefully stopping, for the machine goes down...")
	} else {
		fmt.Fprintln(a.o.S.Con.Err, "Gracefully stopping... (press Ctrl+C again to force)")
	}
	if _, err := a.stopAll(context.WithoutCancel(a.live), seen, again); err != nil {
		command.Report(a.o.S.Con.Err, err, a.o.S.Progress == show.ProgressJSON)
	}
	return fault.Silent(command.ExitInterrupted)
}

// stopAll stops what was asked for, dependents first, or kills it once again closes. It returns the endings seen, those
// that the stop brought about included.
func (a *attachment) stopAll(ctx context.Context, seen []ending, again <-chan struct{}) ([]ending, error) {
	soft, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopping, killed := make(chan error, 1), make(chan error, 1)
	stopped := stopping
	services := a.asked()
	go func() { stopping <- a.halt(soft, false, services, a.use) }()
	var err error
	var late <-chan time.Time
	for pending := true; pending || a.waiting(); {
		select {
		case e := <-a.ends:
			a.settle(e)
			seen = append(seen, e)
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
			return seen, err
		}
	}
	return seen, err
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
