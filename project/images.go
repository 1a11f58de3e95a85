package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Images is what a project needs of the image store.
type Images interface {
	// Resolve says what references mean here; those that mean nothing are absent from the answer. The images are pinned for
	// group, so that nobody deletes them, unless group is empty.
	Resolve(ctx context.Context, group string, refs []string) (map[string]api.Image, error)
	// Pull fetches an image. Its error, like that of Remove, names the image.
	Pull(ctx context.Context, ref string, report func(api.Progress)) error
	// Push sends an image to its registry and answers the digest of its manifest there. Its error names the image.
	Push(ctx context.Context, ref string, report func(api.Progress)) (string, error)
	// Build makes an image and answers its ID.
	Build(ctx context.Context, b api.Build, report func(api.Progress)) (string, error)
	// Unpin lets go of everything pinned for group.
	Unpin(ctx context.Context, group string) error
	// Remove takes the name ref away, and the image with its last name. errdefs.IsNotFound if it means nothing here.
	Remove(ctx context.Context, ref string) error
}

// preparations decides which images are made ready.
type preparations struct {
	*roster
	*findings
	o    Observed
	opt  UpOptions
	plan *Plan

	building []string // services whose builds are being added, each for the one before
}

// prepareAlways adds the images that have to be made ready whatever is planned for pods.
func (i *preparations) prepareAlways() {
	for _, u := range i.units {
		if !u.model || u.policy == leave || u.Replicas == 0 {
			continue
		}
		policy := i.pullPolicy(u)
		for _, ref := range u.allImages() {
			switch own := u.builds(ref); {
			case slices.Contains(i.o.Prepared, ref):
			case own && i.opt.Build:
				i.build(u, because(AskedFor))
			case own && policy == PullBuild && !i.opt.NoBuild:
				i.build(u, because(PolicyBuilds))
			case policy == PullAlways && !(own && localName(i.d.Name, u.Name, ref)):
				p := Prepare{Ref: ref, How: ByPull, Why: because(PolicyPulls)}
				if own && !i.opt.NoBuild {
					p.Build = u.Build
				}
				i.prepare(u, p)
			}
		}
	}
}

func (i *preparations) pullPolicy(u *unit) PullPolicy {
	if i.opt.Pull != "" {
		return i.opt.Pull
	}
	return u.Service.Pull
}

// builds reports whether ref is what the service's own build makes.
func (s Service) builds(ref string) bool { return s.Build != nil && s.Pod.Container.Image == ref }

// images lists the references of the images that a replica is made from: its own, then those that it mounts.
func (s Service) images() []string {
	refs := []string{s.Pod.Container.Image}
	for _, m := range s.Pod.Container.Mounts {
		if m.Type == api.MountImage {
			refs = append(refs, m.Source)
		}
	}
	return refs
}

// allImages are images and those of hooks.
func (s Service) allImages() []string {
	refs := s.images()
	for _, h := range s.PreStart {
		refs = append(refs, Service{Pod: h}.images()...)
	}
	return refs
}

// resolveMounts says in a spec what the images that it mounts mean.
func (i *preparations) resolveMounts(spec *api.PodSpec) {
	var digests []string
	for at, m := range spec.Container.Mounts {
		img, here := i.o.Images[m.Source]
		if m.Type != api.MountImage || !here {
			continue
		}
		spec.Container.Mounts[at].ImageID, spec.Container.Mounts[at].Layers = img.ID, img.Layers
		digests = append(digests, m.Target+"=sha256:"+img.ID)
	}
	if len(digests) > 0 {
		spec.Labels[LabelImageMounts] = strings.Join(digests, ",")
	}
}

// needImage plans the preparation of an image that a pod is made from and that is not here, or refuses.
func (i *preparations) needImage(u *unit, ref string) {
	if _, here := i.o.Images[ref]; here {
		return
	}
	maker, policy := i.maker(ref), i.pullPolicy(u)
	// A registry is asked for it first only where that is said, and never for a name that nobody gave it.
	built := maker != nil && (policy != PullMissing && policy != PullAlways || localName(i.d.Name, maker.Name, ref))
	switch {
	case slices.Contains(i.o.Prepared, ref):
		i.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, although it was made ready", u.Name, ref)
	case built && i.opt.NoBuild:
		i.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, and nothing is to be built%s", u.Name, ref, i.remedy(AllowBuild, ""))
	case built:
		i.build(maker, because(Missing))
		i.prepare(u, Prepare{Ref: ref})
	case policy == PullNever:
		i.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, and its pull_policy is never%s", u.Name, ref, i.remedy(LoadImage, ""))
	default:
		p := Prepare{Ref: ref, How: ByPull, Why: because(Missing)}
		if maker != nil && !i.opt.NoBuild {
			p.Build = maker.Build
		}
		i.prepare(u, p)
	}
}

