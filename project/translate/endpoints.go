package translate

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/compose"
	"podc.example/podc/netstack"
	"podc.example/podc/project"
)

// endpoints translates the attachments of a service: highest priority first, then by name.
func (t *translation) endpoints(out *project.Service, key string, s types.ServiceConfig) error {
	for i, name := range s.NetworksByPriority() {
		n := s.Networks[name]
		if n == nil {
			n = &types.ServiceNetworkConfig{}
		}
		at := key + ".networks." + name
		e := api.Endpoint{Network: t.p.Networks[name].Name, Aliases: aliases(s.Name, n), GwPriority: n.GatewayPriority}
		var err error
		if n.Ipv4Address != "" {
			if e.IPv4, err = t.staticAddress(at+".ipv4_address", n.Ipv4Address, name, false); err != nil {
				return err
			}
		}
		if n.Ipv6Address != "" {
			if e.IPv6, err = t.staticAddress(at+".ipv6_address", n.Ipv6Address, name, true); err != nil {
				return err
			}
		}
		if e.LinkLocal, err = linkLocal(at+".link_local_ips", n.LinkLocalIPs); err != nil {
			return err
		}
		if err := endpointOptions(&e, at, n); err != nil {
			return err
		}
		if e.MAC, err = macAddress(at, n.MacAddress, key, s.MacAddress, i == 0); err != nil {
			return err
		}
		if out.Replicas > 1 && (e.IPv4.IsValid() || e.IPv6.IsValid() || len(e.LinkLocal) > 0 || e.MAC != "") {
			return compose.Invalid(at, "%d replicas cannot share one address", out.Replicas).
				WithHint("leave out ipv4_address, ipv6_address, link_local_ips and mac_address")
		}
		out.Pod.Network.Endpoints = append(out.Pod.Network.Endpoints, e)
	}
	if _, err := netstack.WantedInterfaces(out.Pod.Network.Endpoints); err != nil {
		return compose.Invalid(key+".networks", "%v", err)
	}
	return nil
}

func aliases(service string, n *types.ServiceNetworkConfig) []string {
	var list []string
	if n.ServiceNameAliasEnabled() {
		list = append(list, service)
	}
	for _, a := range n.Aliases {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

func (t *translation) staticAddress(key, text, network string, v6 bool) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is6() != v6 || a.Zone() != "" {
		return a, compose.Invalid(key, "%q is no %s address", text, familyName(v6))
	}
	n := t.p.Networks[network]
	if n.External {
		return a, nil
	}
	for _, pool := range n.Ipam.Config {
		if pool == nil {
			continue
		}
		s, err := subnet("networks."+network, pool) // what is wrong with it is told of the network
		if err != nil || s.CIDR.Addr().Is6() != v6 {
			continue
		}
		if !s.Gateway.IsValid() {
			s.Gateway = netstack.FirstFree(s)
		}
		if a == s.Gateway {
			return a, compose.Invalid(key, "%s is the gateway of network %q", a, network)
		}
		return within(key, text, s.CIDR)
	}
	return a, compose.Invalid(key, "network %q has no %s subnet of its own", network, familyName(v6)).
		WithHint("give networks.%s a subnet under ipam.config", network)
}

func linkLocal(key string, list []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for i, text := range list {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.IsLinkLocalUnicast() || a.Zone() != "" {
			return nil, compose.Invalid(fmt.Sprintf("%s[%d]", key, i), "%q is no link-local address: want one of 169.254.0.0/16 or fe80::/10", text)
		}
		out = append(out, a)
	}
	return out, nil
}

// endpointOptions translates the interface's name and the driver options.
func endpointOptions(e *api.Endpoint, at string, n *types.ServiceNetworkConfig) error {
	for _, opt := range slices.Sorted(maps.Keys(n.DriverOpts)) {
		switch err := netstack.CheckEndpointOption(opt, n.DriverOpts[opt]); {
		case errdefs.IsNotImplemented(err):
			return compose.NotServed(at+".driver_opts."+opt, "", "")
		case err != nil:
			return compose.Invalid(at+".driver_opts."+opt, "%v", err)
		}
	}
	if len(n.DriverOpts) > 0 {
		e.Options = n.DriverOpts
	}
	e.Interface = n.InterfaceName
	if e.Interface != "" {
		if err := netstack.CheckInterfaceName(e.Interface); err != nil {
			return compose.Invalid(at+".interface_name", "%v", err)
		}
	}
	return nil
}

// macAddress is that of the attachment; the service's own goes to its first network.
func macAddress(at, own, key, service string, first bool) (string, error) {
	mac, from := own, at
	if service != "" && first {
		from = key
		if own != "" && !strings.EqualFold(own, service) {
			return "", compose.Invalid(key+".mac_address", "is %s, but %s.mac_address is %s", service, at, own)
		}
		mac = service
	}
	if mac == "" {
		return "", nil
	}
	hw, err := net.ParseMAC(mac)
	if err != nil || len(hw) != 6 || hw[0]&1 != 0 || slices.Max(hw) == 0 {
		return "", compose.Invalid(from+".mac_address", "%q is no address of one interface", mac)
	}
	return hw.String(), nil
}
