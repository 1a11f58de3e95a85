package compose

import (
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// selected activates and restricts services as asked for, and drops what nothing uses.
func (l *load) selected(tp *types.Project) (*types.Project, error) {
	for _, name := range l.opt.Services {
		if _, ok := tp.AllServices()[name]; !ok {
			return nil, noSuchService(name, tp)
		}
	}
	tp, err := tp.WithServicesEnabled(l.opt.Services...)
	if err != nil {
		return nil, l.loaderError(err)
	}
	if !l.opt.NoConsistency {
		if err := l.dependencies(tp); err != nil {
			return nil, err
		}
	}
	l.pick(tp)
	if !l.opt.AllResources {
		tp = withHooks(tp.WithoutUnnecessaryResources(), tp)
	}
	return tp, nil
}

// pick disables all services but those asked for and, unless NoDeps, what they depend on.
func (l *load) pick(tp *types.Project) {
	if len(l.opt.Services) == 0 {
		return
	}
	keep := map[string]bool{}
	for queue := slices.Clone(l.opt.Services); len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		s, active := tp.Services[name]
		if keep[name] || !active {
			continue
		}
		keep[name] = true
		if !l.opt.NoDeps {
			queue = append(queue, s.GetDependencies()...)
		}
	}
	if tp.DisabledServices == nil {
		tp.DisabledServices = types.Services{}
	}
	for name, s := range tp.Services {
		if !keep[name] {
			tp.DisabledServices[name] = s
			delete(tp.Services, name)
		}
	}
	for _, s := range tp.Services {
		maps.DeleteFunc(s.DependsOn, func(dep string, _ types.ServiceDependency) bool { return !keep[dep] })
	}
}

// withHooks puts back what only pre_start hooks use of all: compose-go does not look at them.
func withHooks(tp, all *types.Project) *types.Project {
	for _, s := range tp.Services {
		for _, h := range s.PreStart {
			for name := range h.Networks {
				putBack(tp.Networks, all.Networks, name)
			}
			for _, v := range h.Volumes {
				putBack(tp.Volumes, all.Volumes, v.Source)
			}
			for _, f := range h.Secrets {
				putBack(tp.Secrets, all.Secrets, f.Source)
			}
			for _, f := range h.Configs {
				putBack(tp.Configs, all.Configs, f.Source)
			}
		}
	}
	return tp
}

func putBack[V any](kept, all map[string]V, name string) {
	if v, ok := all[name]; ok {
		kept[name] = v
	}
}

func noSuchService(name string, tp *types.Project) error {
	return Invalid("", "no such service: %s", name).Suggesting(name, slices.Sorted(maps.Keys(tp.AllServices())))
}

// dependencies checks that required dependencies of active services are active, and drops the others with a warning.
func (l *load) dependencies(tp *types.Project) error {
	var errs []error
	all := slices.Sorted(maps.Keys(tp.AllServices()))
	for _, name := range tp.ServiceNames() {
		deps := tp.Services[name].DependsOn
		for _, dep := range slices.Sorted(maps.Keys(deps)) {
			if _, ok := tp.Services[dep]; ok {
				continue
			}
			written := dependencyKey(tp.Services[name], dep)
			key, hint := "services."+name+"."+written, ""
			if written == "depends_on" {
				key, hint = key+"."+dep, ", or `required: false`"
			}
			disabled, exists := tp.DisabledServices[dep]
			switch {
			case !deps[dep].Required:
				l.warnKey(key, "left out: service %q is not active", dep)
				delete(deps, dep)
			case exists:
				errs = append(errs, Invalid(key, "service %q is only active with profile %s", dep, strings.Join(disabled.Profiles, " or ")).
					WithHint("add --profile %s%s", disabled.Profiles[0], hint))
			default:
				errs = append(errs, Invalid(key, "service %q is not declared", dep).Suggesting(dep, all))
			}
		}
	}
	return Join(errs...)
}
