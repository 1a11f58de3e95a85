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

// planReplicas decides for each replica of u whether it stays, goes, is replaced or made.
func (p *planner) planReplicas(u *unit) {
	switch {
	case u.dead:
		for _, s := range u.slots {
			s.discard(because(Damaged))
		}
		return
	case u.policy == leave:
		return
	case u.policy == drop:
		p.dropOrphans(u)
		return
	}
	why, obsolete := map[*slot]Reason{}, map[*slot]bool{}
	for _, s := range u.slots {
		why[s] = p.comparison.stale(u, s.old)
		obsolete[s] = len(u.slots) > u.Replicas && p.comparison.obsolete(u, s.old)
	}
	next := 1
	if n := len(u.slots); n > 0 {
		next = u.slots[n-1].number + 1
	}
	for i, s := range preferred(u.slots, obsolete) {
		switch {
		case i >= u.Replicas:
			s.discard(because(Scaled, strconv.Itoa(u.Replicas)))
		case why[s].given():
			p.replace(u, s, why[s])
		default:
			p.revive(u, s)
		}
	}
	for i := len(u.slots); i < u.Replicas; i++ {
		s := &slot{number: next}
		next++
		u.slots = append(u.slots, s)
		p.make(u, s, u.wanting())
	}
}

// wanting says why a replica that is not there is made.
func (u *unit) wanting() Reason {
	if u.fresh {
		return because(AskedFor)
	}
	return because(Missing)
}

// preferred orders slots by how much they deserve to stay: those that are up to date first, then the lower numbers.
func preferred(slots []*slot, obsolete map[*slot]bool) []*slot {
	ordered := slices.Clone(slots)
	slices.SortStableFunc(ordered, func(a, b *slot) int {
		switch {
		case !obsolete[a] && obsolete[b]:
			return -1
		case obsolete[a] && !obsolete[b]:
			return 1
		default:
			return a.number - b.number
		}
	})
	return ordered
}

func (p *planner) dropOrphans(u *unit) {
	for _, s := range u.slots {
		if u.Name != "" || p.orphanOneOff(s.old) {
			s.discard(because(Orphan))
		}
	}
}

// discard removes what is there, for good.
func (s *slot) discard(why Reason) {
	s.halt(why)
	s.remove, s.name = why, ""
}

func (s *slot) halt(why Reason) {
	if running(s.old) {
		s.stop = why
	}
}

func (p *planner) replace(u *unit, s *slot, why Reason) {
	s.halt(why)
	s.remove = why
	p.make(u, s, why)
}

// make plans the pod of a slot from the template of its service.
func (p *planner) make(u *unit, s *slot, why Reason) {
	for _, ref := range u.images() {
		p.needImage(u, ref)
	}
	img := p.o.Images[u.Pod.Container.Image]
	spec := Replica(u.Service, s.number, img)
	if u.fresh {
		delete(spec.Labels, LabelNumber) // one-offs are not numbered
	}
	p.nameLenders(u, &spec)
	p.resolveMounts(&spec)
	if !p.opt.RenewAnon {
		if s.old != nil {
			p.inherit(&spec, s.old.Volumes)
		}
		p.inherit(&spec, p.o.Inherit[spec.Name])
	}
	s.name, s.spec, s.image, s.create = spec.Name, &spec, img, why
	if !p.opt.NoStart {
		s.start = why
	}
}

// revive starts a replica that is as it should be but does not run.
func (p *planner) revive(u *unit, s *slot) {
	switch {
	case p.opt.NoStart:
		return
	case unfit(s.old).given():
		s.stop, s.start = unfit(s.old), unfit(s.old)
		return
	case running(s.old):
		if s.old.HooksDue {
			s.start = because(HooksDue)
		}
		return
	}
	if p.opt.KeepCompleted && completed(s.old) && p.awaited(u) {
		return
	}
	s.start = idleReason(s.old)
}

func completed(pod *api.Pod) bool {
	return pod.Status == api.StatusExited && pod.ExitKnown && pod.ExitCode == 0
}

func idleReason(pod *api.Pod) Reason {
	switch {
	case pod.Status == api.StatusCreated:
		return because(NotStarted)
	case !pod.ExitKnown:
		return because(NotRunning)
	default:
		return because(Exited, strconv.Itoa(pod.ExitCode))
	}
}
