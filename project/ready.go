package project

import (
	"context"
	"errors"
	"maps"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// BuildOptions are those of Build. What they say is added to what the services say.
type BuildOptions struct {
	Services []string // none: all that have a build
	WithDeps bool     // build those too that Services depend on
	Args     map[string]string
	SSH      map[string]string // as in api.Build
	NoCache  bool
	Pull     bool
	Memory   int64 // bytes; 0: no limit
}

// Build makes the images of services anew, a few at once, each after those that it is made of. No container is touched.
func Build(ctx context.Context, deps Deps, d Desired, opt BuildOptions) error {
	deps.Report = serial(deps.Report)
	plan, err := PlanBuild(d, opt)
	if err != nil {
		return err
	}
	deps.Report(Event{Kind: Planned, Plan: &plan})
	return deps.prepare(ctx, plan.Prepare)
}

// PlanBuild is what Build will do.
func PlanBuild(d Desired, opt BuildOptions) (Plan, error) {
	i := &preparations{roster: newRoster(d, nil), findings: &findings{}, plan: &Plan{Warnings: d.Warnings}}
	for _, u := range i.picked(opt.Services, opt.WithDeps) {
		if u.Build != nil {
			i.build(u, because(AskedFor))
		}
	}
	for at := range i.plan.Prepare {
		i.plan.Prepare[at].Build = opt.applied(*i.plan.Prepare[at].Build)
	}
	return *i.plan, errors.Join(i.errs...)
}

// PullOptions are those of Pull.
type PullOptions struct {
	Services        []string   // none: all
	WithDeps        bool       // pull for those too that Services depend on
	Policy          PullPolicy // PullMissing: only what is not here; empty: all
	IgnoreBuildable bool       // not what a build makes
	IgnoreFailures  bool       // one that fails is a warning
}

// Pull fetches the images of services, a few at once. No container is touched.
func Pull(ctx context.Context, deps Deps, d Desired, opt PullOptions) error {
	deps.Report = serial(deps.Report)
	here, err := deps.Images.Resolve(ctx, "", imageRefs(d))
	if err != nil {
		return err
	}
	plan, err := planPull(d, here, opt)
	if err != nil {
		return err
	}
	deps.Report(Event{Kind: Planned, Plan: &plan})
	return deps.prepareOr(ctx, plan, opt.IgnoreFailures)
}

func planPull(d Desired, here map[string]api.Image, opt PullOptions) (Plan, error) {
	i := &preparations{roster: newRoster(d, nil), findings: &findings{}, plan: &Plan{Warnings: d.Warnings}}
	for _, u := range i.picked(opt.Services, opt.WithDeps) {
		for _, ref := range u.allImages() {
			_, known := here[ref]
			own := i.maker(ref) != nil
			switch {
			case own && (opt.IgnoreBuildable || localName(d.Name, u.Name, ref)):
			case u.Pull == PullNever || u.Pull == PullBuild:
			case known && opt.Policy == PullMissing:
			default:
				i.prepare(u, Prepare{Ref: ref, How: ByPull, Why: because(AskedFor)})
			}
		}
	}
	return *i.plan, errors.Join(i.errs...)
}

// PushOptions are those of Push.
type PushOptions struct {
	Services       []string // none: all
	WithDeps       bool     // push those too that Services depend on
	IgnoreFailures bool     // one that fails is a warning
}

// Push sends the images that services build, and that have a name of their own, to their registries, a few at once.
func Push(ctx context.Context, deps Deps, d Desired, opt PushOptions) error {
	deps.Report = serial(deps.Report)
	i := &preparations{roster: newRoster(d, nil), findings: &findings{}, plan: &Plan{Warnings: d.Warnings}}
	for _, u := range i.picked(opt.Services, opt.WithDeps) {
		if u.Build == nil {
			continue
		}
		for _, ref := range u.Build.Names {
			if !localName(d.Name, u.Name, ref) {
				i.prepare(u, Prepare{Ref: ref, How: ByPush, Why: because(AskedFor)})
			}
		}
	}
	if len(i.errs) > 0 {
		return errors.Join(i.errs...)
	}
	deps.Report(Event{Kind: Planned, Plan: i.plan})
	return deps.prepareOr(ctx, *i.plan, opt.IgnoreFailures)
}

// prepareOr is prepare; with warn what fails is a warning.
func (deps Deps) prepareOr(ctx context.Context, p Plan, warn bool) error {
	err := deps.prepare(ctx, p.Prepare)
	if warn && err != nil && ctx.Err() == nil {
		deps.Report(Event{Kind: Warned, Text: err.Error()})
		return nil
	}
	return err
}

// picked are the services of names, or all where there are none, and with deps those that they depend on, which come first.
func (i *preparations) picked(names []string, deps bool) (list []*unit) {
	if len(names) == 0 {
		return i.units
	}
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		u := i.byName[name]
		if u == nil {
			i.refuse(errdefs.ErrNotFound, "no such service: %s", name)
		}
		if u == nil || seen[name] {
			return
		}
		seen[name] = true
		for _, dep := range u.DependsOn {
			if deps && i.byName[dep.Service] != nil {
				add(dep.Service)
			}
		}
		list = append(list, u)
	}
	for _, name := range names {
		add(name)
	}
	return list
}

// applied is b with what the options say.
func (o BuildOptions) applied(b api.Build) *api.Build {
	b.Args, b.SSH = maps.Clone(b.Args), maps.Clone(b.SSH)
	for k, v := range o.Args {
		if b.Args == nil {
			b.Args = map[string]string{}
		}
		b.Args[k] = v
	}
	for k, v := range o.SSH {
		if b.SSH == nil {
			b.SSH = map[string]string{}
		}
		b.SSH[k] = v
	}
	b.NoCache, b.Pull, b.Memory = b.NoCache || o.NoCache, b.Pull || o.Pull, o.Memory
	return &b
}
