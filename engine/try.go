package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/netstack"
)

// TryRootfs mounts a root filesystem as pods get it, where pods get it, and lets it go again. Its error says what the file
// system of the data root, the kernel, or the rights of this process do not give.
func (c *possible) TryRootfs(context.Context) (err error) {
	above := c.e.paths.data
	for !isFolder(above) && above != filepath.Dir(above) {
		above = filepath.Dir(above)
	}
	dir, err := os.MkdirTemp(above, ".podc-try-")
	if err != nil {
		return fmt.Errorf("cannot write to the data root: %w", err)
	}
	defer func() { err = errors.Join(err, disk.Unmount(filepath.Join(dir, "merged")), os.RemoveAll(dir)) }()
	layer := filepath.Join(dir, "layer")
	if err := os.Mkdir(layer, 0o755); err != nil {
		return err
	}
	o := rootfs.Overlay{Layers: []string{layer}, Diff: filepath.Join(dir, "diff"), Work: filepath.Join(dir, "work"), Volatile: true}
	if err := rootfs.Mount(o, filepath.Join(dir, "merged")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "merged", "file"), nil, 0o600)
}

func isFolder(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}

// TryPorts fails with every fixed port of a pod at rest that somebody else has by now: the pod could not be started.
func (s *shared) TryPorts(ctx context.Context) error {
	pods, err := s.e.Pods("")
	if err != nil {
		return err
	}
	var claims []netstack.PortClaim
	for _, p := range pods {
		for _, port := range p.Spec.Network.Ports {
			if p.Status != api.StatusRunning && p.Status != api.StatusRestarting && port.HostPort != 0 && port.HostEnd == 0 {
				claims = append(claims, netstack.PortClaim{Owner: p.Spec.Name, Port: port})
			}
		}
	}
	return s.CheckPorts(ctx, claims)
}
