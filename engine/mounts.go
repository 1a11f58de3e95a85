package engine

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// mounts are those of the spec and those that it has from other pods.
func (p *pod) mounts() []Mount { return slices.Concat(p.Spec.Container.Mounts, p.From) }

// mountsFrom lists what a pod mounts because others do: their volumes, anonymous ones too, and binds, as they are now. As in
// docker the pod's own mounts go first, and of several pods the last.
func (e *Engine) mountsFrom(s PodSpec) ([]Mount, error) {
	taken := map[string]bool{}
	for _, m := range s.Container.Mounts {
		taken[path.Clean(m.Target)] = true
	}
	var list []Mount
	for _, v := range slices.Backward(s.Container.VolumesFrom) {
		of, err := e.read(v.Pod)
		if err != nil {
			return nil, fmt.Errorf("cannot use the volumes of %q: %w", v.Pod, err)
		}
		for _, m := range append(of.mounts(), of.imageVolumes()...) {
			if m.Type != MountBind && m.Type != MountVolume || taken[path.Clean(m.Target)] {
				continue
			}
			taken[path.Clean(m.Target)] = true
			m.ReadOnly = m.ReadOnly || v.ReadOnly
			if m.Type == MountVolume {
				m.Source, m.NoCopy = of.Volumes[m.Target], true
			}
			list = append(list, m)
		}
	}
	return list, nil
}

// userMounts resolves the mounts of the spec and of the image to host paths.
func (p *pod) userMounts() ([]specs.Mount, error) {
	var mounts []specs.Mount
	for _, m := range p.mounts() {
		source := m.Source
		switch m.Type {
		case MountVolume:
			source = p.e.volumes.Path(p.Volumes[m.Target])
		case MountBind:
			if err := bindSource(m); err != nil {
				return nil, err
			}
		}
		mounts = append(mounts, userMount(m, source))
	}
	for _, m := range p.volumeMounts() {
		if !slices.ContainsFunc(mounts, func(o specs.Mount) bool { return o.Destination == m.Target }) {
			mounts = append(mounts, userMount(m, p.e.volumes.Path(p.Volumes[m.Target])))
		}
	}
	return mounts, nil
}

func bindSource(m Mount) error {
	_, err := os.Stat(m.Source)
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !m.CreateSource {
		return fmt.Errorf("bind source %s does not exist: %w", m.Source, errdefs.ErrNotFound)
	}
	return os.MkdirAll(m.Source, 0o755)
}
