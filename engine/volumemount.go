package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/volumes"
)

// mountVolumes mounts those of the pod's volumes that are mounts themselves.
func (p podFiles) mountVolumes(ctx context.Context) error {
	for _, v := range p.Volumes {
		if err := p.e.volumes.Mount(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// releaseVolumes unmounts what mountVolumes mounted, unless another pod uses it. Idempotent.
func (p podFiles) releaseVolumes(ctx context.Context) error {
	var errs []error
	for _, v := range p.Volumes {
		errs = append(errs, p.e.volumes.Release(ctx, v, func() bool { return p.e.volumeBusy(v, p.Spec.Name) }))
	}
	return errors.Join(errs...)
}

// volumeBusy reports whether a pod but the one named uses the volume now, or is about to: that is on record before it mounts.
func (s *store) volumeBusy(volume, but string) bool {
	pods, err := s.readAll()
	return err != nil || slices.ContainsFunc(pods, func(p *pod) bool {
		return p.Spec.Name != but && (!p.state.Settled || halfMade(p)) && slices.Contains(slices.Collect(maps.Values(p.Volumes)), volume)
	})
}

// strayVolumes finds volumes that are mounted and used by nobody.
func (c Checker) strayVolumes() []finding {
	var found []finding
	for _, v := range c.e.volumes.Mounted() {
		busy := func() bool { return c.e.volumeBusy(v, "") }
		if !busy() {
			found = append(found, finding{Problem: api.Problem{Kind: "mount", Object: c.e.volumes.Path(v), Detail: "of a volume that no running container uses"}, mend: func(ctx context.Context) error {
				return c.e.volumes.Release(ctx, v, busy)
			}})
		}
	}
	return found
}

// imageMount is where the image of the i-th mount is mounted, and subMount where the part that the i-th mount shows is.
func (p podFiles) imageMount(i int) string {
	return filepath.Join(p.e.paths.bundle(p.Spec.Name), "images", strconv.Itoa(i))
}

func (p podFiles) subMount(i int) string {
	return filepath.Join(p.e.paths.bundle(p.Spec.Name), "parts", strconv.Itoa(i))
}

// ownMounts are the places where something is mounted for the pod's mounts, those in others first.
func (p podFiles) ownMounts() []string {
	var parts, images []string
	for i, m := range p.mounts() {
		if m.Subpath != "" {
			parts = append(parts, p.subMount(i))
		}
		if m.Type == api.MountImage {
			images = append(images, p.imageMount(i))
		}
	}
	return append(parts, images...)
}

func (p podFiles) unmountOwn() error {
	var errs []error
	for _, m := range p.ownMounts() {
		errs = append(errs, disk.Unmount(m))
	}
	return errors.Join(errs...)
}

// userMounts resolves the mounts of the spec and of the image to host paths, and mounts what they need for that.
func (p podFiles) userMounts() ([]specs.Mount, error) {
	var mounts []specs.Mount
	for i, m := range append(p.mounts(), p.imageVolumes()...) {
		source, err := p.mountSource(i, m)
		if err == nil && m.Relabel != "" {
			err = rootfs.Relabel(source)
		}
		if err == nil && m.Subpath != "" {
			source, err = p.subMount(i), rootfs.MountPart(source, m.Subpath, p.subMount(i))
		}
		if err != nil {
			return nil, err
		}
		fi, _ := os.Stat(source)
		om := oci.UserMount(m, source, fi != nil && fi.IsDir() && p.e.host().RecursiveReadOnly)
		if m.Type == api.MountVolume {
			v, err := p.e.volumes.Get(p.Volumes[m.Target])
			if err != nil {
				return nil, err
			}
			om.Options = append(om.Options, volumes.Flags(v)...)
		}
		mounts = append(mounts, om)
	}
	return mounts, nil
}

func (p podFiles) mountSource(i int, m api.Mount) (string, error) {
	switch m.Type {
	case api.MountVolume:
		return p.e.volumes.Path(p.Volumes[m.Target]), nil
	case api.MountImage:
		dir := p.imageMount(i)
		return dir, rootfs.MountImage(m.Layers, filepath.Join(filepath.Dir(dir), "empty"), dir, p.e.host().UserXattrs)
	case api.MountBind:
		return m.Source, bindSource(m)
	}
	return "", nil
}

// devices lists the devices that a pod may use. Privileged pods get all of /dev.
func (p podFiles) devices() ([]api.Device, []specs.LinuxDevice, error) {
	list := p.Spec.Container.Devices
	if p.Spec.Container.Privileged {
		list = append(slices.Clone(list), host.DevicesIn("/dev", api.Device{Container: "/dev"})...)
	}
	return host.DeviceNodes(list)
}

// checkDevices refuses a container in which a device that the pod asks for is not in its place; pid is its first process, which waits.
// Of those that a privileged container has beside nobody has named any. What the pod mounts in a device's place is meant.
func (p podFiles) checkDevices(pid int) error {
	full, nodes, err := host.DeviceNodes(p.Spec.Container.Devices)
	if err != nil {
		return err
	}
	root := kernel.RootOf(pid)
	for i, d := range nodes {
		if slices.ContainsFunc(p.Spec.Container.Mounts, func(m api.Mount) bool { return path.Clean(m.Target) == path.Clean(d.Path) }) {
			continue
		}
		switch there, err := host.IsDevice(root, d); {
		case err != nil:
			return fmt.Errorf("cannot see whether the device %s is at %s: %w", full[i].Host, d.Path, err)
		case !there:
			return fault.New(errdefs.ErrFailedPrecondition, "the device %s is not at %s: the container's files have something else there, which the runtime leaves; give it another place",
				full[i].Host, d.Path)
		}
	}
	return nil
}
