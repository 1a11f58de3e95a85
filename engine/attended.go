package engine

import (
	"context"
	"errors"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// A pod with AutoRemove goes with its run: whoever settles it removes it. Somebody who waits for its end, and wants to see how
// it ended, holds the pod's lock "attended" meanwhile and removes it himself; if he dies, the lock is free.

// retire settles the pod and removes one that is left over. It needs the pod's lock.
func (p *pod) retire(ctx context.Context) error {
	cutShort := p.Spec.AutoRemove && p.state.Status == api.StatusCreated && !p.state.Settled // its start was
	if err := p.settle(ctx); err != nil || !p.outlived() && !cutShort {
		return err
	}
	attended, err := disk.TryLock(p.e.paths.attended(p.Spec.Name))
	if errors.Is(err, disk.ErrLocked) {
		return nil
	}
	if err != nil {
		return err
	}
	defer attended.Unlock()
	return p.remove(ctx, api.RemoveOptions{Volumes: true})
}

// outlived reports whether the pod is one that goes with its run, and the run is over.
func (p *pod) outlived() bool {
	return p.Spec.AutoRemove && p.state.Settled && p.state.Status == api.StatusExited
}

// Await returns the pod as it is when its run has ended. It does not settle the pod: that is done by a removal, by Refresh, or by
// the monitor. Of one that somebody else removed by then, the journal tells how it ended.
func (s *store) Await(ctx context.Context, name string) (api.Pod, error) {
	p, err := s.read(name)
	if err != nil {
		return api.Pod{}, err
	}
	if p.state.Status == api.StatusRunning {
		if err := p.state.Init.Wait(ctx); err != nil {
			return api.Pod{}, err
		}
		if err := s.awaitNoted(ctx, name, p.state.Conmon); err != nil {
			return api.Pod{}, err
		}
	}
	v, err := s.Pod(name)
	if isMissing(err) && p.state.Status == api.StatusRunning {
		return s.e.EndOf(p.view())
	}
	return v, err
}

// leftOver reports whether the pod should have gone with its run, and nobody is at that.
func (c Checker) leftOver(p *pod) bool {
	return p.outlived() && !disk.Held(c.e.paths.attended(p.Spec.Name))
}
