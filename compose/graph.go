package compose

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// order returns the names of the active services, dependencies before dependents and otherwise by name. Dependencies on
// services that are not active do not count. A cycle is an error that prints its path.
func order(services types.Services) ([]string, error) {
	if cycle := findCycle(services); cycle != nil {
		return nil, Invalid("services."+cycle[0]+"."+dependencyKey(services[cycle[0]], cycle[1]), "dependency cycle: %s", strings.Join(cycle, " -> "))
	}
	depths := map[string]int{}
	for name := range services {
		depth(services, name, depths)
	}
	return slices.SortedFunc(maps.Keys(services), func(a, b string) int {
		return cmp.Or(cmp.Compare(depths[a], depths[b]), cmp.Compare(a, b))
	}), nil
}

// depth is the length of the longest chain of dependencies below name, which must be free of cycles.
func depth(services types.Services, name string, known map[string]int) int {
	if d, ok := known[name]; ok {
		return d
	}
	d := 0
	for dep := range services[name].DependsOn {
		if _, active := services[dep]; active {
			d = max(d, 1+depth(services, dep, known))
		}
	}
	known[name] = d
	return d
}

// findCycle returns the first cycle by name, its first service repeated at the end, or nil.
func findCycle(services types.Services) []string {
	state := map[string]int{} // 1: on the path, 2: done
	var path []string
	var visit func(name string) []string
	visit = func(name string) []string {
		if state[name] == 1 {
			return append(path[slices.Index(path, name):], name)
		}
		s, active := services[name]
		if !active || state[name] == 2 {
			return nil
		}
		state[name] = 1
		path = append(path, name)
		for _, dep := range slices.Sorted(maps.Keys(s.DependsOn)) {
			if cycle := visit(dep); cycle != nil {
				return cycle
			}
		}
		path = path[:len(path)-1]
		state[name] = 2
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		if cycle := visit(name); cycle != nil {
			return cycle
		}
	}
	return nil
}

// dependencyKey is the key of a service by which it depends on another: depends_on, or one from which the loader concludes it, and
// which then is what the file has. An optional dependency is written in depends_on.
func dependencyKey(s types.ServiceConfig, on string) string {
	if d, ok := s.DependsOn[on]; ok && !d.Required {
		return "depends_on"
	}
	for i, link := range s.Links {
		if service, _, _ := strings.Cut(link, ":"); service == on {
			return fmt.Sprintf("links[%d]", i)
		}
	}
	for _, shared := range []struct{ key, with string }{{"network_mode", s.NetworkMode}, {"ipc", s.Ipc}, {"pid", s.Pid}, {"uts", s.Uts}, {"cgroup", s.Cgroup}} {
		if shared.with == types.ServicePrefix+on {
			return shared.key
		}
	}
	for i, from := range s.VolumesFrom {
		if service, _, _ := strings.Cut(from, ":"); service == on {
			return fmt.Sprintf("volumes_from[%d]", i)
		}
	}
	return "depends_on"
}
