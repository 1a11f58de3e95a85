package dockerapi

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"podc.example/podc/api"
)

// mountPoints are a container's mounts as they stand, anonymous volumes of the image included.
func mountPoints(p api.Pod, volumePath func(string) string) []MountPoint {
	points := []MountPoint{}
	seen := map[string]bool{}
	for _, m := range slices.Concat(p.Spec.Container.Mounts, p.From) {
		seen[path.Clean(m.Target)] = true
		switch m.Type {
		case api.MountVolume:
			points = append(points, volumePoint(p.Volumes[m.Target], m.Target, !m.ReadOnly, volumePath))
		default:
			points = append(points, hostPoint(m))
		}
	}
	for _, target := range slices.Sorted(maps.Keys(p.Volumes)) {
		if !seen[path.Clean(target)] {
			points = append(points, volumePoint(p.Volumes[target], target, true, volumePath))
		}
	}
	return points
}

func volumePoint(name, target string, writable bool, volumePath func(string) string) MountPoint {
	return MountPoint{Type: "volume", Name: name, Source: volumePath(name), Destination: target, Driver: "local",
		Mode: mode(!writable, "z"), RW: writable}
}

func hostPoint(m api.Mount) MountPoint {
	if m.Type == api.MountImage {
		return MountPoint{Type: "image", Name: m.Source, Destination: m.Target, Mode: "ro"}
	}
	point := MountPoint{Type: string(m.Type), Source: m.Source, Destination: m.Target, Mode: mode(m.ReadOnly, m.Relabel), RW: !m.ReadOnly}
	if m.Type == api.MountBind {
		point.Propagation = cmp.Or(m.Propagation, "rprivate")
	}
	return point
}

func mode(readOnly bool, writable string) string {
	if readOnly {
		return "ro"
	}
	return writable
}

// asked are the mounts that the container asked for. Those that docker's short form can say are Binds, as with docker compose.
func asked(mounts []api.Mount) (binds []string, rest []Mount) {
	for _, m := range mounts {
		if m.Source != "" && !m.NonRecursive && !m.NoCopy && m.Subpath == "" && !m.OnlyTopReadOnly && !m.AllReadOnly &&
			(m.Type == api.MountVolume || m.Type == api.MountBind && m.CreateSource) {
			binds = append(binds, shortBind(m))
			continue
		}
		out := Mount{Type: string(m.Type), Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
		switch m.Type {
		case api.MountBind:
			out.BindOptions = &BindOptions{Propagation: m.Propagation, NonRecursive: m.NonRecursive, CreateMountpoint: m.CreateSource,
				ReadOnlyNonRecursive: m.OnlyTopReadOnly, ReadOnlyForceRecursive: m.AllReadOnly}
		case api.MountVolume:
			if m.NoCopy || m.Labels != nil || m.Subpath != "" {
				out.VolumeOptions = &VolumeOptions{NoCopy: m.NoCopy, Labels: m.Labels, Subpath: m.Subpath}
			}
		case api.MountImage:
			out.ImageOptions = &ImageOptions{m.Subpath}
		case api.MountTmpfs:
			out.TmpfsOptions = &TmpfsOptions{SizeBytes: m.TmpfsSize, Mode: m.TmpfsMode}
			for _, o := range m.TmpfsOptions {
				out.TmpfsOptions.Options = append(out.TmpfsOptions.Options, strings.SplitN(o, "=", 2))
			}
		}
		rest = append(rest, out)
	}
	return binds, rest
}

func shortBind(m api.Mount) string {
	options := []string{"rw"}
	if m.ReadOnly {
		options[0] = "ro"
	}
	if m.Relabel != "" {
		options = append(options, m.Relabel)
	}
	if m.Propagation != "" {
		options = append(options, m.Propagation)
	}
	return m.Source + ":" + m.Target + ":" + strings.Join(options, ",")
}

// MountSources are what a container's mounts show, by name or host path, in the order of the mounts; whatever has neither is
// left out.
func MountSources(p api.Pod) []string {
	var sources []string
	for _, m := range mountPoints(p, func(name string) string { return name }) {
		if m.Source != "" {
			sources = append(sources, m.Source)
		}
	}
	return sources
}
