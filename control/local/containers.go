package local

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podcimage"
)

// containers implements control.Containers.
type containers struct {
	engine   *engine.Engine
	networks networks
	images   podcimage.Client
	held     *held
}

func (c containers) List(ctx context.Context, sel control.Selection) ([]api.Pod, error) {
	if len(sel.Names) > 0 {
		return c.named(ctx, sel.Names)
	}
	pods, err := c.engine.Pods(sel.Group)
	if err != nil {
		return nil, err
	}
	keep := func(api.Pod) bool { return true }
	if len(sel.Filters) > 0 {
		if keep, err = c.filter(ctx, sel.Filters, pods); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(pods, func(p api.Pod) bool { return !sel.Takes(p) || !keep(p) }), nil
}

func (c containers) named(ctx context.Context, names []string) ([]api.Pod, error) {
	var pods []api.Pod
	var errs []error
	for _, name := range names {
		p, err := c.Get(ctx, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		pods = append(pods, p)
	}
	return pods, errors.Join(errs...)
}

func (c containers) Get(_ context.Context, ref string) (api.Pod, error) {
	p, err := c.engine.Pod(strings.TrimPrefix(ref, "/"))
	if errdefs.IsNotFound(err) {
		err = fault.New(errdefs.ErrNotFound, "no such container: %s", ref)
	}
	return p, err
}

// isGone reports whether there is no such container.
func (c containers) isGone(name string) bool {
	_, err := c.engine.Pod(name)
	return errdefs.IsNotFound(err)
}

// do calls a verb of the engine with the name of a container.
func (c containers) do(ctx context.Context, ref string, verb func(name string) error) error {
	p, err := c.Get(ctx, ref)
	if err != nil {
		return err
	}
	return verb(p.Spec.Name)
}

func (c containers) Refresh(ctx context.Context, ref string) (api.Pod, error) {
	p, err := c.Get(ctx, ref)
	if err != nil {
		return p, err
	}
	return c.engine.Refresh(ctx, p.Spec.Name)
}

func (c containers) Inspect(ctx context.Context, ref string, size bool) (dockerapi.Container, error) {
	p, err := c.Get(ctx, ref)
	if err != nil {
		return dockerapi.Container{}, err
	}
	facts := dockerapi.ContainerFacts{Pod: p, Details: c.engine.Details(p), VolumePath: c.engine.Volumes().Path, IDs: map[string]string{}}
	for _, b := range p.Spec.Borrowed() {
		if lender, err := c.engine.Pod(b.Of); err == nil {
			facts.IDs[b.Of] = lender.ID
		}
	}
	facts.Networks, err = c.engine.Network().AllNetworks()
	for _, e := range p.Spec.Network.Endpoints {
		if _, ok := facts.Networks[e.Network]; !ok && err != nil {
			return dockerapi.InspectContainer(facts), err
		}
	}
	if size {
		of, err := c.sizeOf(ctx, p)
		if err != nil {
			return dockerapi.InspectContainer(facts), err
		}
		facts.Size = &of
	}
	return dockerapi.InspectContainer(facts), nil
}

func (c containers) Size(ctx context.Context, ref string) (dockerapi.Size, error) {
	p, err := c.Get(ctx, ref)
	if err != nil {
		return dockerapi.Size{}, err
	}
	return c.sizeOf(ctx, p)
}

func (c containers) sizeOf(ctx context.Context, p api.Pod) (dockerapi.Size, error) {
	written, err := disk.Usage(ctx, c.engine.Details(p).Upper)
	return dockerapi.Size{Written: written, All: written + p.Image.Size}, err
}

func (c containers) Start(ctx context.Context, ref string) error {
	return c.do(ctx, ref, func(name string) error { return c.engine.StartPod(ctx, name) })
}

func (c containers) Stop(ctx context.Context, ref string, opt control.StopOptions) error {
	return c.do(ctx, ref, func(name string) error {
		if opt.ForEnd {
			return c.engine.ShutDownPod(ctx, name)
		}
		return c.engine.StopPodBy(ctx, name, opt.Signal, opt.Timeout)
	})
}

func (c containers) Restart(ctx context.Context, ref string, opt control.StopOptions) error {
	return c.do(ctx, ref, func(name string) error {
		if err := c.engine.StopPodBy(ctx, name, opt.Signal, opt.Timeout); err != nil {
			return err
		}
		return restarting{c.engine}.StartPod(ctx, name)
	})
}

func (c containers) Kill(ctx context.Context, ref, signal string) error {
	return c.do(ctx, ref, func(name string) error { return c.engine.KillPod(ctx, name, signal) })
}

func (c containers) Pause(ctx context.Context, ref string) error {
	return c.do(ctx, ref, func(name string) error { return c.engine.PausePod(ctx, name) })
}

func (c containers) Unpause(ctx context.Context, ref string) error {
	return c.do(ctx, ref, func(name string) error { return c.engine.UnpausePod(ctx, name) })
}

func (c containers) Remove(ctx context.Context, ref string, opt api.RemoveOptions) error {
	p, err := c.Get(ctx, ref)
	if err != nil {
		return err
	}
	if err := c.engine.RemovePod(ctx, p.Spec.Name, opt); err != nil {
		return err
	}
	c.held.forget(c.isGone)
	if rest, err := c.engine.Pods(p.Spec.Group); err != nil || len(rest) > 0 {
		return err
	}
	return c.engine.Tidy(ctx, p.Spec.Group)
}

func (c containers) Await(ctx context.Context, ref string) (p api.Pod, err error) {
	err = c.do(ctx, ref, func(name string) error {
		p, err = c.engine.Await(ctx, name)
		return err
	})
	return p, err
}

func (c containers) Wait(ctx context.Context, ref string, until api.Condition) (p api.Pod, err error) {
	if !until.Known() {
		return p, fault.Invalid("cannot wait until a container is %q", until)
	}
	err = c.do(ctx, ref, func(name string) error {
		if err := c.engine.WaitPod(ctx, name, until); err != nil {
			return err
		}
		p, err = c.engine.Pod(name)
		return err
	})
	return p, err
}

func (c containers) Prune(ctx context.Context, f control.Filters) (gone control.Pruned, err error) {
	until, err := pruneUntil(f)
	if err != nil {
		return gone, err
	}
	pods, err := c.engine.Pods("")
	if err != nil {
		return gone, err
	}
	pods = slices.DeleteFunc(pods, func(p api.Pod) bool {
		rests := p.Status == api.StatusExited || p.Status == api.StatusCreated || p.Status == api.StatusDead
		return !rests || !f.Labelled(p.Spec.Labels) || !until.IsZero() && !p.Created.Before(until)
	})
	return prune(ctx, pods, func(p api.Pod) string { return p.ID }, func(p api.Pod) (int64, error) {
		bytes, err := disk.Usage(ctx, c.engine.Details(p).Upper)
		if err == nil {
			err = c.engine.RemovePod(ctx, p.Spec.Name, api.RemoveOptions{})
		}
		return bytes, err
	})
}

// pruneUntil reads the filters of a removal of what nobody uses: only what was made before that moment goes.
func pruneUntil(f control.Filters) (time.Time, error) {
	if err := f.Only(control.PruneFilters...); err != nil {
		return time.Time{}, err
	}
	return f.Until(time.Now())
}

// prune removes things one after the other, which each gives back some bytes, and goes on after errors, which it joins.
func prune[T any](ctx context.Context, things []T, nameOf func(T) string, remove func(T) (int64, error)) (gone control.Pruned, err error) {
	var errs []error
	for _, thing := range things {
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		bytes, err := remove(thing)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		gone.Names, gone.Freed = append(gone.Names, nameOf(thing)), gone.Freed+bytes
	}
	return gone, errors.Join(errs...)
}

func (c containers) Processes(ctx context.Context, ref string) (list []api.ProcessInfo, err error) {
	err = c.do(ctx, ref, func(name string) (err error) {
		list, err = c.engine.Processes(name)
		return err
	})
	return list, err
}

func (c containers) Usage(ctx context.Context, ref string) (u api.Usage, err error) {
	err = c.do(ctx, ref, func(name string) (err error) {
		u, err = c.engine.Usage(name)
		return err
	})
	return u, err
}
