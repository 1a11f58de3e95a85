package dockerapi

import (
	"slices"
	"strconv"

	"podc.example/podc/api"
)

func networkSettingsOf(f ContainerFacts) *NetworkSettings {
	s := &NetworkSettings{Ports: map[string][]PortBinding{}, Networks: endpointsOf(f.Pod, f.Networks)}
	if f.Pod.Pid > 0 && f.Details.NetNS != "" {
		s.SandboxID, s.SandboxKey = derivedID("sandbox", f.Pod.ID), f.Details.NetNS
	}
	if f.Pod.Pid > 0 {
		s.Ports = published(f.Pod)
	}
	return s
}

// published are the ports of a running container: where they are published, or nil for those that are only exposed.
func published(p api.Pod) map[string][]PortBinding {
	m := map[string][]PortBinding{}
	for _, key := range exposed(p) {
		m[key] = nil
	}
	for _, port := range api.PerFamily(p.Ports) {
		m[portKey(port)] = append(m[portKey(port)], PortBinding{hostAddress(port), strconv.Itoa(int(port.HostPort))})
	}
	return m
}

// exposed are the ports that the image or a published port names.
func exposed(p api.Pod) []string {
	keys := slices.Clone(p.Exposed)
	for _, port := range p.Spec.Network.Ports {
		keys = append(keys, portKey(port))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// endpointsOf are the networks of a container. Addresses are there while it runs.
func endpointsOf(p api.Pod, networks map[string]api.Network) map[string]*Endpoint {
	m := map[string]*Endpoint{}
	if p.Spec.Network.Mode == api.NetworkHost {
		m["host"] = &Endpoint{}
		return m
	}
	if p.Spec.Network.Mode == api.NetworkPrivate && len(p.Spec.Network.Endpoints) == 0 {
		m["none"] = &Endpoint{}
		return m
	}
	for _, e := range p.Spec.Network.Endpoints {
		out := &Endpoint{DriverOpts: e.Options, GwPriority: e.GwPriority, Aliases: aliases(p, e), MacAddress: e.MAC, Links: links(p.Spec.Network.Links), DNSNames: dnsNames(p, e)}
		if e.IPv4.IsValid() || e.IPv6.IsValid() || len(e.LinkLocal) > 0 {
			out.IPAMConfig = &EndpointIPAM{IPv4Address: text(e.IPv4), IPv6Address: text(e.IPv6)}
			for _, a := range e.LinkLocal {
				out.IPAMConfig.LinkLocalIPs = append(out.IPAMConfig.LinkLocalIPs, a.String())
			}
		}
		if n, ok := networks[e.Network]; ok {
			out.NetworkID = NetworkID(n)
		}
		for _, i := range p.Interfaces {
			if i.Network == e.Network {
				out.EndpointID = endpointID(p.ID, e.Network)
				out.Gateway, out.IPAddress, out.MacAddress = text(i.Gateway), text(i.IPv4.Addr()), i.MAC
				out.IPPrefixLen = max(i.IPv4.Bits(), 0)
				out.IPv6Gateway, out.GlobalIPv6Address = text(i.Gateway6), text(i.IPv6.Addr())
				out.GlobalIPv6PrefixLen = max(i.IPv6.Bits(), 0)
			}
		}
		m[e.Network] = out
	}
	return m
}

func endpointID(container, network string) string { return derivedID("endpoint", container, network) }

// aliases are the names that were asked for on a network.
func aliases(p api.Pod, e api.Endpoint) []string {
	return distinct(slices.Concat([]string{p.Spec.Name}, p.Spec.Network.Names, e.Aliases))
}

// dnsNames are all names that a network resolves to the container.
func dnsNames(p api.Pod, e api.Endpoint) []string {
	return distinct(append(aliases(p, e), ShortID(p.ID)))
}

func distinct(list []string) []string {
	out := []string{}
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

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
