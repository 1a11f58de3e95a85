package project

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Stop stops running pods, dependents first. Like the other verbs of this file it works with no more than the project's name
// in d: the labels of the pods tell the rest.
func Stop(ctx context.Context, deps Deps, d Desired, opt StopOptions) error {
	return deps.verb(ctx, d, func(o Observed) (Plan, error) { return planStop(d, o, opt) })
}

// Start starts pods that do not run, and what they depend on, dependencies first, waiting for the conditions of depends_on.
func Start(ctx context.Context, deps Deps, d Desired, opt StartOptions) error {
	return deps.verb(ctx, d, func(o Observed) (Plan, error) { return planStart(d, o, opt) })
}

// Restart stops and starts pods, and with them those that depend on them with `restart: true`. The compose file is not
// applied.
func Restart(ctx context.Context, deps Deps, d Desired, opt RestartOptions) error {
	return deps.verb(ctx, d, func(o Observed) (Plan, error) { return planRestart(d, o, opt) })
}

// Kill sends a signal to running pods. No pod running is no error.
func Kill(ctx context.Context, deps Deps, d Desired, opt KillOptions) error {
	return deps.verb(ctx, d, func(o Observed) (Plan, error) { return planKill(d, o, opt) })
}

// Pause pauses running pods. No pod running is no error; one that is paused already is.
func Pause(ctx context.Context, deps Deps, d Desired, opt PauseOptions) error {
	return deps.verb(ctx, d, func(o Observed) (Plan, error) { return planPause(d, o, opt) })
}

// Unpause lets paused pods go on. No pod running is no error; one that is not paused is.
func Unpause(ctx context.Context, deps Deps, d Desired, opt PauseOptions) error {
	return deps.verb(ctx, d, func(o Observed) (Plan, error) { return planUnpause(d, o, opt) })
}

// Remove removes pods that do not run, after asking, unless opt.Force is given. No such pod is no error. With the last pod goes
// what ran for all of them.
func Remove(ctx context.Context, deps Deps, d Desired, opt RemoveOptions) error {
	err := deps.verb(ctx, d, func(o Observed) (Plan, error) {
		plan, err := planRemove(d, o, opt)
		if err == nil && !opt.Force && len(plan.Steps) > 0 && (deps.Confirm == nil || !deps.Confirm(plan.Steps)) {
			return Plan{}, nil
		}
		return plan, err
	})
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, deps.Engine.Tidy(ctx, d.Name))
}

func (deps Deps) verb(ctx context.Context, d Desired, plan func(Observed) (Plan, error)) error {
	deps.Report = serial(deps.Report)
	lock, err := deps.lock(ctx, d.Name)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	o, err := deps.observe(ctx, d.Name, nil)
	if err != nil {
		return err
	}
	p, err := plan(o)
	if err == nil {
		err = deps.checkHost(ctx, &p)
	}
	if err != nil {
		return err
	}
	return deps.run(ctx, p)
}

// pick returns the units that a verb works on. With a model a service that it does not have is an error; without one, names of
// nothing are passed over.
func (p *planner) pick(services []string) []*unit {
	var picked []*unit
	for _, u := range p.units {
		if u.Name != "" && p.chosen(services, u.Name) && (!p.modelled() || p.knows(u.Name)) {
			picked = append(picked, u)
		}
	}
	for _, name := range services {
		if p.modelled() && !p.knows(name) {
			p.fail(errdefs.ErrNotFound, "no such service: %s", name)
		}
	}
	return picked
}

// each calls do for the present pods of the chosen services.
func (p *planner) each(services []string, do func(*slot)) {
	for _, u := range p.pick(services) {
		u.policy = keep
		for _, s := range u.slots {
			do(s)
		}
	}
}

// newVerb is newPlanner without the warnings about the compose file, which a verb does not apply.
func newVerb(d Desired, o Observed, how scheduling) *planner {
	d.Warnings = nil
	return newPlanner(d, o, UpOptions{}, how)
}

func planStop(d Desired, o Observed, opt StopOptions) (Plan, error) {
	p := newVerb(d, o, scheduling{timeout: opt.Timeout})
	halt := func(s *slot) { s.halt(because(AskedFor)); p.noteStopped(s) }
	p.each(opt.Services, halt)
	p.eachOneOff(opt.Services, halt)
	p.eachHook(opt.Services, func(s *slot) { s.halt(because(AskedFor)) })
	return p.finish()
}

// noteStopped notes of a pod that is to be stopped whether it was before.
func (p *planner) noteStopped(s *slot) {
	if s.old != nil && !s.stop.given() {
		p.plan.Stopped = append(p.plan.Stopped, s.old.Spec.Name)
	}
}

