package engine

import (
	"context"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/conmon"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Attach opens a stream to a running pod; errdefs.IsFailedPrecondition if it does not run.
func (e *Engine) Attach(_ context.Context, name string) (*conmon.Stream, error) {
	p, err := e.read(name)
	if err != nil {
		return nil, err
	}
	if p.state.Status != api.StatusRunning {
		return nil, podError("attach to", name, fault.New(errdefs.ErrFailedPrecondition, "it is %s, not running", p.state.Status))
	}
	s, err := conmon.Dial(e.paths.bundle(name))
	return s, podError("attach to", name, err)
}

// StartAttached is StartPod with a stream that misses nothing: it is open before the container's process runs. Before that,
// prepare is called with it, unless it is nil. A pod that runs already is an error (errdefs.IsFailedPrecondition). Until the
// stream is closed, or this process dies, a pod with AutoRemove is the caller's to remove.
func (e *Engine) StartAttached(ctx context.Context, name string, prepare func(*conmon.Stream)) (*conmon.Stream, error) {
	var s *conmon.Stream
	err := e.startPod(ctx, name, func() (err error) {
		if s, err = conmon.Dial(e.paths.bundle(name)); err != nil {
			return err
		}
		if s.Held, err = disk.TryLock(e.paths.attended(name)); err == nil && prepare != nil {
			prepare(s)
		}
		return err
	})
	if err == nil && s == nil {
		err = podError("start", name, fault.New(errdefs.ErrFailedPrecondition, "it is running already"))
	}
	if err != nil && s != nil {
		s.Close()
	}
	return s, err
}
