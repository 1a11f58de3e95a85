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
	all := map[string]Service{}
	for _, s := range d.Services {
		all[s.Name] = s
	}
	i := &preparations{roster: newRoster(d, nil), findings: &findings{}, plan: &Plan{Warnings: d.Warnings}}
	var add func(name string, deps bool)
	seen := map[string]bool{}
	add = func(name string, deps bool) {
		s, ok := all[name]
		if !ok {
			i.refuse(errdefs.ErrNotFound, "no such service: %s", name)
		}
		if seen[name] || !ok {
			return
		}
		seen[name] = true
		for _, dep := range s.DependsOn {
			if _, here := all[dep.Service]; deps && here {
				add(dep.Service, true)
			}
		}
		if s.Build != nil {
			i.build(&unit{Service: s, model: true}, because(AskedFor))
		}
	}
	for _, s := range d.Services {
		if len(opt.Services) == 0 {
			add(s.Name, false)
		}
	}
	for _, name := range opt.Services {
		add(name, opt.WithDeps)
	}
	for at := range i.plan.Prepare {
		i.plan.Prepare[at].Build = opt.applied(*i.plan.Prepare[at].Build)
	}
	if len(i.errs) > 0 {
		return Plan{}, errors.Join(i.errs...)
	}
	return *i.plan, nil
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
