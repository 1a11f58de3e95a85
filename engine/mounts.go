package engine

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/fault"
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
	for _, w := range want {
		if strings.Contains(propagation, w) {
			return nil
		}
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
