package project

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Deps are what the verbs of a project work with.
type Deps struct {
	Engine Engine
	Images Images
	RunDir string // run root: locks of projects lie below it
	Report func(Event)
	// Confirm asks once, with the list, before steps are run that should not be run unasked. Nil means no.
	Confirm   func([]Step) bool
	PullLimit int // pulls at once; 0: 4
}

// Up makes the project what d says: under its lock it plans, prepares images until nothing is left to prepare, and runs the plan. A second Up at the same time
// waits for the lock and then finds nothing to do. Everything that can be refused is refused before the first side effect.
func Up(ctx context.Context, deps Deps, d Desired, opt UpOptions) error {
	deps.Report = serial(deps.Report)
	lock, err := deps.acquire(ctx, d.Name)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	var watched sync.WaitGroup // a plan only looks: the monitor may be asked meanwhile
	watched.Go(func() { deps.supervise(ctx, d.Name) })
	o, plan, err := deps.plan(ctx, d, opt, d.Name, nil)
	watched.Wait()
	for err == nil && len(plan.Prepare) > 0 { // never one that is prepared
		if err = deps.prepare(ctx, plan.Prepare); err == nil {
			o, plan, err = deps.plan(ctx, d, opt, d.Name, slices.Concat(o.Prepared, refsOf(plan.Prepare)))
		}
	}
	if err != nil {
		return err
	}
	if lost := plan.Destructive(); len(lost) > 0 && (deps.Confirm == nil || !deps.Confirm(lost)) {
		opt.KeepVolumes = true
		if plan, err = Diff(d, o, opt); err != nil {
			return err
		}
	}
	err = deps.runInheriting(ctx, d.Name, o, plan)
	if len(plan.Steps) == 0 {
		return err
	}
	return errors.Join(err, deps.Engine.Tidy(context.WithoutCancel(ctx), d.Name))
}

// PlanUp returns what Up would do, without doing any of it. Images that are not here show in Prepare, and pods made from
// them are planned as far as they are known. Images are pinned for group, unless it is empty: that is for a plan about to be run.
func PlanUp(ctx context.Context, deps Deps, d Desired, opt UpOptions, group string) (Plan, error) {
	deps.Report = serial(deps.Report)
	_, plan, err := deps.plan(ctx, d, opt, group, nil)
	return plan, err
}

// plan observes and diffs, and asks whether the ports that the plan needs are free. The images are pinned for group, unless
// it is empty; those of prepared were made ready before.
func (deps Deps) plan(ctx context.Context, d Desired, opt UpOptions, group string, prepared []string) (Observed, Plan, error) {
	images, err := deps.Images.Resolve(ctx, group, imageRefs(d))
	if err != nil {
		return Observed{}, Plan{}, err
	}
	o, err := deps.observe(ctx, d.Name, images)
	if err != nil {
		return o, Plan{}, err
	}
	o.Prepared = prepared
	plan, err := Diff(d, o, opt)
	if err == nil {
		err = deps.checkHost(ctx, &plan)
	}
	return o, plan, err
}

// checkHost refuses a plan for which the host lacks a port, a program or anything else that pods ask for, and adds its warnings.
func (deps Deps) checkHost(ctx context.Context, plan *Plan) error {
	var errs []error
	if len(plan.Claims) > 0 {
		errs = append(errs, deps.Engine.CheckPorts(ctx, plan.Claims))
	}
	if len(plan.Addresses) > 0 {
		errs = append(errs, deps.Engine.CheckAddresses(plan.Addresses, plan.Leaving, plan.Gone))
	}
	if runtimes := plan.runtimes(); len(runtimes) > 0 {
		warnings, err := deps.Engine.CheckPrograms(ctx, runtimes)
		plan.Warnings, errs = append(plan.Warnings, warnings...), append(errs, err)
	}
	var made []api.Network
	var leaving []string
	var filled []api.Volume
	for _, s := range plan.Steps {
		switch do := s.Do.(type) {
		case CreateVolume:
			filled = append(filled, do.Volume)
		case CreateNetwork:
			made = append(made, do.Network)
		case RemoveNetwork:
			leaving = append(leaving, do.Name)
		case CreatePod:
			if do.Image.ID != "" { // of one that is not here nothing is known; once it is prepared this is asked again
				errs = append(errs, deps.Engine.CheckCommand(do.Spec, do.Image.Config))
			}
		}
	}
	errs = append(errs, deps.Engine.CheckVolumes(filled))
	if len(made) > 0 {
		errs = append(errs, deps.Engine.CheckNetworks(made, leaving))
	}
	if pods := plan.made(); len(pods) > 0 {
		errs = append(errs, deps.Engine.CheckPods(ctx, pods))
	}
	return errors.Join(errs...)
}

func (deps Deps) observe(ctx context.Context, name string, images map[string]api.Image) (Observed, error) {
	s, err := deps.Engine.Snapshot(ctx, name)
	if err != nil {
		return Observed{}, err
	}
	o := Observed{Snapshot: s, Images: images}
	o.Inherit, err = deps.readInherit(name)
	return o, err
}

// imageRefs lists the images that services name, each once, in the order of the model.
func imageRefs(d Desired) []string {
	var refs []string
	for _, s := range d.Services {
		for _, ref := range s.allImages() {
			if !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// run reports and runs a plan. A Report that ends ctx when it sees the plan has seen all: nothing is done then.
func (deps Deps) run(ctx context.Context, plan Plan) error {
	for _, w := range plan.Warnings {
		deps.Report(Event{Kind: Warned, Text: w})
	}
	for _, s := range plan.Steps {
		c, ok := s.Do.(CreatePod)
		if !ok {
			continue
		}
		if c.Image.ID == "" {
			return fault.New(errdefs.ErrNotFound, "cannot create %s: No such image: %s", c.Spec.Name, c.Spec.Container.Image)
		}
		for _, m := range c.Spec.Container.Mounts {
			if m.Type == api.MountImage && m.ImageID == "" {
				return fault.New(errdefs.ErrNotFound, "cannot create %s: No such image: %s", c.Spec.Name, m.Source)
			}
		}
	}
	deps.Report(Event{Kind: Planned, Plan: &plan})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return Run(ctx, deps.Engine, plan, deps.Report)
}
