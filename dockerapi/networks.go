package dockerapi

import "podc.example/podc/api"

// NetworksOf are the names of the networks that a container is on, or will be.
func NetworksOf(p api.Pod) []string {
	if p.Spec.Network.Mode == api.NetworkHost {
		return []string{"host"}
	}
	var names []string
	for _, e := range p.Spec.Network.Endpoints {
		names = append(names, e.Network)
	}
	return names
}
