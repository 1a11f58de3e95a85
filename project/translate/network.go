package translate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/internal/valid"
	"podc.example/podc/netstack"
	"podc.example/podc/project"
)

// networks translates the top-level networks that services use.
func (t *translation) networks() error {
	var errs []error
	for _, key := range t.p.NetworkNames() {
		n, err := t.topNetwork(key, t.p.Networks[key])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		t.res.Desired.Networks = append(t.res.Desired.Networks, n)
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(t.p.Services)), func(s types.ServiceConfig) bool { return s.NetworkMode == modeBridge }) {
		n, err := t.topNetwork(modeBridge, types.NetworkConfig{Name: t.bridgeNetwork()})
		errs = append(errs, err)
		t.res.Desired.Networks = append(t.res.Desired.Networks, n)
	}
	return compose.Join(errs...)
}

// modeBridge is the network_mode that means docker's default network, which containers of all projects share and which knows no
// names. Here it is a network of the project's own.
const modeBridge = "bridge"

// bridgeNetwork is the name of the network that stands for network_mode bridge.
func (t *translation) bridgeNetwork() string {
	name := t.p.Name + "_" + modeBridge
	for _, n := range t.p.Networks {
		if n.Name == name {
			return name + "_mode"
		}
	}
	return name
}

func (t *translation) topNetwork(key string, n types.NetworkConfig) (project.Network, error) {
	out := project.Network{Key: key, External: bool(n.External), Spec: api.Network{Name: n.Name}, Static: t.static(key)}
	if out.External {
		return out, nil
	}
	at := "networks." + key
	out.Spec.Internal = n.Internal
	out.Spec.NoIPv4, out.Spec.IPv6 = netstack.Families(n.DriverOpts, n.EnableIPv4, n.EnableIPv6)
	if out.Spec.NoIPv4 && !out.Spec.IPv6 {
		return out, compose.Invalid(at+".enable_ipv4", "without IPv4 the network needs IPv6").WithHint("add enable_ipv6: true")
	}
	err := compose.Join(t.networkDriver(&out.Spec, at, n), subnets(&out.Spec, at+".ipam", n.Ipam))
	if err != nil {
		return out, err
	}
	out.Spec.Labels = userLabels(n.Labels)
	out.Hash = digest(out.Spec)
	out.Spec.Labels = t.ownLabels(n.Labels, project.LabelNetwork, key, out.Hash)
	return out, nil
}

// static are the addresses of a network that services name, those of inactive profiles too. A wrong one is refused with its service.
func (t *translation) static(network string) []netip.Addr {
	var list []netip.Addr
	for _, services := range []types.Services{t.p.Services, t.p.DisabledServices} {
		for _, s := range services {
			if n := s.Networks[network]; n != nil {
				for _, text := range []string{n.Ipv4Address, n.Ipv6Address} {
					if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
						list = append(list, a)
					}
				}
			}
		}
	}
	slices.SortFunc(list, netip.Addr.Compare)
	return slices.Compact(list)
}

// noDrivers are docker's drivers that are no plugins of CNI.
var noDrivers = map[string]string{
	"overlay": "it is for a cluster", "host": "use network_mode: host", "none": "use network_mode: none", "null": "use network_mode: none",
}

func (t *translation) networkDriver(spec *api.Network, at string, n types.NetworkConfig) error {
	if hint, ok := noDrivers[n.Driver]; ok {
		return compose.NotServed(at+".driver", fmt.Sprintf("%q", n.Driver), hint)
	}
	if n.Driver != "bridge" {
		spec.Driver = n.Driver
	}
	if spec.Driver != "" {
		if err := valid.Driver(spec.Driver); err != nil {
			return compose.Invalid(at+".driver", "%v", err)
		}
	}
	for _, opt := range slices.Sorted(maps.Keys(n.DriverOpts)) {
		value, name := n.DriverOpts[opt], opt
		if opt == "mtu" && spec.Driver == "" {
			name = mtuOption
		}
		key := at + ".driver_opts." + opt
		switch err := netstack.CheckOption(spec.Driver, name, value); {
		case errdefs.IsNotImplemented(err):
			return compose.NotServed(key, "", "")
		case err != nil:
			return compose.Invalid(key, "%v", err)
		case netstack.InertOption(spec.Driver, name) != "":
			t.warn(key, "ignored: %s", netstack.InertOption(spec.Driver, name))
		case name == mtuOption:
			spec.MTU, _ = strconv.Atoi(value)
		default:
			if spec.Options == nil {
				spec.Options = map[string]string{}
			}
			spec.Options[name] = value
		}
	}
	return nil
}

const mtuOption = "com.docker.network.driver.mtu"

func subnets(spec *api.Network, at string, ipam types.IPAMConfig) error {
	if ipam.Driver != "" && ipam.Driver != "default" && ipam.Driver != "host-local" {
		return compose.NotServed(at+".driver", fmt.Sprintf("%q", ipam.Driver), "")
	}
	for i, pool := range ipam.Config {
		if pool == nil {
			continue
		}
		s, err := subnet(fmt.Sprintf("%s.config[%d]", at, i), pool)
		if err != nil {
			return err
		}
		spec.Subnets = append(spec.Subnets, s)
	}
	seen := map[bool]bool{}
	for i, s := range spec.Subnets {
		v6, key := s.CIDR.Addr().Is6(), fmt.Sprintf("%s.config[%d]", at, i)
		switch {
		case seen[v6]:
			return compose.NotServed(at+".config", "more than one subnet of a family", "")
		case v6 && !spec.IPv6:
			return compose.Invalid(key, "an IPv6 subnet needs IPv6").WithHint("add enable_ipv6: true to the network")
		case !v6 && spec.NoIPv4:
			return compose.Invalid(key, "an IPv4 subnet needs IPv4, which enable_ipv4 turns off")
		}
		seen[v6] = true
	}
	return nil
}

