package local

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/engine"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcbuild"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/project"
)

// projects implements control.Projects.
type projects struct {
	runRoot string
	engine  *engine.Engine
	client  podcimage.Client
	builder podcbuild.Client
	held    *held
}

// imageStore is the images of a project: podc-image keeps them, podc-build makes them.
type imageStore struct {
	podcimage.Client
	builder podcbuild.Client
}

// Build implements project.Images.
func (s imageStore) Build(ctx context.Context, b api.Build, report func(api.Progress)) (string, error) {
	return s.builder.Build(ctx, b, report)
}

// errDryRun ends a dry run once its plan is known.
var errDryRun = errors.New("dry run")

// run calls a verb of package project. In a dry run its context ends when the plan is known, and a plan takes no step after that.
func (p projects) run(ctx context.Context, w control.Watch, verb func(context.Context, project.Deps) error) error {
	deps := p.deps(w)
	if !w.DryRun {
		defer p.held.forget(containers{engine: p.engine}.isGone)
		return verb(ctx, deps)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	report := deps.Report
	deps.Report = func(e project.Event) {
		report(e)
		if e.Kind == project.Planned {
			cancel(errDryRun)
		}
	}
	err := verb(ctx, deps)
	if errors.Is(context.Cause(ctx), errDryRun) {
		return nil
	}
	return err
}

// deps are what package project works with.
func (p projects) deps(w control.Watch) project.Deps {
	w.Report = heard(w.Report)
	return project.Deps{
		Engine: p.engine, Images: p.images(w), RunDir: p.runRoot, Report: w.Report, Confirm: w.Confirm, PullLimit: w.Pulls,
	}
}

// images is the store for a verb; complaints are warnings of it.
func (p projects) images(w control.Watch) project.Images {
	client := p.client
	client.Warn = func(text string) { w.Report(project.Event{Kind: project.Warned, Text: text}) }
	store := imageStore{client, p.builder}
	if w.DryRun {
		return unchanged{store}
	}
	return store
}

// unchanged is an image store that a dry run has its way with: nothing there changes.
type unchanged struct{ project.Images }

func (unchanged) Unpin(context.Context, string) error  { return nil }
func (unchanged) Remove(context.Context, string) error { return nil }

func (p projects) Plan(ctx context.Context, d project.Desired, opt project.UpOptions, pin bool, w control.Watch) (project.Plan, error) {
	group := ""
	if pin {
		group = d.Name
	}
	return project.PlanUp(ctx, p.deps(w), d, opt, group)
}

func (p projects) Up(ctx context.Context, d project.Desired, opt control.UpOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error {
		if len(opt.Listen) > 0 || opt.Attach != "" {
			deps.Engine = listening{p.engine, p.held, opt}
		}
		err := project.Up(ctx, deps, d, opt.UpOptions)
		if opt.OneOff != nil && ctx.Err() == nil {
			err = failedRun(err, opt.OneOff.Pod)
		}
		return err
	})
}

// failedRun gives what keeps a one-off from running docker's exit code: 127 for a command that is not there, 126 for one that cannot
// be executed, 125 for anything else.
func failedRun(err error, pod string) error {
	var step *project.StepError
	if !errors.As(err, &step) || step.Step.Key.Name != pod {
		return err
	}
	code := fault.ExitUnable
	var runtime *conmon.RuntimeError
	switch {
	case step.Step.Key.Verb != "start" || !errors.As(err, &runtime):
	case errdefs.IsNotFound(runtime):
		code = fault.ExitNotFound
	case errdefs.IsPermissionDenied(runtime):
		code = fault.ExitNotExecutable
	}
	return fault.Exit(err, code)
}

func (p projects) Build(ctx context.Context, d project.Desired, opt project.BuildOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Build(ctx, deps, d, opt) })
}

func (p projects) Pull(ctx context.Context, d project.Desired, opt project.PullOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Pull(ctx, deps, d, opt) })
}

