package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/kernel"
)

// RootView says what of a container's files is seen.
type RootView int

const (
	// RootAll is what the container sees: its root filesystem with everything mounted in it. Of a container that does not
	// run, volumes and bind mounts are seen, and not what only a start makes.
	RootAll RootView = iota
	// RootOnly is the root filesystem alone, without what is mounted in it.
	RootOnly
)

// WithRoot calls fn with the root folder of a pod's container, in whatever state the pod is. Whoever resolves paths below it
// must not let links lead out of it (see package archive). While a pod that does not run is in fn's hands its lock is
// held: it cannot be started, or removed.
func (e *Engine) WithRoot(ctx context.Context, name string, view RootView, fn func(root *os.File) error) error {
	p, err := e.read(name)
	if err != nil {
		return err
	}
	if p.state.Status == api.StatusRunning {
		root, err := p.files().liveRoot(view)
		if err == nil {
			defer root.Close()
			return fn(root)
		}
		if !errors.Is(err, os.ErrProcessDone) {
			return podError("open the files of", name, err)
		}
	}
	return e.update(ctx, name, func(p *pod) error {
		switch {
		case p.state.Status == api.StatusRunning: // it was started meanwhile, or is about to be seen as ended
			root, err := p.files().liveRoot(view)
			if err != nil {
				return podError("open the files of", name, err)
			}
			defer root.Close()
			return fn(root)
		case halfMade(p), p.state.Status == api.StatusDead:
			return podError("open the files of", name, notRunning(p))
		}
		return p.files().idleRoot(ctx, view, fn)
	})
}

// liveRoot is that of a running container.
func (p podFiles) liveRoot(view RootView) (*os.File, error) {
	dir := kernel.RootOf(p.state.Init.Pid)
	if view == RootOnly {
		dir = p.e.paths.merged(p.Spec.Name)
	}
	root, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if p.state.Init.Life() != kernel.Living { // a pid may have another owner by now
		if err == nil {
			root.Close()
		}
		return nil, os.ErrProcessDone
	}
	return root, err
}

// idleRoot mounts the files of a container that does not run where nobody else sees them: in a mount namespace of its own, which
// ends with this process at the latest, and takes the mounts along.
func (p podFiles) idleRoot(ctx context.Context, view RootView, fn func(*os.File) error) error {
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and the namespace with the thread.
		runtime.LockOSThread()
		done <- p.mountedRoot(ctx, view, fn)
	}()
	return <-done
}

func (p podFiles) mountedRoot(ctx context.Context, view RootView, fn func(*os.File) error) (err error) {
	if err := rootfs.Private(); err != nil {
		return err
	}
	merged := p.e.paths.merged(p.Spec.Name)
	if err := p.mount(); err != nil {
		return err
	}
	// Unmounted here, and not only by the end of the namespace, the layers are free again when this returns.
	defer func() { err = errors.Join(err, rootfs.UnmountTree(merged), p.unmountOwn()) }()
	if view == RootAll {
		if err := p.mountIdle(ctx, merged); err != nil {
			return err
		}
	}
	root, err := os.OpenFile(merged, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer root.Close()
	return fn(root)
}

// mountIdle mounts what the user wants mounted, parents before children.
func (p podFiles) mountIdle(ctx context.Context, merged string) error {
	if err := p.mountVolumes(ctx); err != nil {
		return err
	}
	mounts, err := p.userMounts()
	if err != nil {
		return err
	}
	oci.ParentsFirst(mounts)
	if err := rootfs.ResolveTargets(merged, mounts); err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Type != "bind" {
			continue
		}
		if fi, err := os.Stat(m.Source); err == nil && fi.IsDir() { // which otherwise the first start does
			if err := rootfs.Mkdir(merged, m.Destination); err != nil {
				return err
			}
		}
		target, err := rootfs.OpenIn(merged, m.Destination, unix.O_PATH)
		if errors.Is(err, os.ErrNotExist) {
			continue // a file, for which the first start makes a place
		}
		if err == nil {
			err = rootfs.Bind(m, target)
			target.Close()
		}
		if err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.Destination, err)
		}
	}
	if p.Spec.Container.ReadOnly {
		return rootfs.ReadOnly(merged)
	}
	return nil
}
