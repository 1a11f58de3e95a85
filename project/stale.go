package project

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"podc.example/podc/api"
)

// comparison says in what pods differ from what their services would have now.
type comparison struct {
	*roster
	volumes map[string]*fate
	images  map[string]api.Image
}

// stale says why a pod cannot stay as it is, if it cannot.
func (c *comparison) stale(u *unit, old *api.Pod) Reason {
	switch {
	case halfMade(old):
		return because(HalfMade)
	case old.FilesLost && old.Status.Live():
		return because(FilesDeleted)
	case old.FilesLost:
		return because(FilesLost)
	case u.policy == keep:
		return Reason{}
	case u.policy == force:
		return because(RecreationAsked)
	}
	return c.differs(u, old)
}

// obsolete reports whether a pod is not what would be made now, whether that is reason enough to replace it or not.
func (c *comparison) obsolete(u *unit, old *api.Pod) bool {
	return halfMade(old) || old.FilesLost || c.differs(u, old).given()
}

// differs says what a pod has that its service has not, or the other way round.
func (c *comparison) differs(u *unit, old *api.Pod) Reason {
	return firstGiven(
		hashReason(u.Service, old),
		c.imageReason(u.Service, old),
		nameReason(u.Service, old),
		modeReason(u.Service, old),
		c.lenderReason(u, old),
		c.volumeReason(u.Service, old),
	)
}

func hashReason(s Service, old *api.Pod) Reason {
	if old.Spec.Labels[LabelHash] == s.Hash {
		return Reason{}
	}
	var before map[string]string
	if json.Unmarshal([]byte(old.Spec.Labels[LabelFacets]), &before) != nil || len(s.Facets) == 0 {
		return because(ConfigChanged)
	}
	return because(ConfigChanged, facetChanges(before, s.Facets)...)
}

// facetsShown bounds the length of a reason.
const facetsShown = 3

func facetChanges(before, after map[string]string) []string {
	var changes []string
	for _, key := range sortedUnion(before, after) {
		old, had := before[key]
		now, has := after[key]
		switch {
		case !had:
			changes = append(changes, key+" added")
		case !has:
			changes = append(changes, key+" removed")
		case old != now:
			changes = append(changes, key+" changed")
		}
	}
	if n := len(changes); n > facetsShown {
		changes = append(changes[:facetsShown], fmt.Sprintf("%d more", n-facetsShown))
	}
	return changes
}

func sortedUnion(a, b map[string]string) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// imageReason compares identities, not names: a new tag, pull or build shows here. An image that is not here yet cannot be
// compared; that is done once it is.
func (c *comparison) imageReason(s Service, old *api.Pod) Reason {
	ids := map[string]string{s.Pod.Container.Image: old.Spec.Container.ImageID}
	for _, m := range old.Spec.Container.Mounts {
		if m.Type == api.MountImage {
			ids[m.Source] = m.ImageID
		}
	}
	for _, ref := range s.images() {
		if img, here := c.images[ref]; here && img.ID != ids[ref] {
			return because(ImageChanged, ref)
		}
	}
	return Reason{}
}

// modeReason is about where the network comes from. Networks themselves are joined and left without a new pod.
func modeReason(s Service, old *api.Pod) Reason {
	if s.Pod.Network.Mode != old.Spec.Network.Mode {
		return because(NetworkModeChanged)
	}
	return Reason{}
}

func nameReason(s Service, old *api.Pod) Reason {
	if want := replicaName(s, numberOf(old)); want != old.Spec.Name {
		return because(NameChanged, want)
	}
	return Reason{}
}

func (c *comparison) volumeReason(s Service, old *api.Pod) Reason {
	for _, v := range slices.Sorted(maps.Keys(c.volumes)) {
		if f := c.volumes[v]; f.remove.given() && uses(old, v) {
			return f.reason("volume", v)
		}
	}
	for _, m := range s.Pod.Container.Mounts {
		if m.Type != api.MountVolume || m.Source == "" {
			continue
		}
		if f := c.volumes[m.Source]; f != nil && f.create.given() {
			return f.reason("volume", m.Source)
		}
		if mounted(old, m.Target) != m.Source {
			return because(NotMounted, m.Source, m.Target)
		}
	}
	return Reason{}
}

// mounted names the volume at target in a pod.
func mounted(pod *api.Pod, target string) string {
	if v := pod.Volumes[target]; v != "" {
		return v
	}
	for _, m := range pod.Spec.Container.Mounts {
		if m.Type == api.MountVolume && m.Target == target {
			return m.Source
		}
	}
	return ""
}
