package builder

import (
	"context"
	"time"

	"github.com/containerd/containerd/v2/pkg/reference"
	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/source"
	"github.com/moby/buildkit/source/containerimage"
	"github.com/moby/buildkit/util/progress"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/worker/base"

	"podc.example/podc/api"
)

// worker is BuildKit's, but that base images come from podc's store, where they are pulled to first.
type worker struct {
	*base.Worker
	images *imageSource
}

// ResolveSourceMetadata is BuildKit's.
func (w *worker) ResolveSourceMetadata(ctx context.Context, op *pb.SourceOp, opt sourceresolver.Opt, sm *session.Manager, job solver.JobContext) (*sourceresolver.MetaResponse, error) {
	id, err := w.ParseSource(op, nil)
	if err != nil {
		return nil, err
	}
	if img, ok := id.(*containerimage.ImageIdentifier); ok {
		mode := img.ResolveMode
		if opt.ImageOpt != nil {
			if mode, err = resolver.ParseImageResolveMode(opt.ImageOpt.ResolveMode); err != nil {
				return nil, err
			}
		}
		if err := w.images.bring(ctx, img.Reference.String(), mode, askerOf(job)); err != nil {
			return nil, err
		}
	}
	return w.Worker.ResolveSourceMetadata(ctx, op, opt, sm, job)
}

// imageSource is BuildKit's source of images, over podc's store.
type imageSource struct {
	*containerimage.Source
	registry *registry
	pull     func(ctx context.Context, ref, session string, tell func(api.Progress)) error
}

// askerOf is the session of whoever asked for a build; "" if that is not known.
func askerOf(job solver.JobContext) string {
	if job == nil {
		return ""
	}
	if g := job.Session(); g != nil {
		return g.SessionIterator().NextSession()
	}
	return ""
}

// Identifier is source.Source's.
func (s *imageSource) Identifier(scheme, ref string, attrs map[string]string, platform *pb.Platform) (source.Identifier, error) {
	return s.Source.Identifier(scheme, s.registry.local(ref), attrs, platform)
}

// Resolve is source.Source's.
func (s *imageSource) Resolve(ctx context.Context, id source.Identifier, sm *session.Manager, vtx solver.Vertex) (source.SourceInstance, error) {
	img, ok := id.(*containerimage.ImageIdentifier)
	if ok {
		if err := s.bring(ctx, img.Reference.String(), resolver.ResolveModeDefault, ""); err != nil { // it was brought with its metadata
			return nil, err
		}
		here := *img
		ref, err := reference.Parse(s.registry.local(img.Reference.String()))
		if err != nil {
			return nil, err
		}
		here.Reference, id = ref, &here
	}
	return s.Source.Resolve(ctx, id, sm, vtx)
}

// bring makes ref mean an image of the store.
func (s *imageSource) bring(ctx context.Context, ref string, mode resolver.ResolveMode, session string) error {
	if s.registry.has(ref) {
		return nil
	}
	if mode != resolver.ResolveModeForcePull {
		if _, err := s.registry.look(ref); !errdefs.IsNotFound(err) {
			return err
		}
	}
	w, _, _ := progress.NewFromContext(ctx)
	defer w.Close()
	began := time.Now()
	return s.pull(ctx, ref, session, func(e api.Progress) {
		if e.ParentID == "" {
			return
		}
		now := time.Now()
		status := progress.Status{Action: "pulling", Current: int(e.Current), Total: int(e.Total), Started: &began}
		if e.Status == "Done" {
			status.Action, status.Completed = "done", &now
		}
		w.Write(e.ID, status)
	})
}
