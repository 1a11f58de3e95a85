package project

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Down stops and removes what the project has, dependents first. d may be no more than a name: then the labels of what is
// there tell the rest. External networks and volumes stay.
func Down(ctx context.Context, deps Deps, d Desired, opt DownOptions) error {
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
	plan, err := planDown(d, o, opt)
	if err != nil {
		return err
	}
	refs, err := deps.present(ctx, imagesToRemove(d, o, plan, opt))
	if err != nil {
		return err
	}
	if plan.Empty() && len(refs) == 0 {
		plan.Warnings = append(plan.Warnings, fmt.Sprintf("No resource found to remove for project %q", d.Name))
	}
	pods := len(removals(plan))
	last := pods == len(o.Pods)
	unpinned := func() error { return nil }
	if last {
		// Networks take a while to go, images too: neither waits for the other.
		deps.Report, unpinned = deps.unpinAfter(ctx, d.Name, pods)
	}
	if err := errors.Join(deps.run(ctx, plan), unpinned()); err != nil {
		return err
	}
	err = errors.Join(deps.removeImages(ctx, refs), deps.Engine.Tidy(ctx, d.Name))
	if last {
		deps.forget(d.Name) // and with it the lock: nothing may come after
	}
	return err
}

// removals names the pods that a plan removes.
func removals(plan Plan) map[string]bool {
	names := map[string]bool{}
	for _, s := range plan.Steps {
		if isRemoval(s) {
			names[s.Key.Name] = true
		}
	}
	return names
}

func isRemoval(s Step) bool {
	_, ok := s.Do.(RemovePod)
	return ok
}

// unpinAfter lets go of the project's images as soon as as many pods are removed: report has to be told, and wait returns the
// error once nothing more is to come.
func (deps Deps) unpinAfter(ctx context.Context, name string, pods int) (report func(Event), wait func() error) {
	var err error
	var wg sync.WaitGroup
	unpin := func() { wg.Go(func() { err = deps.Images.Unpin(ctx, name) }) }
	if pods == 0 {
		unpin()
	}
	report = func(e Event) {
		if e.Kind == StepEnded && e.Err == nil && isRemoval(*e.Step) {
			if pods--; pods == 0 {
				unpin()
			}
		}
		deps.Report(e)
	}
	return report, func() error {
		if wg.Wait(); errdefs.IsDataLoss(err) { // an image store that cannot be read keeps nothing else from going
			deps.Report(Event{Kind: Warned, Text: fmt.Sprintf("the images of %s stay in use: %v", name, err)})
			return nil
		}
		return err
	}
}

// present is what there is of refs.
func (deps Deps) present(ctx context.Context, refs []string) ([]string, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	here, err := deps.Images.Resolve(ctx, "", refs)
	return slices.DeleteFunc(refs, func(ref string) bool { _, ok := here[ref]; return !ok }), err
}

// removeImages removes images. That others use one is no failure, but a warning.
func (deps Deps) removeImages(ctx context.Context, refs []string) error {
	var errs []error
	for _, ref := range refs {
		deps.Report(Event{Kind: RemovalBegan, Image: ref})
		err := deps.Images.Remove(ctx, ref)
		switch {
		case errdefs.IsNotFound(err):
			err = nil
		case errdefs.IsFailedPrecondition(err):
			deps.Report(Event{Kind: Warned, Text: err.Error()})
		case err != nil:
			errs = append(errs, err)
		}
		deps.Report(Event{Kind: RemovalEnded, Image: ref, Err: err})
	}
	return errors.Join(errs...)
}

// imagesToRemove are the images of the services that go, and of the pods that plan removes. Those named as builds are named,
// project and service, are local.
func imagesToRemove(d Desired, o Observed, plan Plan, opt DownOptions) []string {
	refs := map[string]bool{}
	add := func(service, ref string) {
		local := localName(d.Name, service, ref)
		if opt.RemoveImages == "all" || opt.RemoveImages == "local" && local {
			refs[ref] = true
		}
	}
	for _, s := range d.Services {
		if len(opt.Services) == 0 || slices.Contains(opt.Services, s.Name) {
			add(s.Name, s.Pod.Container.Image)
		}
	}
	goes := removals(plan)
	for _, p := range o.Pods {
		if goes[p.Spec.Name] {
			add(serviceOf(&p), p.Spec.Container.Image)
		}
	}
	return slices.Sorted(maps.Keys(refs))
}

