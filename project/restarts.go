package project

// planRestarts stops and starts those running replicas of u that stay as they are, but cannot stay running while something
// they hold on to is replaced. Units are visited dependencies first, so one restart can call for the next.
func (p *planner) planRestarts(u *unit) {
	var dependency Reason
	if !p.alone {
		dependency = p.restartedDependency(u)
	}
	for _, s := range u.slots {
		if !s.kept() || !running(s.old) {
			continue
		}
		lost := p.lostProvider(s)
		why := firstGiven(lost, dependency)
		switch {
		case !why.given():
		case p.providerRuns(s):
			s.stop, s.start = why, why
		case lost.given():
			s.stop = why
			p.warn("%s is stopped and cannot be started again: it %s", s.old.Spec.Name, why)
		}
	}
}

// lostProvider says what happens to a pod whose namespaces this one shares.
func (r *roster) lostProvider(s *slot) Reason {
	for _, b := range namespacesOf(&s.old.Spec) {
		of := r.slotOf(b.Of)
		switch {
		case of == nil || !of.stop.given() && !of.remove.given() && !of.start.given():
		case of.create.given():
			return because(LenderRemade, b.What, b.Of)
		case of.remove.given():
			return because(LenderRemoved, b.What, b.Of)
		case !of.start.given():
			return because(LenderStopped, b.What, b.Of)
		default:
			return because(LenderStarted, b.What, b.Of)
		}
	}
	return Reason{}
}

// providerRuns reports whether the namespaces that the pod shares will be there after this plan. Those of pods that are none
// of this project's are taken to be.
func (r *roster) providerRuns(s *slot) bool {
	for _, b := range namespacesOf(&s.old.Spec) {
		of := r.slotOf(b.Of)
		if of != nil && !of.start.given() && (of.stop.given() || of.remove.given() || !running(of.old)) {
			return false
		}
	}
	return true
}

// restartedDependency names a dependency with `restart: true` that is replaced or restarted and runs afterwards.
func (r *roster) restartedDependency(u *unit) Reason {
	for _, d := range u.DependsOn {
		dep := r.byName[d.Service]
		if !d.Restart || dep == nil {
			continue
		}
		for _, s := range dep.slots {
			switch {
			case !s.touched() || !s.start.given():
			case s.create.given():
				return because(DependencyRemade, d.Service)
			default:
				return because(DependencyAnew, d.Service)
			}
		}
	}
	return Reason{}
}