func subnet(at string, pool *types.IPAMPool) (s api.Subnet, err error) {
	if s.CIDR, err = netip.ParsePrefix(pool.Subnet); err != nil {
		return s, compose.Invalid(at+".subnet", "%q is no subnet such as 10.5.0.0/24", pool.Subnet)
	}
	if err := valid.Subnet(s.CIDR); err != nil {
		return s, compose.Invalid(at+".subnet", "%v", err)
	}
	if s.CIDR != s.CIDR.Masked() {
		return s, compose.Invalid(at+".subnet", "%s has bits set beyond its prefix", s.CIDR).WithHint("did you mean %s?", s.CIDR.Masked())
	}
	if pool.Gateway != "" {
		if s.Gateway, err = within(at+".gateway", pool.Gateway, s.CIDR); err != nil {
			return s, err
		}
	}
	if pool.IPRange != "" {
		s.IPRange, err = netip.ParsePrefix(pool.IPRange)
		if err != nil {
			return s, compose.Invalid(at+".ip_range", "%q is no part of %s", pool.IPRange, s.CIDR)
		}
		if err := valid.Range(s.IPRange, s.CIDR, s.Gateway); err != nil {
			return s, compose.Invalid(at+".ip_range", "%v", err)
		}
		s.IPRange = s.IPRange.Masked()
	}
	for _, name := range slices.Sorted(maps.Keys(pool.AuxiliaryAddresses)) {
		a, err := within(at+".aux_addresses."+name, pool.AuxiliaryAddresses[name], s.CIDR)
		if err != nil {
			return s, err
		}
		if s.Reserved == nil {
			s.Reserved = map[string]netip.Addr{}
		}
		s.Reserved[name] = a
	}
	return s, nil
}

// within parses an address that must be one of a subnet's own.
func within(key, text string, cidr netip.Prefix) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is4() != cidr.Addr().Is4() {
		return a, compose.Invalid(key, "%q is no %s address", text, familyName(cidr.Addr().Is6()))
	}
	if err := valid.HostAddress(a, cidr); err != nil {
		return a, compose.Invalid(key, "%v", err)
	}
	return a, nil
}

func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// network translates how a service reaches the network.
func (t *translation) network(out *project.Service, key string, s types.ServiceConfig) error {
	net := &out.Pod.Network
	mode := s.NetworkMode
	switch of, shared := lenderOf(mode); {
	case shared:
		net.Mode, net.Pod = api.NetworkPod, of
		return sharedNetwork(key, s)
	case mode == "host":
		net.Mode = api.NetworkHost
		if len(s.Ports) > 0 {
			t.warn(key+".ports", "ignored: with network_mode host every port is the host's own")
		}
	case mode == "none":
		if len(s.Ports) > 0 {
			return compose.Invalid(key+".ports", "cannot be published with network_mode none")
		}
	case mode == modeBridge:
		mac, err := macAddress(key, "", key, s.MacAddress, true)
		net.Endpoints = []api.Endpoint{{Network: t.bridgeNetwork(), Aliases: []string{s.Name}, MAC: mac}}
		if err := compose.Join(err, ports(net, key, s)); err != nil {
			return err
		}
	case mode != "":
		return compose.Invalid(key+".network_mode", "%q is none of bridge, none, host, service:NAME, container:NAME", mode)
	default:
		if err := compose.Join(t.endpoints(out, key, s), ports(net, key, s)); err != nil {
			return err
		}
	}
	return names(net, key, s)
}

// sharedNetwork refuses what belongs to the service whose network is shared.
func sharedNetwork(key string, s types.ServiceConfig) error {
	kind, of, _ := strings.Cut(s.NetworkMode, ":")
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"ports", len(s.Ports) > 0}, {"dns", len(s.DNS) > 0}, {"dns_search", len(s.DNSSearch) > 0}, {"dns_opt", len(s.DNSOpts) > 0},
		{"extra_hosts", len(s.ExtraHosts) > 0}, {"links", len(s.Links) > 0}, {"external_links", len(s.ExternalLinks) > 0},
		{"mac_address", s.MacAddress != ""},
	} {
		if k.set {
			e := compose.Invalid(key+"."+k.name, "has no effect in a network shared with %s %q", kind, of)
			if kind == "service" {
				e.WithHint("move it to services.%s", of)
			}
			return e
		}
	}
	return nil
}

// names translates resolvers, extra hosts and links.
func names(net *api.PodNetwork, key string, s types.ServiceConfig) error {
	for i, server := range s.DNS {
		if _, err := netip.ParseAddr(server); err != nil {
			return compose.Invalid(fmt.Sprintf("%s.dns[%d]", key, i), "%q is no address", server)
		}
	}
	net.DNS, net.DNSSearch, net.DNSOptions = s.DNS, s.DNSSearch, s.DNSOpts
	net.ExtraHosts = slices.Sorted(slices.Values(s.ExtraHosts.AsList("=")))
	for _, h := range net.ExtraHosts {
		host, address, _ := strings.Cut(h, "=")
		if _, err := netip.ParseAddr(address); err != nil && address != "host-gateway" {
			return compose.Invalid(key+".extra_hosts", "%s: %q is neither an address nor host-gateway", host, address)
		}
	}
	for _, l := range append(slices.Clone(s.Links), s.ExternalLinks...) {
		target, alias, _ := strings.Cut(l, ":")
		if alias == "" || alias == target {
			continue // it has that name anyway
		}
		if net.Links == nil {
			net.Links = map[string]string{}
		}
		net.Links[alias] = target
	}
	return nil
}
