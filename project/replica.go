package project

import (
	"encoding/json"
	"path"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/api"
)

// Replica completes the template of s for replica n: name, labels, image, and the volumes that the image declares as
// anonymous mounts, so that a successor can inherit them. It shares no memory that it changed with s.
func Replica(s Service, n int, img api.Image) api.PodSpec {
	spec := s.Pod
	spec.Name = replicaName(s, n)
	spec.Labels = replicaLabels(s, n, img)
	spec.Container.ImageID = img.ID
	spec.Container.Mounts = replicaMounts(s, img)
	return spec
}

func replicaName(s Service, n int) string {
	if s.FixedName {
		return s.Pod.Name
	}
	// The template's own separator is followed: "_" under --compatibility.
	sep := "-"
	if strings.HasSuffix(s.Pod.Name, "_"+s.Name) {
		sep = "_"
	}
	return s.Pod.Name + sep + strconv.Itoa(n)
}

// replicaLabels are the image's, the service's and podc's own. An image that another project built has that project's labels,
// which must not pass for this one's.
func replicaLabels(s Service, n int, img api.Image) map[string]string {
	labels := withLabels(without(img.Config.Labels, OwnLabel), s.Pod.Labels)
	labels[LabelService] = s.Name
	labels[LabelNumber] = strconv.Itoa(n)
	labels[LabelHash] = s.Hash
	if img.ID != "" {
		labels[LabelImage] = "sha256:" + img.ID
	}
	if d := formatDependsOn(s.DependsOn); d != "" {
		labels[LabelDependsOn] = d
	}
	if len(s.Facets) > 0 {
		b, err := json.Marshal(s.Facets)
		if err == nil { // a map of strings always encodes
			labels[LabelFacets] = string(b)
		}
	}
	return labels
}

// replicaMounts adds the volumes of the image that nothing else covers and puts parents before what lies in them, as docker
// does. Anonymous volumes are labelled, so that `down -v` finds even those that no pod uses any more.
func replicaMounts(s Service, img api.Image) []api.Mount {
	mounts := slices.Clone(s.Pod.Container.Mounts)
	for _, target := range img.Config.Volumes {
		covered := func(m api.Mount) bool { return path.Clean(m.Target) == path.Clean(target) }
		if !slices.ContainsFunc(mounts, covered) {
			mounts = append(mounts, api.Mount{Type: api.MountVolume, Target: target})
		}
	}
	for i, m := range mounts {
		if m.Type == api.MountVolume && m.Source == "" {
			mounts[i].Labels = withLabels(map[string]string{LabelProject: s.Pod.Labels[LabelProject], LabelService: s.Name}, m.Labels)
		}
	}
	slices.SortStableFunc(mounts, func(a, b api.Mount) int { return depth(a.Target) - depth(b.Target) })
	return mounts
}

func depth(target string) int { return strings.Count(strings.TrimSuffix(path.Clean(target), "/"), "/") }

// inherit gives the anonymous mounts of spec the volumes of a pod that it replaces: have, by target, if they are still there.
func (p *planner) inherit(spec *api.PodSpec, have map[string]string) {
	for i, m := range spec.Container.Mounts {
		v, ok := p.o.Volumes[have[m.Target]]
		if !ok || !v.Anonymous || m.Type != api.MountVolume || m.Source != "" {
			continue
		}
		spec.Container.Mounts[i].Source = v.Name
		if p.plan.inherits[spec.Name] == nil {
			p.plan.inherits[spec.Name] = map[string]string{}
		}
		p.plan.inherits[spec.Name][m.Target] = v.Name
	}
}
