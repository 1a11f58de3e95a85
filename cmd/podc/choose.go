package main

import (
	"slices"

	"podc.example/podc/engine"
	"podc.example/podc/project"
)

// chosen lists the containers that a command about existing ones is about, by name: those of the services named, or all;
// what `run` made only if oneOffs is set; and of these the ones that keep, if it is not nil, wants.
func (s *session) chosen(t target, oneOffs bool, keep func(engine.Pod) bool) ([]engine.Pod, error) {
	pods, err := s.engine.Pods(t.name)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods, func(p engine.Pod) bool {
		return isOneOff(p) && !oneOffs || keep != nil && !keep(p) ||
			len(t.services) > 0 && !slices.Contains(t.services, p.Spec.Labels[project.LabelService])
	}), nil
}

func isLive(p engine.Pod) bool { return p.Status.Live() }
