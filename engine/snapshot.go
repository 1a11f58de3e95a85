package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
)

// Snapshot reads what exists: the pods of group (of every group if it is empty), all networks, those made by hand too, and all volumes. It takes no
// lock and changes nothing; a pod that appears or vanishes meanwhile is there or not. A container that has ended and is about
// to be noted as such is waited for: to a plan it must not count as running.
func (s *store) Snapshot(ctx context.Context, group string) (api.Snapshot, error) {
	all, err := s.readAll()
	if err != nil {
		return api.Snapshot{}, err
	}
	for _, p := range all {
		if p.ending && (group == "" || p.Spec.Group == group) {
			if err := s.awaitNoted(ctx, p.Spec.Name, p.state.Conmon); err != nil {
				return api.Snapshot{}, err
			}
			p.refresh()
		}
	}
	pods := views(all, group)
	snap := api.Snapshot{Pods: pods}
	if snap.Networks, snap.Unread = s.e.net.AllNetworks(); snap.Networks == nil {
		return snap, snap.Unread
	}
	snap.Volumes, err = s.e.volumes.List()
	return snap, err
}

// Pods reads the pods of group, or of every group if it is empty, by name.
func (s *store) Pods(group string) ([]api.Pod, error) {
	all, err := s.readAll()
	if err != nil {
		return nil, err
	}
	return views(all, group), nil
}

func views(all []*pod, group string) []api.Pod {
	pods := make([]api.Pod, 0, len(all)) // growing would copy each several times
	for _, p := range all {
		if group == "" || p.Spec.Group == group {
			pods = append(pods, p.view())
		}
	}
	return pods
}

// Pod reads one pod, by its name or by the beginning of its id; errdefs.IsNotFound if there is none such.
func (s *store) Pod(name string) (api.Pod, error) {
	p, err := s.read(name)
	if err == nil {
		return p.view(), nil
	}
	if !isMissing(err) || len(name) < 2 || strings.Trim(name, "0123456789abcdef") != "" {
		return api.Pod{}, err
	}
	all, listErr := s.readAll()
	if listErr != nil {
		return api.Pod{}, listErr
	}
	var found []*pod
	for _, p := range all {
		if strings.HasPrefix(p.ID, name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return api.Pod{}, err
	case 1:
		return found[0].view(), nil
	}
	return api.Pod{}, fault.New(errdefs.ErrInvalidArgument, "id %q is ambiguous: %d containers have it", name, len(found))
}

// read loads and refreshes one pod for looking at, without its lock.
func (s *store) read(name string) (*pod, error) {
	if !disk.IsName(name) {
		return nil, missingPod(name)
	}
	p, err := s.load(name)
	if err == nil {
		p.refresh()
	}
	// An end that conmon has yet to note, or that nobody saw; unless somebody settled it between the look at the state and that at
	// the exit file, such as the exit handler, whose conmon still lives at the first look and may be gone at the second.
	for tries := 0; tries < 2 && err == nil && (p.ending || p.unrecorded && !p.last.ExitKnown); tries++ {
		if p, err = s.load(name); err == nil {
			p.refresh()
		}
	}
	return p, err
}

// readAll reads every pod, by name, on all processors: most of a short command's time goes into it.
func (s *store) readAll() ([]*pod, error) {
	names, err := listDir(s.e.paths.pods())
	if err != nil {
		return nil, err
	}
	pods, errs := make([]*pod, len(names)), make([]error, len(names))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(names)); i = next.Add(1) - 1 {
				pods[i], errs[i] = s.read(names[i])
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if isMissing(err) {
			errs[i] = nil
		}
	}
	return slices.DeleteFunc(pods, func(p *pod) bool { return p == nil }), errors.Join(errs...)
}
