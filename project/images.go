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
	// Unpin lets go of everything pinned for group.
	Unpin(ctx context.Context, group string) error
	// Remove takes the name ref away, and the image with its last name. errdefs.IsNotFound if it means nothing here.
	Remove(ctx context.Context, ref string) error
}

// preparations decides which images are made ready.
type preparations struct {
	*roster
	*findings
	o        Observed
	override PullPolicy // instead of that of every service, unless empty
	plan     *Plan
}

// prepareAlways adds the images that have to be fetched whatever is planned for pods.
func (i *preparations) prepareAlways() {
	for _, u := range i.units {
		if u.model && u.policy != leave && u.Replicas > 0 && i.pullPolicy(u) == PullAlways {
			for _, ref := range u.allImages() {
				if !slices.Contains(i.o.Prepared, ref) {
					i.prepare(u, ref, ByPull, because(PolicyPulls))
				}
			}
		}
	}
}

func (i *preparations) pullPolicy(u *unit) PullPolicy {
	if i.override != "" {
		return i.override
	}
	return u.Service.Pull
}

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
	switch policy := i.pullPolicy(u); {
	case policy == PullBuild || i.localBuild(u, ref):
		i.prepare(u, ref, ByBuild, because(Missing))
	case policy == PullNever:
		i.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, and its pull_policy is never%s", u.Name, ref, i.remedy(LoadImage, ""))
	case slices.Contains(i.o.Prepared, ref):
		i.refuse(errdefs.ErrNotFound, "cannot create service %s: No such image: %s, although it was pulled", u.Name, ref)
	default:
		i.prepare(u, ref, ByPull, because(Missing))
	}
}

// localBuild reports whether ref is the result of u's own build, which no registry has.
func (i *preparations) localBuild(u *unit, ref string) bool {
	return u.Build && localName(i.d.Name, u.Name, ref)
}

// localName reports whether ref is what the result of a build is called that has no name of its own.
func localName(project, service, ref string) bool {
	return ref == project+"-"+service || ref == project+"_"+service
}

// prepare adds an image to those that are made ready, once for all services that use it.
func (i *preparations) prepare(u *unit, ref string, how Preparation, why Reason) {
	if how == ByBuild {
		i.refuseBuild(u, ref)
		return
	}
	at := slices.IndexFunc(i.plan.Prepare, func(p Prepare) bool { return p.Ref == ref })
	if at < 0 {
		i.plan.Prepare = append(i.plan.Prepare, Prepare{Ref: ref, How: how, Why: why, Services: []string{u.Name}})
	} else if !slices.Contains(i.plan.Prepare[at].Services, u.Name) {
		i.plan.Prepare[at].Services = append(i.plan.Prepare[at].Services, u.Name)
	}
}

// refuseBuild says that builds are not served.
func (i *preparations) refuseBuild(u *unit, ref string) {
	instead := ""
	if !i.localBuild(u, ref) {
		instead = "; what a registry has under that name is pulled by the pull policy missing only"
	}
	i.refuse(errdefs.ErrNotImplemented, "cannot build image %q of service %s: podc does not build images yet; build it elsewhere%s%s", ref, u.Name, i.remedy(LoadImage, ""), instead)
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
	err := deps.Images.Pull(ctx, p.Ref, func(e api.Progress) {
		deps.Report(Event{Kind: PrepareMoved, Image: p.Ref, How: p.How, Progress: e})
	})
	if err != nil {
		err = fmt.Errorf("%w (needed by %s)", err, strings.Join(p.Services, ", "))
	}
	deps.Report(Event{Kind: PrepareEnded, Image: p.Ref, How: p.How, Err: err})
	return err
}
