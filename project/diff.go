package project

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Diff returns the steps that turn o into d. It is a pure function: no context, clock, logger, prompt or engine. Its error
// joins everything that makes the wish impossible (an unknown service, a missing external network, a port asked for twice);
// nothing should be done then.
func Diff(d Desired, o Observed, opt UpOptions) (Plan, error) {
	p := newPlanner(d, o, opt, scheduling{timeout: opt.Timeout, ready: opt.Wait, waitTimeout: opt.WaitTimeout, noStart: opt.NoStart})
	p.choose()
	if len(p.errs) > 0 {
		return Plan{}, errors.Join(p.errs...)
	}
	p.planNetworks(opt.Services)
	p.planVolumes(opt.Services, opt.KeepVolumes)
	p.prepareAlways()
	for _, u := range p.units {
		p.planReplicas(u)
		p.planRestarts(u)
		p.planNetworksOf(u)
		p.planHooks(u)
	}
	p.warnOfPaused()
	p.checkNames()
	p.checkHealth()
	p.checkPorts()
	p.claimAddresses()
	return p.finish()
}

// warnOfPaused names the pods that were paused by hand: that is no reason to let them go on.
func (p *planner) warnOfPaused() {
	for u, s := range p.slots() {
		if u.policy != leave && s.kept() && s.old.Status == api.StatusPaused {
			p.warn("%s is paused and stays so; podc unpause lets it go on", s.old.Spec.Name)
		}
	}
}

// planner holds the work of one Diff, or of one of its simpler siblings. It decides what becomes of each pod; its parts decide the
// rest, and none of them more than it has to know for that.
type planner struct {
	*roster
	*findings
	*resources
	*preparations
	comparison comparison
	how        scheduling
	o          Observed
	opt        UpOptions
	alone      bool // dependents with `restart: true` do not follow
	plan       Plan
}

func newPlanner(d Desired, o Observed, opt UpOptions, how scheduling) *planner {
	p := &planner{roster: newRoster(d, o.Pods), findings: &findings{warnings: slices.Clone(d.Warnings), remedies: opt.Remedies}, o: o, opt: opt, how: how}
	p.plan.inherits = map[string]map[string]string{}
	p.resources = &resources{roster: p.roster, findings: p.findings, o: o, networks: map[string]*fate{}, volumes: map[string]*fate{}, keeps: map[string][]netip.Addr{}}
	p.preparations = &preparations{roster: p.roster, findings: p.findings, o: o, opt: opt, plan: &p.plan}
	p.comparison = comparison{p.roster, p.volumes, o.Images}
	return p
}

// finish makes the plan of what is decided, unless something was refused.
func (p *planner) finish() (Plan, error) {
	if len(p.errs) > 0 {
		return Plan{}, errors.Join(p.errs...)
	}
	c := scheduler{roster: p.roster, resources: p.resources, images: p.o.Images, scheduling: p.how}
	if c.schedule(); len(c.errs) > 0 {
		return Plan{}, errors.Join(c.errs...)
	}
	p.plan.Steps, p.plan.Warnings = c.steps, p.warnings
	return p.plan, nil
}

// findings are what is wrong with a wish, and what else people are told of it.
type findings struct {
	errs     []error
	warnings []string
	remedies Remedies
}

// remedy is the end of a text that tells what can be asked for, "" if nobody says how.
func (f *findings) remedy(r Remedy, name string) string {
	words := f.remedies[r]
	if words == "" {
		return ""
	}
	return "; " + strings.ReplaceAll(words, "{name}", name)
}

func (f *findings) fail(class error, format string, args ...any) {
	f.errs = append(f.errs, fault.New(class, format, args...))
}

// refuse is fail for what may be found more than once.
func (f *findings) refuse(class error, format string, args ...any) {
	err := fault.New(class, format, args...)
	same := func(e error) bool { return e.Error() == err.Error() }
	if !slices.ContainsFunc(f.errs, same) {
		f.errs = append(f.errs, err)
	}
}

func (f *findings) warn(format string, args ...any) {
	f.warnings = append(f.warnings, fmt.Sprintf(format, args...))
}