func planStart(d Desired, o Observed, opt StartOptions) (Plan, error) {
	p := newVerb(d, o, scheduling{ready: opt.Wait, waitTimeout: opt.WaitTimeout})
	units := p.pick(opt.Services)
	none := !slices.ContainsFunc(units, func(u *unit) bool { return len(u.slots) > 0 })
	if len(units) == 0 && !slices.ContainsFunc(p.units, func(u *unit) bool { return len(u.slots) > 0 }) {
		for _, name := range opt.Services { // of an inactive profile
			p.fail(errdefs.ErrNotFound, "service %q has no container to start; create it with: podc up %s", name, name)
		}
	}
	for _, u := range units {
		if len(u.slots) == 0 && (len(opt.Services) > 0 || none && u.model && u.Replicas > 0) {
			p.fail(errdefs.ErrNotFound, "service %q has no container to start; create it with: podc up %s", u.Name, u.Name)
		}
		p.startUnit(u)
	}
	for _, u := range p.units {
		p.planRestarts(u)
	}
	return p.finish()
}

// startUnit starts the pods of a service and of all that it depends on.
func (p *planner) startUnit(u *unit) {
	if u.policy == keep {
		return
	}
	u.policy = keep
	for _, s := range u.slots {
		p.startSlot(s)
	}
	for _, d := range dependencies(u.Service) {
		if dep := p.byName[d.Service]; dep != nil {
			p.startUnit(dep)
		}
	}
}

func (p *planner) startSlot(s *slot) {
	switch {
	case halfMade(s.old):
		p.warn("%s was left half made and cannot be started; podc up makes it anew", s.old.Spec.Name)
	case unfit(s.old).given():
		s.stop, s.start = unfit(s.old), unfit(s.old)
	case !running(s.old):
		s.start = idleReason(s.old)
	case s.old.HooksDue:
		s.start = because(HooksDue)
	}
}

func planRestart(d Desired, o Observed, opt RestartOptions) (Plan, error) {
	p := newVerb(d, o, scheduling{timeout: opt.Timeout})
	p.alone = opt.NoDeps
	p.each(opt.Services, func(s *slot) {
		if running(s.old) {
			s.stop, s.start = because(AskedFor), because(AskedFor)
		} else {
			p.startSlot(s)
		}
	})
	for _, u := range p.units {
		p.planRestarts(u)
	}
	return p.finish()
}

func planKill(d Desired, o Observed, opt KillOptions) (Plan, error) {
	p, signal := newVerb(d, o, scheduling{}), cmp.Or(opt.Signal, "SIGKILL")
	kill := func(s *slot) {
		switch {
		case s.old.Status.Live():
			s.kill = signal
		case s.old.Status == api.StatusRestarting && strings.HasSuffix(signal, "KILL"):
			s.stop = because(AskedFor) // no process to signal, but one to come
		}
	}
	p.each(opt.Services, kill)
	p.eachOneOff(opt.Services, kill)
	if opt.RemoveOrphans {
		p.opt.RemoveOrphans = true
		p.chooseOrphans()
		for _, u := range p.units {
			if u.policy == drop && p.modelled() {
				p.dropOrphans(u)
			}
		}
	}
	plan, err := p.finish()
	if err == nil && plan.Empty() {
		plan.Warnings = append(plan.Warnings, "No container to kill")
	}
	return plan, err
}

func planPause(d Desired, o Observed, opt PauseOptions) (Plan, error) {
	return planLive(d, o, opt.Services, func(s *slot) { s.pause = because(AskedFor) })
}

func planUnpause(d Desired, o Observed, opt PauseOptions) (Plan, error) {
	return planLive(d, o, opt.Services, func(s *slot) { s.unpause = because(AskedFor) })
}

// planLive has something done to the pods that have processes.
func planLive(d Desired, o Observed, services []string, do func(*slot)) (Plan, error) {
	p := newVerb(d, o, scheduling{})
	p.each(services, func(s *slot) {
		if s.old.Status.Live() {
			do(s)
		}
	})
	return p.finish()
}

func planRemove(d Desired, o Observed, opt RemoveOptions) (Plan, error) {
	p := newVerb(d, o, scheduling{dropVolumes: opt.Volumes})
	p.each(opt.Services, func(s *slot) {
		if opt.Stop || !running(s.old) {
			s.discard(because(AskedFor))
		}
		if opt.Stop {
			p.noteStopped(s)
		}
	})
	p.dropHooks(opt.Services, because(AskedFor), opt.Stop)
	plan, err := p.finish()
	if err == nil && plan.Empty() {
		plan.Warnings = append(plan.Warnings, "No stopped containers")
	}
	return plan, err
}