func planDown(d Desired, o Observed, opt DownOptions) (Plan, error) {
	p := newPlanner(d, o, UpOptions{Remedies: opt.Remedies}, scheduling{timeout: opt.Timeout, dropVolumes: opt.Volumes})
	all := len(opt.Services) == 0
	goes, services := p.pick(opt.Services), slices.Clone(opt.Services)
	if !all {
		goes = p.withDependents(goes)
		for _, u := range goes {
			services = append(services, u.Name)
		}
	}
	for _, u := range p.units {
		orphan := p.modelled() && !p.knows(u.Name) && u.hooksOf == "" || u.Name == ""
		if !slices.Contains(goes, u) && !(all && u.dead) && !(all && orphan && opt.RemoveOrphans) {
			continue
		}
		for _, s := range u.slots {
			s.discard(because(TakenDown))
			p.noteStopped(s)
		}
	}
	p.dropHooks(services, because(TakenDown), true)
	p.dropNetworks(all)
	if opt.Volumes {
		p.dropNamedVolumes(all)
	}
	return p.finish()
}

// dropNetworks removes the networks that bear the project's label: all of them, or only those of pods that go. One that a
// pod stays attached to is kept, with a warning.
func (r *resources) dropNetworks(all bool) {
	for _, name := range slices.Sorted(maps.Keys(r.o.Networks)) {
		n := r.o.Networks[name]
		if n.Labels[LabelProject] != r.d.Name || r.isExternal(name) {
			if _, keeps := n.Kept[api.KeeperOf(r.d.Name)]; all && keeps {
				r.keeps[name] = nil
			}
			continue
		}
		gone, stay := r.usersOf(func(pod *api.Pod) bool { return pod.IsOn(name) })
		switch {
		case !all && len(gone) == 0:
		case len(stay) > 0:
			r.warn("network %s is kept: %s %s attached to it%s", name, strings.Join(stay, ", "), isAre(stay), r.stayHint(all, stay))
		default:
			r.networks[name] = &fate{remove: because(TakenDown)}
		}
	}
}

// stayHint says how those that keep a network can be made to go as well.
func (r *resources) stayHint(all bool, stay []string) string {
	var inactive, orphans string
	for _, u := range r.units {
		stays := func(s *slot) bool { return slices.Contains(stay, s.old.Spec.Name) }
		switch {
		case !all || u.model || !slices.ContainsFunc(u.slots, stays):
		case slices.Contains(r.d.Disabled, u.Name):
			inactive = r.remedy(TakeProfiles, "")
		default:
			orphans = r.remedy(DropOrphans, "")
		}
	}
	return inactive + orphans
}

func isAre(names []string) string {
	if len(names) == 1 {
		return "is"
	}
	return "are"
}

func (r *resources) isExternal(network string) bool {
	return slices.ContainsFunc(r.d.Networks, func(n Network) bool { return n.External && n.Spec.Name == network })
}

// dropNamedVolumes removes the volumes that podc has made for the project, unless a pod stays that uses them: those that active
// services use or, without a model, all. Anonymous volumes go with their pods; here only those are found that no pod has any more.
func (r *resources) dropNamedVolumes(all bool) {
	for _, name := range slices.Sorted(maps.Keys(r.o.Volumes)) {
		v := r.o.Volumes[name]
		if !r.concernsVolume(v) {
			continue
		}
		if !v.Anonymous && !r.own(v.Labels) {
			r.warn("volume %s is kept: it was not made for this project", name)
			continue
		}
		gone, stay := r.usersOf(func(pod *api.Pod) bool { return uses(pod, name) })
		switch {
		case !all && len(gone) == 0, v.Anonymous && len(gone) > 0:
		case len(stay) > 0:
			r.warn("volume %s is kept: it is used by %s", name, strings.Join(stay, ", "))
		default:
			r.volumes[name] = &fate{remove: because(VolumesDropped)}
		}
	}
}

// concernsVolume reports whether a volume is one that the model says the project has or, without a model, its labels.
func (r *resources) concernsVolume(v api.Volume) bool {
	if !r.modelled() || v.Anonymous {
		return v.Labels[LabelProject] == r.d.Name && !slices.Contains(r.d.Disabled, v.Labels[LabelService])
	}
	return slices.ContainsFunc(r.d.Volumes, func(w Volume) bool { return w.Spec.Name == v.Name && !w.External })
}
