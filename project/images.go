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

// planPulls adds the images that have to be fetched whatever is planned for pods.
func (p *planner) planPulls() {
	for _, u := range p.units {
		if u.model && u.policy != leave && u.Replicas > 0 && p.pullPolicy(u) == PullAlways && !p.opt.Pulled {
			for _, ref := range u.allImages() {
				p.pull(u, ref, because(PolicyPulls))
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

// needImage plans the pull of an image that a pod is made from and that is not here, or refuses.
func (p *planner) needImage(u *unit, ref string) {
	if _, here := p.o.Images[ref]; here {
		return
	}
	switch policy, local := p.pullPolicy(u), u.Build && localName(p.d.Name, u.Name, ref); {
	case policy == PullBuild || local:
		instead := ""
		if !local {
			instead = "; what a registry has under that name is pulled with --pull missing only"
		}
		p.refuse(errdefs.ErrNotImplemented, "cannot build image %q of service %s: podc does not build images yet; build it elsewhere and load it with: podc load -i FILE%s", ref, u.Name, instead)
	case policy == PullNever:
		p.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, and its pull_policy is never; load it with: podc load -i FILE", u.Name, ref)
	case p.opt.Pulled:
		p.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, although it was pulled", u.Name, ref)
	default:
		p.pull(u, ref, because(Missing))
	}
}

// localName reports whether ref is what the result of a build is called that has no name of its own.
func localName(project, service, ref string) bool {
	return ref == project+"-"+service || ref == project+"_"+service
}

func (p *planner) pull(u *unit, ref string, why Reason) {
	i := slices.IndexFunc(p.plan.Pulls, func(pull Pull) bool { return pull.Ref == ref })
	if i < 0 {
		p.plan.Pulls = append(p.plan.Pulls, Pull{Ref: ref, Why: why, Services: []string{u.Name}})
	} else if !slices.Contains(p.plan.Pulls[i].Services, u.Name) {
		p.plan.Pulls[i].Services = append(p.plan.Pulls[i].Services, u.Name)
	}
}

const defaultPullLimit = 4

// pull fetches images, a few at once. One that fails does not stop the others: they are needed next time.
func (deps Deps) pull(ctx context.Context, pulls []Pull) error {
	limit := deps.PullLimit
	if limit <= 0 {
		limit = defaultPullLimit
	}
	slots := make(chan struct{}, limit)
	errs := make([]error, len(pulls))
	var wg sync.WaitGroup
	for i, p := range pulls {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = deps.pullOne(ctx, p)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pullOne has the deadline of whatever Images does: only that knows whether bytes still come in.
func (deps Deps) pullOne(ctx context.Context, p Pull) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	deps.Report(Event{Kind: PullBegan, Image: p.Ref})
	err := deps.Images.Pull(ctx, p.Ref, func(e engine.ImageEvent) {
		deps.Report(Event{Kind: PullMoved, Image: p.Ref, Progress: e})
	})
	if err != nil {
		err = fmt.Errorf("%w (needed by %s)", err, strings.Join(p.Services, ", "))
	}
	deps.Report(Event{Kind: PullEnded, Image: p.Ref, Err: err})
	return err
}
