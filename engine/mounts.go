package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// userMounts resolves the mounts of the spec and of the image to host paths.
func (p *pod) userMounts() ([]specs.Mount, error) {
	var mounts []specs.Mount
	for _, m := range p.Spec.Container.Mounts {
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
