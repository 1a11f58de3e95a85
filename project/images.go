package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
)

// Images is what a project needs of the image store.
type Images interface {
	// Resolve says what references mean here; those that mean nothing are absent from the answer. The images are pinned for
	// group, so that nobody deletes them, unless group is empty.
	Resolve(ctx context.Context, group string, refs []string) (map[string]engine.Image, error)
	// Pull fetches an image. Its error, like that of Remove, names the image.
	Pull(ctx context.Context, ref string, report func(engine.ImageEvent)) error
	// Unpin lets go of everything pinned for group.
	Unpin(ctx context.Context, group string) error
	// Remove takes the name ref away, and the image with its last name. errdefs.IsNotFound if it means nothing here.
	Remove(ctx context.Context, ref string) error
}

// prepareAlways adds the images that have to be fetched whatever is planned for pods.
func (p *planner) prepareAlways() {
	for _, u := range p.units {
		if u.model && u.policy != leave && u.Replicas > 0 && p.pullPolicy(u) == PullAlways {
			for _, ref := range u.allImages() {
				if !slices.Contains(p.o.Prepared, ref) {
					p.prepare(u, ref, ByPull, because(PolicyPulls))
				}
			}
		}
	}
}

func (p *planner) pullPolicy(u *unit) PullPolicy {
	if p.opt.Pull != "" {
		return p.opt.Pull
	}
	return u.Service.Pull
}

// images lists the references of the images that a replica is made from: its own, then those that it mounts.
func (s Service) images() []string {
	refs := []string{s.Pod.Container.Image}
	for _, m := range s.Pod.Container.Mounts {
		if m.Type == engine.MountImage {
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
func (p *planner) resolveMounts(spec *engine.PodSpec) {
	var digests []string
	for i, m := range spec.Container.Mounts {
		img, here := p.o.Images[m.Source]
		if m.Type != engine.MountImage || !here {
			continue
		}
		spec.Container.Mounts[i].ImageID, spec.Container.Mounts[i].Layers = img.ID, img.Layers
		digests = append(digests, m.Target+"=sha256:"+img.ID)
	}
	if len(digests) > 0 {
		spec.Labels[LabelImageMounts] = strings.Join(digests, ",")
	}
}

// needImage plans the preparation of an image that a pod is made from and that is not here, or refuses.
func (p *planner) needImage(u *unit, ref string) {
	if _, here := p.o.Images[ref]; here {
		return
	}
	switch policy := p.pullPolicy(u); {
	case policy == PullBuild || p.localBuild(u, ref):
		p.prepare(u, ref, ByBuild, because(Missing))
	case policy == PullNever:
		p.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, and its pull_policy is never; load it with: podc load -i FILE", u.Name, ref)
	case slices.Contains(p.o.Prepared, ref):
		p.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, although it was pulled", u.Name, ref)
	default:
		p.prepare(u, ref, ByPull, because(Missing))
	}
}

// localBuild reports whether ref is the result of u's own build, which no registry has.
func (p *planner) localBuild(u *unit, ref string) bool {
	return u.Build && localName(p.d.Name, u.Name, ref)
}

// localName reports whether ref is what the result of a build is called that has no name of its own.
func localName(project, service, ref string) bool {
	return ref == project+"-"+service || ref == project+"_"+service
}

// prepare adds an image to those that are made ready, once for all services that use it.
func (p *planner) prepare(u *unit, ref string, how Preparation, why Reason) {
	if how == ByBuild {
		p.refuseBuild(u, ref)
		return
	}
	i := slices.IndexFunc(p.plan.Prepare, func(i Prepare) bool { return i.Ref == ref })
	if i < 0 {
		p.plan.Prepare = append(p.plan.Prepare, Prepare{Ref: ref, How: how, Why: why, Services: []string{u.Name}})
	} else if !slices.Contains(p.plan.Prepare[i].Services, u.Name) {
		p.plan.Prepare[i].Services = append(p.plan.Prepare[i].Services, u.Name)
	}
}

// refuseBuild says that builds are not served.
func (p *planner) refuseBuild(u *unit, ref string) {
	instead := ""
	if !p.localBuild(u, ref) {
		instead = "; what a registry has under that name is pulled with --pull missing only"
	}
	p.refuse(errdefs.ErrNotImplemented, "cannot build image %q of service %s: podc does not build images yet; build it elsewhere and load it with: podc load -i FILE%s", ref, u.Name, instead)
}

func refsOf(images []Prepare) []string {
	var refs []string
	for _, i := range images {
		refs = append(refs, i.Ref)
	}
	return refs
}

const defaultPullLimit = 4

// prepare makes images ready, a few at once. One that fails does not stop the others: they are needed next time.
func (deps Deps) prepare(ctx context.Context, images []Prepare) error {
	limit := deps.PullLimit
	if limit <= 0 {
		limit = defaultPullLimit
	}
	slots := make(chan struct{}, limit)
	errs := make([]error, len(images))
	var wg sync.WaitGroup
	for i, p := range images {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = deps.pull(ctx, p)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pull has the deadline of whatever Images does: only that knows whether bytes still come in.
func (deps Deps) pull(ctx context.Context, p Prepare) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deps.Report(Event{Kind: PrepareBegan, Image: p.Ref, How: p.How})
	err := deps.Images.Pull(ctx, p.Ref, func(e engine.ImageEvent) {
		deps.Report(Event{Kind: PrepareMoved, Image: p.Ref, How: p.How, Progress: e})
	})
	if err != nil {
		err = fmt.Errorf("%w (needed by %s)", err, strings.Join(p.Services, ", "))
	}
	deps.Report(Event{Kind: PrepareEnded, Image: p.Ref, How: p.How, Err: err})
	return err
}
