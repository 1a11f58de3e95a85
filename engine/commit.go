package engine

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// MountPoints are the places in a container where something is, or was, mounted, as its last start had them.
func (s *store) MountPoints(p api.Pod) []string {
	var last specs.Spec
	disk.ReadJSON(s.e.paths.config(p.Spec.Name), &last) // of one that was never started there is none
	var mounts []string
	for _, m := range last.Mounts {
		mounts = append(mounts, m.Destination)
	}
	mounts = append(mounts, slices.Sorted(maps.Keys(p.Volumes))...)
	for i, m := range mounts {
		mounts[i] = strings.Trim(m, "/")
	}
	slices.Sort(mounts)
	return slices.Compact(mounts)
}
