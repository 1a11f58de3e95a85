package main

import (
	"slices"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

// selection selects the containers of the services named, or of all; what `run` made only if oneOffs is set.
func (t target) selection(oneOffs bool) control.Selection {
	return control.Selection{Group: t.name, Services: t.services, OneOffs: oneOffs}
}

// chosen lists the containers that a command about existing ones is about, by name: those that keep, if it is not nil, wants.
func (s *session) chosen(t target, oneOffs bool, keep func(api.Pod) bool) ([]api.Pod, error) {
	pods, err := s.podc.Containers.List(s.flags.Context, t.selection(oneOffs))
	if keep == nil {
		return pods, err
	}
	return slices.DeleteFunc(pods, func(p api.Pod) bool { return !keep(p) }), err
}

func isLive(p api.Pod) bool { return p.Status.Live() }
