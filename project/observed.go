package project

import (
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/api"
)

// Observed is what there is: one snapshot of the engine, and what the images named by the wish mean. It is taken once,
// before planning, and not asked again.
type Observed struct {
	api.Snapshot
	Images   map[string]api.Image // by reference as the user wrote it; those that are not here are absent
	Prepared []string             // references that were made ready for this plan: they are not to be once more
	// Inherit names the anonymous volumes, by pod and target, that an interrupted run meant for pods it did not get to make.
	Inherit map[string]map[string]string
}

func running(p *api.Pod) bool {
	return p != nil && p.Status.Up()
}

// unfit says why a pod that runs must be stopped before it can count as running: its stop has begun, and under the project's lock
// nobody is at that any more, or nothing but its processes is left of its run. None if there is no such reason.
func unfit(p *api.Pod) Reason {
	switch {
	case p == nil || !p.Status.Live():
		return Reason{}
	case p.Halting:
		return because(StopInterrupted)
	case p.RunLost:
		return because(RunDeleted)
	}
	return Reason{}
}

// halfMade reports whether p was left by a process that died while making or removing it: under the project's lock nobody
// else is at work on it.
func halfMade(p *api.Pod) bool {
	return p.Status == api.StatusCreating || p.Status == api.StatusRemoving
}

func serviceOf(p *api.Pod) string { return p.Spec.Labels[LabelService] }

// IsOneOff reports whether the labels are those of a pod that `run` made.
func IsOneOff(labels map[string]string) bool { return strings.EqualFold(labels[LabelOneoff], "true") }

func oneOff(p *api.Pod) bool { return IsOneOff(p.Spec.Labels) }

func numberOf(p *api.Pod) int {
	n, err := strconv.Atoi(p.Spec.Labels[LabelNumber])
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// networksOf lists the networks a spec joins, in order.
func networksOf(s *api.PodSpec) []string {
	var names []string
	for _, e := range s.Network.Endpoints {
		names = append(names, e.Network)
	}
	return names
}

// volumesOf lists the named volumes a spec mounts, sorted.
func volumesOf(s *api.PodSpec) []string {
	var names []string
	for _, m := range s.Container.Mounts {
		if m.Type == api.MountVolume && m.Source != "" {
			names = append(names, m.Source)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// uses reports whether a pod mounts the volume, named or anonymous.
func uses(p *api.Pod, volume string) bool {
	for _, v := range p.Volumes {
		if v == volume {
			return true
		}
	}
	return slices.Contains(volumesOf(&p.Spec), volume)
}
