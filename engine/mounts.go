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
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/host"
	"podc.example/podc/engine/oci"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/volumes"
)

// mounts are those of the spec and those that it has from other pods.
func (p podFiles) mounts() []api.Mount { return slices.Concat(p.Spec.Container.Mounts, p.From) }

// mountsFrom lists what a pod mounts because others do: their volumes, anonymous ones too, and binds, as they are now. As in
// docker the pod's own mounts go first, and of several pods the last.
func (s *store) mountsFrom(spec api.PodSpec) ([]api.Mount, error) {
	taken := map[string]bool{}
	for _, m := range spec.Container.Mounts {
		taken[path.Clean(m.Target)] = true
	}
	var list []api.Mount
	for _, v := range slices.Backward(spec.Container.VolumesFrom) {
		of, err := s.read(v.Pod)
		if err != nil {
			return nil, fmt.Errorf("cannot use the volumes of %q: %w", v.Pod, err)
		}
		for _, m := range append(of.files().mounts(), of.files().imageVolumes()...) {
			if m.Type != api.MountBind && m.Type != api.MountVolume || taken[path.Clean(m.Target)] {
				continue
			}
			taken[path.Clean(m.Target)] = true
			m.ReadOnly = m.ReadOnly || v.ReadOnly
			if m.Type == api.MountVolume {
				m.Source, m.NoCopy = of.Volumes[m.Target], true
			}
			list = append(list, m)
		}
	}
	return list, nil
}

// bindSource makes the source of a bind that is missing, where that is asked for.
func bindSource(m api.Mount) error {
	if err := checkSource(m); err != nil || !m.CreateSource {
		return err
	}
	if _, err := os.Stat(m.Source); err == nil {
		return nil
	}
	return os.MkdirAll(m.Source, 0o755)
}

// checkSource refuses the source of a bind that is missing and cannot be made or is not to be, and a /dev that is none: the runtime
// opens /dev/null.
func checkSource(m api.Mount) error {
	if _, err := os.Stat(path.Join(m.Source, "null")); err != nil && path.Clean(m.Target) == "/dev" {
		return fault.New(errdefs.ErrInvalidArgument, "cannot bind %s to /dev of a container: it has no null, without which nothing starts", m.Source)
	}
	_, err := os.Stat(m.Source)
	switch {
	case errors.Is(err, unix.ENOTDIR):
		return fault.New(errdefs.ErrInvalidArgument, "bind source %s cannot be: %s is not a folder", m.Source, existing(m.Source))
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	switch why := noFolder(m.Source); {
	case why != "":
		return fault.New(errdefs.ErrNotFound, "bind source %s does not exist%s", m.Source, why)
	case !m.CreateSource:
		return fault.New(errdefs.ErrNotFound, "bind source %s does not exist", m.Source)
	}
	return nil
}

// existing is the part of a path that is there.
func existing(source string) string {
	for _, err := os.Stat(source); err != nil && source != "/"; _, err = os.Stat(source) {
		source = path.Dir(source)
	}
	return source
}

// noFolder says why a missing source is never made as a folder, "" if it is: where a program makes a socket when it starts, a folder
// would be in its way, and found by everybody who looks for the socket; so would one in place of a device that comes later.
func noFolder(source string) string {
	switch source = realPath(path.Clean(source)); {
	case rootfs.InKernelFolder(source):
		return ", and is not made as a folder: what lies there is the kernel's"
	case source == "/run/docker.sock" || source == "/var/run/docker.sock":
		return ": it is the socket of docker's API, which podc does not have yet"
	case strings.Contains(strings.TrimPrefix(source, existing(source))+"/", ".sock/"):
		return ", and is not made as a folder: by its name it is a socket, which its program must make first"
	case strings.HasPrefix(source, "/run/") || strings.HasPrefix(source, "/var/run/"):
		return ", and is not made as a folder: what lies there is made by the program that it belongs to, which does not run"
	}
	return ""
}

// checkPropagation refuses what the kernel would do without saying so: a mount is propagated only where its source is.
func checkPropagation(m api.Mount) error {
	want := map[string][]string{
		"shared": {"shared:"}, "rshared": {"shared:"}, "slave": {"shared:", "master:"}, "rslave": {"shared:", "master:"},
	}[m.Propagation]
	if want == nil {
		return nil
	}
	at, propagation, err := mountOf(m.Source)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(want, func(w string) bool { return strings.Contains(propagation, w) }) {
		return nil
	}
	return fault.New(errdefs.ErrFailedPrecondition, "cannot mount %s with propagation %s: %s, on which it lies, is not a shared mount", m.Source, m.Propagation, at)
}

// mountOf is the mount point that path lies on, and what the kernel says about its propagation.
func mountOf(path string) (point, propagation string, err error) {
	above, err := mountinfo.GetMounts(mountinfo.ParentsFilter(realPath(path)))
	for _, m := range above {
		if len(m.Mountpoint) >= len(point) { // of two on one point the later one counts
			point, propagation = m.Mountpoint, m.Optional
		}
	}
	return point, propagation, err
}

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