// maker is the service whose build makes ref; nil if there is none.
func (i *preparations) maker(ref string) *unit {
	for _, u := range i.units {
		if u.model && u.builds(ref) {
			return u
		}
	}
	return nil
}

// localName reports whether ref is what the result of a build is called that has no name of its own.
func localName(project, service, ref string) bool {
	return ref == project+"-"+service || ref == project+"_"+service
}

// build adds the image that u makes, and those that it is made of as far as they are missing.
func (i *preparations) build(u *unit, why Reason) {
	if slices.Contains(i.building, u.Name) {
		i.refuse(errdefs.ErrInvalidArgument, "cannot build the image of service %s: it is made of itself, through %s", u.Name, strings.Join(i.building, ", "))
		return
	}
	i.building = append(i.building, u.Name)
	defer func() { i.building = i.building[:len(i.building)-1] }()
	p := Prepare{Ref: u.Pod.Container.Image, How: ByBuild, Why: why, Build: u.Build}
	for _, name := range u.BuildAfter {
		at := slices.IndexFunc(i.units, func(other *unit) bool { return other.model && other.Name == name && other.Build != nil })
		if at < 0 {
			i.refuse(errdefs.ErrNotFound, "cannot build the image of service %s: that of service %s, of which it is made, is not part of this project as it is asked for%s",
				u.Name, name, i.remedy(TakeProfiles, ""))
			continue
		}
		other := i.units[at]
		ref := other.Pod.Container.Image
		if _, here := i.o.Images[ref]; !here && !slices.Contains(i.o.Prepared, ref) && ref != p.Ref {
			i.build(other, because(Missing))
		}
		p.After = append(p.After, ref)
	}
	i.prepare(u, p)
}

// prepare adds an image to those that are made ready, once for all services that use it.
func (i *preparations) prepare(u *unit, p Prepare) {
	at := slices.IndexFunc(i.plan.Prepare, func(have Prepare) bool { return have.Ref == p.Ref })
	if at < 0 {
		p.Services = []string{u.Name}
		i.plan.Prepare = append(i.plan.Prepare, p)
	} else if !slices.Contains(i.plan.Prepare[at].Services, u.Name) {
		i.plan.Prepare[at].Services = append(i.plan.Prepare[at].Services, u.Name)
	}
}

func refsOf(images []Prepare) []string {
	var refs []string
	for _, i := range images {
		refs = append(refs, i.Ref)
	}
	return refs
}

const defaultPullLimit = 4

// prepare makes images ready, a few at once, each after those that it is made of. One that fails does not stop the others: they are
// needed next time, but for those that are made of it.
func (deps Deps) prepare(ctx context.Context, images []Prepare) error {
	limit := deps.PullLimit
	if limit <= 0 {
		limit = defaultPullLimit
	}
	slots := make(chan struct{}, limit)
	errs := make([]error, len(images))
	ready, failed := map[string]chan struct{}{}, sync.Map{}
	for _, p := range images {
		ready[p.Ref] = make(chan struct{})
	}
	var wg sync.WaitGroup
	for i, p := range images {
		wg.Go(func() {
			defer close(ready[p.Ref])
			for _, below := range p.After {
				if done, ok := ready[below]; ok {
					<-done
				}
				if _, bad := failed.Load(below); bad {
					failed.Store(p.Ref, true)
					return
				}
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			if errs[i] = deps.makeReady(ctx, p); errs[i] != nil {
				failed.Store(p.Ref, true)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// makeReady has the deadline of whatever Images does: only that knows whether bytes still come in.
func (deps Deps) makeReady(ctx context.Context, p Prepare) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deps.Report(Event{Kind: PrepareBegan, Image: p.Ref, How: p.How})
	tell := func(e api.Progress) {
		deps.Report(Event{Kind: PrepareMoved, Image: p.Ref, How: p.How, Progress: e})
	}
	var err error
	switch p.How {
	case ByBuild:
		_, err = deps.Images.Build(ctx, *p.Build, tell)
	case ByPush:
		_, err = deps.Images.Push(ctx, p.Ref, tell)
	default:
		err = deps.Images.Pull(ctx, p.Ref, tell)
	}
	if err != nil && p.How == ByPull && p.Build != nil && ctx.Err() == nil {
		deps.Report(Event{Kind: Warned, Text: fmt.Sprintf("%v: it is built", err)})
		p.How = ByBuild
		return deps.makeReady(ctx, p)
	}
	if err != nil {
		err = fmt.Errorf("%w (needed by %s)", err, strings.Join(p.Services, ", "))
	}
	deps.Report(Event{Kind: PrepareEnded, Image: p.Ref, How: p.How, Err: err})
	return err
}
