package local

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcbuild"
	"podc.example/podc/internal/podcimage"
)

// images implements control.Images.
type images struct {
	client  podcimage.Client
	builder podcbuild.Client
	engine  *engine.Engine
}

// List implements control.Images. Of an image one of whose names matches a reference all names are told.
func (i images) List(ctx context.Context, f control.Filters) ([]api.ImageSummary, error) {
	if err := f.Only(control.ImageFilters...); err != nil {
		return nil, err
	}
	var reply podcimage.ImagesReply
	if err := i.client.Ask(ctx, helper.Question{Verb: podcimage.List}, &reply); err != nil {
		return nil, err
	}
	all := reply.Images
	slices.SortStableFunc(all, func(a, b api.ImageSummary) int { return b.Created.Compare(a.Created) })
	dangling, err1 := f.Toggle("dangling")
	before, err2 := imageMoment(f["before"], all)
	since, err3 := imageMoment(f["since"], all)
	until, err4 := f.Until(time.Now())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	labels := map[string]map[string]string{}
	if len(f["label"])+len(f["label!"]) > 0 {
		var err error
		if labels, err = i.labels(ctx, all); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(all, func(img api.ImageSummary) bool {
		return !dangling(len(img.Names) == 0) || !named(f, img.Names) || !f.Labelled(labels[img.ID]) ||
			!before.IsZero() && !img.Created.Before(before) || !since.IsZero() && !img.Created.After(since) ||
			!until.IsZero() && !img.Created.Before(until)
	}), nil
}

func (i images) labels(ctx context.Context, all []api.ImageSummary) (map[string]map[string]string, error) {
	labels := map[string]map[string]string{}
	var ids []string
	for _, img := range all {
		ids = append(ids, img.ID)
	}
	details, err := i.Inspect(ctx, ids...)
	for _, img := range details {
		labels[img.ID] = img.Config.Labels
	}
	return labels, err
}

// named reports whether one of the names of an image matches a reference that is asked for.
func named(f control.Filters, names []string) bool {
	return f.Holds("reference", func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			repo, tag := dockerapi.SplitName(dockerapi.Familiar(name))
			return control.NameMatches(pattern, repo, tag)
		})
	})
}

// imageMoment is when the last image of refs was made.
func imageMoment(refs []string, all []api.ImageSummary) (t time.Time, err error) {
	for _, ref := range refs {
		i := slices.IndexFunc(all, func(img api.ImageSummary) bool { return isImage(img, ref) })
		if i < 0 {
			return t, fault.New(errdefs.ErrNotFound, "no such image: %s", ref)
		}
		t = all[i].Created
	}
	return t, nil
}

// isImage reports whether ref is one of an image's names, its id, or the beginning of that.
func isImage(img api.ImageSummary, ref string) bool {
	if id := strings.TrimPrefix(ref, "sha256:"); len(id) > 1 && strings.HasPrefix(img.ID, id) {
		return true
	}
	return slices.ContainsFunc(img.Names, func(name string) bool {
		short := dockerapi.Familiar(name)
		return ref == name || ref == short || ref+":latest" == name || ref+":latest" == short
	})
}

func (i images) Inspect(ctx context.Context, refs ...string) ([]api.ImageDetails, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	var reply podcimage.InspectReply
	err := i.client.Ask(ctx, helper.Question{Verb: podcimage.Inspect, Request: podcimage.InspectRequest{Refs: refs}}, &reply)
	return reply.Images, err
}

// ask puts a question with the progress of its answer on watch.
func (i images) ask(ctx context.Context, q helper.Question, reply any, w control.ImageWatch) error {
	q.Tell, i.client.Warn = w.Progress, w.Warn
	return i.client.Ask(ctx, q, reply)
}

func (i images) Pull(ctx context.Context, ref string, w control.ImageWatch) (api.ImageSummary, error) {
	var reply podcimage.ImageReply
	err := i.ask(ctx, helper.Question{Verb: podcimage.Pull, Request: podcimage.PullRequest{Ref: ref, Policy: "always"}}, &reply, w)
	return reply.Image, err
}

func (i images) Push(ctx context.Context, ref string, w control.ImageWatch) (string, error) {
	i.client.Warn = w.Warn
	return i.client.Push(ctx, ref, w.Progress)
}

func (i images) Build(ctx context.Context, b api.Build, w control.ImageWatch) (string, error) {
	tell := w.Progress
	if tell == nil {
		tell = func(api.Progress) {}
	}
	return i.builder.Build(ctx, b, tell)
}

func (i images) Load(ctx context.Context, from control.Archive, w control.ImageWatch) ([]api.ImageSummary, error) {
	var reply podcimage.ImagesReply
	q := helper.Question{Verb: podcimage.Load, Request: podcimage.LoadRequest{File: from.File}, Stream: from.Stream}
	err := i.ask(ctx, q, &reply, w)
	return reply.Images, err
}

func (i images) Tag(ctx context.Context, ref, name string) error {
	return i.client.Ask(ctx, helper.Question{Verb: podcimage.Tag, Request: podcimage.TagRequest{Ref: ref, Name: name}}, &podcimage.ImageReply{})
}

func (i images) Remove(ctx context.Context, refs []string, force bool) (control.RemovedImages, error) {
	var reply podcimage.RemoveReply
	err := i.client.Ask(ctx, helper.Question{Verb: podcimage.Remove, Request: podcimage.RemoveRequest{Refs: refs, Force: force}}, &reply)
	return control.RemovedImages(reply), err
}

// Prune: what could not be removed does not keep the others.
func (i images) Prune(ctx context.Context, f control.Filters, all bool) (gone control.Pruned, err error) {
	if f = maps.Clone(f); f == nil {
		f = control.Filters{}
	}
	if delete(f, "dangling"); !all {
		f["dangling"] = []string{"true"}
	}
	list, err1 := i.List(ctx, f)
	pods, err2 := i.engine.Pods("")
	if err := errors.Join(err1, err2); err != nil {
		return gone, err
	}
	sizes := map[string]int64{}
	req := podcimage.RemoveRequest{Force: true}
	for _, img := range list {
		used := slices.ContainsFunc(pods, func(p api.Pod) bool { return img.ID == cmp.Or(p.Image.ID, p.Spec.Container.ImageID) })
		if !used && len(img.UsedBy) == 0 {
			sizes[img.ID] = img.Size
			req.Refs = append(req.Refs, img.ID)
		}
	}
	if len(sizes) == 0 {
		return gone, nil
	}
	err = i.client.Ask(ctx, helper.Question{Verb: podcimage.Remove, Request: req, Tell: func(e api.Progress) {
		if bytes, ok := sizes[e.ID]; ok {
			gone.Names, gone.Freed = append(gone.Names, e.ID), gone.Freed+bytes
		}
	}}, &podcimage.RemoveReply{})
	return gone, err
}

func (i images) Where(ctx context.Context) (string, error) {
	var reply podcimage.WhereReply
	err := i.client.Ask(ctx, helper.Question{Verb: podcimage.Where}, &reply)
	return reply.GraphRoot, err
}
