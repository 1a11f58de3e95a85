package command

import (
	"slices"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

// Selection selects the containers of the services named, or of all; what `run` made only if oneOffs is set.
func (t Target) Selection(oneOffs bool) control.Selection {
	return control.Selection{Group: t.Name, Services: t.Services, OneOffs: oneOffs}
}

// Chosen lists the containers that a command about existing ones is about, by name: those that keep, if it is not nil, wants.
func (s *Session) Chosen(t Target, oneOffs bool, keep func(api.Pod) bool) ([]api.Pod, error) {
	pods, err := s.Podc.Containers.List(s.Flags.Context, t.Selection(oneOffs))
	if keep == nil {
		return pods, err
	}
	return slices.DeleteFunc(pods, func(p api.Pod) bool { return !keep(p) }), err
}

// IsLive is for Chosen.
func IsLive(p api.Pod) bool { return p.Status.Live() }
