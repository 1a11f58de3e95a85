package project

import (
	"iter"
	"slices"

	"podc.example/podc/api"
)

// roster is who takes part in a plan: the services of the model, those that only labels tell of, and what else is there of the
// project. What it is asked it answers from what was decided of each so far.
type roster struct {
	d      Desired
	units  []*unit // dependencies before dependents; those of no model last
	byName map[string]*unit
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
	old    *api.Pod // nil: nothing is there
	number int
	name   string // of what will be there; empty: nothing
	spec   *api.PodSpec
	image  api.Image

	stop, remove, create, start Reason

	rejoins        []rejoin // networks that a pod that stays leaves and joins
	kill           string   // signal
	restore        *RestoreFiles
	pause, unpause Reason
}

// will is the spec of what will be there, or nil.
func (s *slot) will() *api.PodSpec {
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

func newRoster(d Desired, pods []api.Pod) *roster {
	r := &roster{d: d, byName: map[string]*unit{}}
	for _, s := range d.Services {
		r.addUnit(&unit{Service: s, model: true})
	}
	var rest []*api.Pod
	var dead []*slot
	for i := range pods {
		pod := &pods[i]
		if pod.Status == api.StatusDead {
			dead = append(dead, &slot{old: pod, name: pod.Spec.Name})
		} else if u := r.byName[serviceOf(pod)]; u != nil && !oneOff(pod) {
			u.slots = append(u.slots, &slot{old: pod, name: pod.Spec.Name, number: numberOf(pod)})
		} else if !oneOff(pod) {
			rest = append(rest, pod)
		}
	}
	for _, s := range recall(rest) {
		u := &unit{Service: s}
		r.addUnit(u)
		for _, pod := range rest {
			if serviceOf(pod) == s.Name {
				u.slots = append(u.slots, &slot{old: pod, name: pod.Spec.Name, number: numberOf(pod)})
			}
		}
	}
	r.addOneOffs(pods)
	r.addHooks(pods)
	if len(dead) > 0 {
		r.units = append(r.units, &unit{dead: true, slots: dead})
	}
	for _, u := range r.units {
		slices.SortStableFunc(u.slots, func(a, b *slot) int { return a.number - b.number })
	}
	return r
}

func (r *roster) addUnit(u *unit) {
	r.units = append(r.units, u)
	r.byName[u.Name] = u
}

// addOneOffs adds a unit for the pods made by `run`. It has no name: nothing depends on it.
func (r *roster) addOneOffs(pods []api.Pod) {
	u := &unit{}
	for i := range pods {
		pod := &pods[i]
		if !oneOff(pod) || hookOf(pod) != "" || pod.Status == api.StatusDead {
			continue
		}
		u.slots = append(u.slots, &slot{old: pod, name: pod.Spec.Name, number: numberOf(pod)})
		u.DependsOn = append(u.DependsOn, parseDependsOn(pod.Spec.Labels[LabelDependsOn])...)
		u.DependsOn = append(u.DependsOn, Dependency{Service: serviceOf(pod), Condition: api.Started})
	}
	if len(u.slots) > 0 {
		u.DependsOn = unique(u.DependsOn)
		r.units = append(r.units, u)
	}
}

// modelled reports whether there is more than a name: else the labels of what is there tell the rest.
func (r *roster) modelled() bool { return len(r.d.Services)+len(r.d.Disabled) > 0 }

// chosen reports whether a verb that names services, or none, works on one. None means, as with docker compose, those of the
// active profiles or, without a model, all.
func (r *roster) chosen(services []string, service string) bool {
	if len(services) > 0 {
		return slices.Contains(services, service)
	}
	u := r.byName[service]
	return !r.modelled() || u != nil && u.model
}

// knows reports whether a service is in the model, switched on or not.
func (r *roster) knows(service string) bool {
	u := r.byName[service]
	return u != nil && u.model || slices.Contains(r.d.Disabled, service)
}

// orphanOneOff reports whether a one-off is left over: it has ended, or its service is gone.
func (r *roster) orphanOneOff(pod *api.Pod) bool {
	return !running(pod) || !r.knows(serviceOf(pod))
}

// slots are those of all units, in their order.
func (r *roster) slots() iter.Seq2[*unit, *slot] {
	return func(yield func(*unit, *slot) bool) {
		for _, u := range r.units {
			for _, s := range u.slots {
				if !yield(u, s) {
					return
				}
			}
		}
	}
}

// slotOf finds the slot that holds or held the pod.
func (r *roster) slotOf(pod string) *slot {
	for _, s := range r.slots() {
		if s.name == pod || s.old != nil && s.old.Spec.Name == pod {
			return s
		}
	}
	return nil
}

// eachOneOff calls do for what `run` has made of the services named, or chosen where none is.
func (r *roster) eachOneOff(services []string, do func(*slot)) {
	for u, s := range r.slots() {
		if u.Name == "" && u.hooksOf == "" && !u.dead && r.chosen(services, serviceOf(s.old)) {
			do(s)
		}
	}
}

// withDependents adds the services that depend on units, directly or not: they cannot do without them.
func (r *roster) withDependents(units []*unit) []*unit {
	for i := 0; i < len(units); i++ {
		for _, u := range r.units {
			depends := func(d Dependency) bool { return d.Service == units[i].Name }
			if u.Name != "" && r.chosen(nil, u.Name) && !slices.Contains(units, u) && slices.ContainsFunc(dependencies(u.Service), depends) {
				units = append(units, u)
			}
		}
	}
	return units
}

// awaited reports whether some service depends on the completion of u.
func (r *roster) awaited(u *unit) bool {
	for _, other := range r.units {
		for _, d := range other.DependsOn {
			if d.Service == u.Name && d.Condition == api.Completed {
				return true
			}
		}
	}
	return false
}

// usersOf names the matching pods, apart by whether this plan removes them.
func (r *roster) usersOf(match func(*api.Pod) bool) (gone, stay []string) {
	for _, s := range r.slots() {
		switch {
		case s.old == nil || !match(s.old):
		case s.remove.given():
			gone = append(gone, s.old.Spec.Name)
		default:
			stay = append(stay, s.old.Spec.Name)
		}
	}
	slices.Sort(stay)
	return gone, stay
}

// endsOf are the steps after which matching pods hold nothing any more.
func (r *roster) endsOf(match func(*api.Pod) bool) []Key {
	var ends []Key
	for _, s := range r.slots() {
		if s.old != nil && match(s.old) {
			ends = append(ends, s.end()...)
		}
	}
	return ends
}

// end is the step after which the present pod of a slot holds no port, address or namespace any more, none if it goes on: a stop
// leaves that to the removal that follows it.
func (s *slot) end() []Key {
	switch {
	case s.old == nil:
	case s.remove.given():
		return []Key{removeKey(s.old.Spec.Name)}
	case s.stop.given():
		return []Key{stopKey(s.old.Spec.Name)}
	}
	return nil
}

// sharersOf are the slots whose present pod borrows from that of s.
func (r *roster) sharersOf(s *slot) []*slot {
	var sharers []*slot
	for _, o := range r.slots() {
		if s.old != nil && o.old != nil && borrowsFrom(&o.old.Spec, s.old.Spec.Name) {
			sharers = append(sharers, o)
		}
	}
	return sharers
}

// dependentStops are the stops of those that depend on s, as far as they stop: where labels contradict each other dependencies are a
// cycle, which is cut at what is planned first.
func (r *roster) dependentStops(u *unit, s *slot) []Key {
	var stops []Key
	for _, other := range r.units {
		depends := func(d Dependency) bool { return d.Service == u.Name && u.Name != "" }
		all := slices.ContainsFunc(dependencies(other.Service), depends)
		for _, o := range other.slots {
			if o.old != nil && (all || borrowsFrom(&o.old.Spec, s.old.Spec.Name)) {
				stops = append(stops, stopKey(o.old.Spec.Name))
			}
		}
	}
	return stops
}
