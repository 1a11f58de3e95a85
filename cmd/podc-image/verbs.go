package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/images"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
)

func (t tool) verbs() map[string]helper.Verb {
	return map[string]helper.Verb{
		podcimage.Load:    answer(t.load),
		podcimage.Pull:    answer(t.pull),
		podcimage.Push:    answer(t.push),
		podcimage.List:    answer(t.list),
		podcimage.Inspect: answer(t.inspect),
		podcimage.Remove:  answer(t.remove),
		podcimage.Tag:     answer(t.tag),
		podcimage.Commit:  answer(t.commit),
		podcimage.Resolve: answer(t.resolve),
		podcimage.Unpin:   answer(t.unpin),
		podcimage.Check:   answer(t.check),
		podcimage.Where:   answer(t.where),
	}
}

// answer is helper.Answer for a verb whose errors get their hints here.
func answer[Q, R any](do func(context.Context, *helper.Call, Q) (R, error)) helper.Verb {
	return helper.Answer(func(ctx context.Context, c *helper.Call, req Q) (R, error) {
		reply, err := do(ctx, c, req)
		return reply, hinted(err)
	})
}

// nothing is the request of a verb that says all.
type nothing = struct{}

func (t tool) load(ctx context.Context, c *helper.Call, req podcimage.LoadRequest) (reply podcimage.ImagesReply, err error) {
	r, name := c.Stream, "standard input"
	if req.File != "" {
		f, err := os.Open(req.File)
		if err != nil {
			return reply, openError(req.File, err)
		}
		defer f.Close()
		r, name = f, req.File
	}
	return with(t, func(s *images.Store) (podcimage.ImagesReply, error) {
		loaded, err := s.Load(ctx, r, name, c.Tell)
		return podcimage.ImagesReply{Images: loaded}, err
	})
}

func openError(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fault.New(errdefs.ErrNotFound, "cannot load %s: no such file", path)
	}
	return fmt.Errorf("cannot load %s: %w", path, err)
}

func (t tool) pull(ctx context.Context, c *helper.Call, req podcimage.PullRequest) (reply podcimage.ImageReply, err error) {
	switch p := images.Policy(req.Policy); p {
	case images.Always, images.Missing, images.Never:
		return with(t, func(s *images.Store) (podcimage.ImageReply, error) {
			sum, err := s.Pull(ctx, req.Ref, p, c.Tell)
			return podcimage.ImageReply{Image: sum}, err
		})
	}
	return reply, invalid("unknown policy %q", req.Policy)
}

func (t tool) push(ctx context.Context, c *helper.Call, req podcimage.PushRequest) (podcimage.PushReply, error) {
	return with(t, func(s *images.Store) (podcimage.PushReply, error) {
		digest, err := s.Push(ctx, req.Ref, c.Tell)
		return podcimage.PushReply{Digest: digest}, err
	})
}

func (t tool) list(context.Context, *helper.Call, nothing) (podcimage.ImagesReply, error) {
	return withReserve(t, func(s *images.Store) (podcimage.ImagesReply, error) {
		all, err := s.List()
		return podcimage.ImagesReply{Images: all}, err
	})
}

func (t tool) inspect(_ context.Context, _ *helper.Call, req podcimage.InspectRequest) (podcimage.InspectReply, error) {
	return withReserve(t, func(s *images.Store) (podcimage.InspectReply, error) {
		all, err := s.Inspect(req.Refs)
		return podcimage.InspectReply{Images: all}, err
	})
}

// remove goes on after a reference that cannot be removed; the reply says what went, the error what did not.
func (t tool) remove(_ context.Context, c *helper.Call, req podcimage.RemoveRequest) (podcimage.RemoveReply, error) {
	var all podcimage.RemoveReply
	done := map[string]bool{}
	return withReserve(t, func(s *images.Store) (podcimage.RemoveReply, error) {
		var errs []error
		for _, ref := range req.Refs {
			if done[ref] {
				continue
			}
			one, err := s.Remove(ref, req.Force)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			done[ref] = true
			all.Untagged = append(all.Untagged, one.Untagged...)
			all.Deleted = append(all.Deleted, one.Deleted...)
			c.Tell(api.Progress{ID: ref, Status: "Done", Text: "Removed"})
		}
		return all, errors.Join(errs...)
	})
}

func (t tool) tag(_ context.Context, _ *helper.Call, req podcimage.TagRequest) (podcimage.ImageReply, error) {
	return with(t, func(s *images.Store) (podcimage.ImageReply, error) {
		sum, err := s.Tag(req.Ref, req.Name)
		return podcimage.ImageReply{Image: sum}, err
	})
}

func (t tool) commit(ctx context.Context, c *helper.Call, req podcimage.CommitRequest) (podcimage.ImageReply, error) {
	return with(t, func(s *images.Store) (podcimage.ImageReply, error) {
		sum, err := s.Commit(ctx, req, c.Stream)
		return podcimage.ImageReply{Image: sum}, err
	})
}

func (t tool) resolve(ctx context.Context, _ *helper.Call, req podcimage.ResolveRequest) (*podcimage.ResolveReply, error) {
	return with(t, func(s *images.Store) (*podcimage.ResolveReply, error) { return s.Resolve(ctx, req.Refs, req.Pin) })
}

func (t tool) unpin(ctx context.Context, _ *helper.Call, req podcimage.UnpinRequest) (reply podcimage.UnpinReply, err error) {
	if req.Group == "" {
		return reply, invalid("unpin needs a group")
	}
	return withReserve(t, func(s *images.Store) (podcimage.UnpinReply, error) {
		gone, err := s.Unpin(ctx, req.Group, req.Keep)
		return podcimage.UnpinReply{Unpinned: gone}, err
	})
}

func (t tool) check(_ context.Context, _ *helper.Call, req podcimage.CheckRequest) (*podcimage.CheckReply, error) {
	return withReserve(t, func(s *images.Store) (*podcimage.CheckReply, error) { return s.Check(req.Deep, req.Repair) })
}

func (t tool) where(context.Context, *helper.Call, nothing) (podcimage.WhereReply, error) {
	root, err := images.GraphRoot(t.config)
	return podcimage.WhereReply{GraphRoot: root}, err
}
