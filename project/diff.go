package project

import (
	"errors"
	"net/netip"
	"slices"

	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
)

// Diff returns the steps that turn o into d. It is a pure function: no context, clock, logger, prompt or engine. Its error
// joins everything that makes the wish impossible (an unknown service, a missing external network, a port asked for twice);
// nothing should be done then.
func Diff(d Desired, o Observed, opt UpOptions) (Plan, error) {
	p := newPlanner(d, o, opt)
	p.choose()
	if len(p.errs) > 0 {
		return Plan{}, errors.Join(p.errs...)
	}
	p.planNetworks()
	p.planVolumes()
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
	for _, u := range p.units {
		for _, s := range u.slots {
			if u.policy != leave && s.kept() && s.old.Status == engine.StatusPaused {
				p.warn("%s is paused and stays so; podc unpause lets it go on", s.old.Spec.Name)
			}
		}
	}
}

// planner holds the work of one Diff, or of one of its simpler siblings.
type planner struct {
	d   Desired
	o   Observed
	opt UpOptions

	units    []*unit // dependencies before dependents; those of no model last
	byName   map[string]*unit
	networks map[string]*fate
	volumes  map[string]*fate
	keeps    map[string][]netip.Addr // what networks that stay are to keep for the project

	dropVolumes bool // anonymous volumes go with their pods
	shutdown    bool // what stops ends with the machine: what fails keeps nothing else from it
	alone       bool // dependents with `restart: true` do not follow

	plan Plan
	graph
}

// policy says what may happen to the pods of a service.
type policy int

const (
	leave    policy = iota // nothing, but for restarts that others make necessary
	keep                   // what is missing is made, nothing is replaced
	diverged               // what differs is replaced
	force                  // everything is replaced
	drop                   // everything is removed
)

// unit is one service as planning sees it: its wish, made up from labels where the model has none, and its replicas.
type unit struct {
	Service
	model   bool    // the model describes it
	hooksOf string  // service whose hooks earlier starts have left: these are the slots
	hooks   []*slot // hooks that will run before a replica starts
	hooked  []Key   // the steps that end them
	fresh   bool    // its pod is a one-off that is to be made
	dead    bool    // its pods have lost their records: they are good for nothing but removal
	policy  policy
	slots   []*slot // by number
}

// slot is one replica: what is there, what will be there, and why each thing is done in between; no reason means that it
// is not done.
type slot struct {
	old    *engine.Pod // nil: nothing is there
	number int
	name   string // of what will be there; empty: nothing
	spec   *engine.PodSpec
	image  engine.Image

	stop, remove, create, start Reason

	rejoins        []rejoin // networks that a pod that stays leaves and joins
	kill           string   // signal
	restore        *RestoreFiles
	pause, unpause Reason
}

// will is the spec of what will be there, or nil.
func (s *slot) will() *engine.PodSpec {
	switch {
	case s.name == "":
		return nil
	case s.spec != nil:
		return s.spec
	default:
		return &s.old.Spec
	}
}

// kept reports whether the pod that is there goes on untouched so far.
func (s *slot) kept() bool {
	return s.old != nil && !s.remove.given() && !s.stop.given() && !s.start.given()
}

// touched reports whether the pod is replaced or restarted, which those with `restart: true` want to know.
func (s *slot) touched() bool {
	return s.old != nil && (s.create.given() || s.stop.given() && s.start.given())
}

func newPlanner(d Desired, o Observed, opt UpOptions) *planner {
	p := &planner{d: d, o: o, opt: opt, byName: map[string]*unit{}, networks: map[string]*fate{}, volumes: map[string]*fate{}, keeps: map[string][]netip.Addr{}}
	p.plan.Warnings = slices.Clone(d.Warnings)
	for _, s := range d.Services {
		p.addUnit(&unit{Service: s, model: true})
	}
	var rest []*engine.Pod
	var dead []*slot
	for i := range o.Pods {
		pod := &o.Pods[i]
		if pod.Status == engine.StatusDead {
			dead = append(dead, &slot{old: pod, name: pod.Spec.Name})
		} else if u := p.byName[serviceOf(pod)]; u != nil && !oneOff(pod) {
			u.slots = append(u.slots, &slot{old: pod, name: pod.Spec.Name, number: numberOf(pod)})
		} else if !oneOff(pod) {
			rest = append(rest, pod)
		}
	}
	for _, s := range recall(rest) {
		u := &unit{Service: s}
		p.addUnit(u)
		for _, pod := range rest {
			if serviceOf(pod) == s.Name {
				u.slots = append(u.slots, &slot{old: pod, name: pod.Spec.Name, number: numberOf(pod)})
			}
		}
	}
	p.addOneOffs()
	p.addHooks()
	if len(dead) > 0 {
		p.units = append(p.units, &unit{dead: true, slots: dead})
	}
	for _, u := range p.units {
		slices.SortStableFunc(u.slots, func(a, b *slot) int { return a.number - b.number })
	}
	return p
}

func (p *planner) addUnit(u *unit) {
	p.units = append(p.units, u)
	p.byName[u.Name] = u
}

// addOneOffs adds a unit for the pods made by `run`. It has no name: nothing depends on it.
func (p *planner) addOneOffs() {
	u := &unit{}
	for i := range p.o.Pods {
		pod := &p.o.Pods[i]
		if !oneOff(pod) || hookOf(pod) != "" || pod.Status == engine.StatusDead {
			continue
		}
		u.slots = append(u.slots, &slot{old: pod, name: pod.Spec.Name, number: numberOf(pod)})
		u.DependsOn = append(u.DependsOn, parseDependsOn(pod.Spec.Labels[LabelDependsOn])...)
		u.DependsOn = append(u.DependsOn, Dependency{Service: serviceOf(pod), Condition: engine.Started})
	}
	if len(u.slots) > 0 {
		u.DependsOn = unique(u.DependsOn)
		p.units = append(p.units, u)
	}
}

func (p *planner) fail(class error, format string, args ...any) {
	p.errs = append(p.errs, fault.New(class, format, args...))
}
