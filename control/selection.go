package control

import (
	"slices"
	"strconv"

	"podc.example/podc/api"
	"podc.example/podc/project"
)

// Selection says which containers are meant. The zero Selection means all.
type Selection struct {
	Group    string   `json:"group,omitempty"`    // of a project
	Services []string `json:"services,omitempty"` // of these services; none: of all
	Number   int      `json:"number,omitempty"`   // the replica of that number, which `run` never made; 0: any
	OneOffs  bool     `json:"one_offs,omitempty"` // those too that `run` made
	Names    []string `json:"names,omitempty"`    // named by name, id or the beginning of one; nothing else counts then
	Filters  Filters  `json:"filters,omitempty"`  // docker's (ContainerFilters)
}

// Takes reports whether what Selection says of projects, services and replicas holds for p.
func (s Selection) Takes(p api.Pod) bool {
	oneOff := IsOneOff(p)
	return (s.Group == "" || p.Spec.Group == s.Group) &&
		(len(s.Services) == 0 || slices.Contains(s.Services, p.Spec.Labels[project.LabelService])) &&
		(s.Group == "" || s.OneOffs || !oneOff) && (s.Number == 0 || !oneOff && NumberOf(p) == s.Number)
}

// IsOneOff reports whether `run` made a container.
func IsOneOff(p api.Pod) bool { return project.IsOneOff(p.Spec.Labels) }

// NumberOf is the number of a replica; 0 of what is none.
func NumberOf(p api.Pod) int {
	n, _ := strconv.Atoi(p.Spec.Labels[project.LabelNumber])
	return n
}
