package project

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"podc.example/podc/api"
)

// The names that docker compose gives to conditions, in the file and in its label.
var conditionNames = map[api.Condition]string{
	api.Started:   "service_started",
	api.Healthy:   "service_healthy",
	api.Completed: "service_completed_successfully",
}

// formatDependsOn writes the value of LabelDependsOn: "db:service_healthy:true,...", the last part being restart.
func formatDependsOn(deps []Dependency) string {
	var parts []string
	for _, d := range deps {
		restart := "false"
		if d.Restart {
			restart = "true"
		}
		parts = append(parts, d.Service+":"+conditionNames[cmp.Or(d.Condition, api.Started)]+":"+restart)
	}
	return strings.Join(parts, ",")
}

// parseDependsOn reads LabelDependsOn. The label does not say whether a dependency is required: all are.
func parseDependsOn(label string) []Dependency {
	var deps []Dependency
	for part := range strings.SplitSeq(label, ",") {
		f := strings.Split(part, ":")
		if f[0] == "" {
			continue
		}
		d := Dependency{Service: f[0], Condition: api.Started, Required: true}
		for cond, name := range conditionNames {
			if len(f) > 1 && f[1] == name {
				d.Condition = cond
			}
		}
		d.Restart = len(f) > 2 && f[2] == "true"
		deps = append(deps, d)
	}
	return deps
}

// recall makes up the services of pods that no model describes, from their labels, dependencies before dependents. Labels of
// different ages may contradict each other: a cycle is then cut where it is found, in the order of names.
func recall(pods []*api.Pod) []Service {
	services := map[string]Service{}
	owner := map[string]string{} // pod -> service
	for _, p := range pods {
		owner[p.Spec.Name] = serviceOf(p)
	}
	for _, p := range pods {
		s := services[serviceOf(p)]
		s.Name = serviceOf(p)
		s.DependsOn = append(s.DependsOn, parseDependsOn(p.Spec.Labels[LabelDependsOn])...)
		for _, b := range p.Spec.Borrowed() {
			if of := owner[b.Of]; of != "" && of != s.Name {
				s.DependsOn = append(s.DependsOn, Dependency{Service: of, Condition: api.Started, Restart: b.What != api.BorrowVolumes, Required: true})
			}
		}
		services[s.Name] = s
	}
	var ordered []Service
	state := map[string]bool{} // seen
	var visit func(name string)
	visit = func(name string) {
		s, ok := services[name]
		if !ok || state[name] {
			return
		}
		state[name] = true
		s.DependsOn = unique(s.DependsOn)
		for _, d := range dependencies(s) {
			visit(d.Service)
		}
		ordered = append(ordered, s)
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		visit(name)
	}
	return ordered
}

func unique(deps []Dependency) []Dependency {
	slices.SortStableFunc(deps, func(a, b Dependency) int { return strings.Compare(a.Service, b.Service) })
	return slices.CompactFunc(deps, func(a, b Dependency) bool { return a.Service == b.Service })
}
