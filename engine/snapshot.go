package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/disk"
)

// Snapshot reads what exists: the pods of group (of every group if it is empty), all networks and all volumes. It takes no
// lock and changes nothing; a pod that appears or vanishes meanwhile is there or not.
func (e *Engine) Snapshot(ctx context.Context, group string) (Snapshot, error) {
	pods, err := e.Pods(group)
	if err != nil {
		return Snapshot{}, err
	}
	s := Snapshot{Pods: pods}
	if s.Networks, err = e.net.Networks(); err != nil {
		return s, err
	}
	s.Volumes, err = e.volumes.List()
	return s, err
}

// Pods reads the pods of group, or of every group if it is empty, by name.
func (e *Engine) Pods(group string) ([]Pod, error) {
	all, err := e.readAll()
	if err != nil {
		return nil, err
	}
	var pods []Pod
	for _, p := range all {
		if group == "" || p.Spec.Group == group {
			pods = append(pods, p.view())
		}
	}
	return pods, nil
}

// Pod reads one pod, by its name or by the beginning of its id; errdefs.IsNotFound if there is none such.
func (e *Engine) Pod(name string) (Pod, error) {
	p, err := e.read(name)
	if err == nil {
		return p.view(), nil
	}
	if !isMissing(err) || len(name) < 2 || strings.Trim(name, "0123456789abcdef") != "" {
		return Pod{}, err
	}
	all, listErr := e.readAll()
	if listErr != nil {
		return Pod{}, listErr
	}
	var found []*pod
	for _, p := range all {
		if strings.HasPrefix(p.ID, name) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return Pod{}, err
	case 1:
		return found[0].view(), nil
	}
	return Pod{}, fmt.Errorf("id %q is ambiguous: %d pods have it: %w", name, len(found), errdefs.ErrInvalidArgument)
}

// read loads and refreshes one pod for looking at, without its lock.
func (e *Engine) read(name string) (*pod, error) {
	if !disk.IsName(name) {
		return nil, missingPod(name)
	}
	p, err := e.load(name)
	if err != nil {
		return nil, err
	}
	p.refresh()
	return p, nil
}

func (e *Engine) readAll() ([]*pod, error) {
	entries, err := os.ReadDir(e.paths.pods())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var pods []*pod
	for _, d := range entries {
		p, err := e.read(d.Name())
		if isMissing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		pods = append(pods, p)
	}
	return pods, nil
}