func (p projects) Push(ctx context.Context, d project.Desired, opt project.PushOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Push(ctx, deps, d, opt) })
}

func (p projects) Down(ctx context.Context, d project.Desired, opt project.DownOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Down(ctx, deps, d, opt) })
}

func (p projects) Start(ctx context.Context, d project.Desired, opt project.StartOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Start(ctx, deps, d, opt) })
}

func (p projects) Stop(ctx context.Context, d project.Desired, opt project.StopOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Stop(ctx, deps, d, opt) })
}

func (p projects) Restart(ctx context.Context, d project.Desired, opt project.RestartOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error {
		deps.Engine = restarting{p.engine}
		return project.Restart(ctx, deps, d, opt)
	})
}

func (p projects) Kill(ctx context.Context, d project.Desired, opt project.KillOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Kill(ctx, deps, d, opt) })
}

func (p projects) Pause(ctx context.Context, d project.Desired, opt project.PauseOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Pause(ctx, deps, d, opt) })
}

func (p projects) Unpause(ctx context.Context, d project.Desired, opt project.PauseOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Unpause(ctx, deps, d, opt) })
}

func (p projects) Remove(ctx context.Context, d project.Desired, opt project.RemoveOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Remove(ctx, deps, d, opt) })
}

func (p projects) Boot(ctx context.Context, name string, opt project.BootOptions, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.Boot(ctx, deps, name, opt) })
}

func (p projects) ShutDown(ctx context.Context, name string, w control.Watch) error {
	return p.run(ctx, w, func(ctx context.Context, deps project.Deps) error { return project.ShutDown(ctx, deps, name) })
}

func (p projects) Idle(ctx context.Context, name string) error {
	return project.Deps{RunDir: p.runRoot}.Idle(ctx, name)
}

// restarting has each start followed by docker's event for a restart that somebody asked for.
type restarting struct{ *engine.Engine }

// StartPod implements project.Engine.
func (e restarting) StartPod(ctx context.Context, name string) error {
	err := e.Engine.StartPod(ctx, name)
	if err != nil {
		return err
	}
	if p, err := e.Pod(name); err == nil { // else it is gone already
		e.NoteEvent(p, "restart", nil)
	}
	return nil
}

// held are the streams to containers that were started with one, until somebody attaches.
type held struct {
	mu      sync.Mutex
	streams map[string]*conmon.Stream // by name
}

func (h *held) put(name string, s *conmon.Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams == nil {
		h.streams = map[string]*conmon.Stream{}
	}
	if old := h.streams[name]; old != nil { // of an earlier run
		old.Close()
	}
	h.streams[name] = s
}

// forget closes the streams to containers that are gone: nobody will attach to them.
func (h *held) forget(gone func(name string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, s := range h.streams {
		if gone(name) {
			s.Close()
			delete(h.streams, name)
		}
	}
}

// take returns the stream to a container, nil if there is none.
func (h *held) take(name string) *conmon.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[name]
	delete(h.streams, name)
	return s
}

// listening starts containers with a stream to them, as Up was asked to.
type listening struct {
	*engine.Engine
	held *held
	opt  control.UpOptions
}

// StartPod implements project.Engine.
func (e listening) StartPod(ctx context.Context, name string) error {
	if !e.heeds(name) {
		return e.Engine.StartPod(ctx, name)
	}
	return e.StartAttached(ctx, name, func(s *conmon.Stream) {
		if e.opt.Width > 0 {
			s.Resize(e.opt.Width, e.opt.Height)
		}
		e.held.put(name, s) // before anybody hears of the start
	})
}

func (e listening) heeds(name string) bool {
	if name == e.opt.Attach {
		return true
	}
	p, err := e.Pod(name)
	return err == nil && !p.Status.Up() && !p.Spec.Container.Log.Kept() && !control.IsOneOff(p) &&
		slices.Contains(e.opt.Listen, p.Spec.Labels[project.LabelService])
}
