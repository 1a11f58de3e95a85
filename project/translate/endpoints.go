package translate

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

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
		e := netstack.Endpoint{Network: t.p.Networks[name].Name, Aliases: aliases(s.Name, n)}
		var err error
		if n.Ipv4Address != "" {
			if e.IPv4, err = t.staticAddress(at+".ipv4_address", n.Ipv4Address, name); err != nil {
				return err
			}
		}
		if e.MAC, err = macAddress(at, n.MacAddress, key, s.MacAddress, i == 0); err != nil {
			return err
		}
		if out.Replicas > 1 && (e.IPv4.IsValid() || e.MAC != "") {
			return compose.Invalid(at, "%d replicas cannot share one address", out.Replicas).WithHint("leave out ipv4_address and mac_address")
		}
		out.Pod.Network.Endpoints = append(out.Pod.Network.Endpoints, e)
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

func (t *translation) staticAddress(key, text, network string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, compose.Invalid(key, "%q is no IPv4 address", text)
	}
	n := t.p.Networks[network]
	if n.External {
		return a, nil
	}
	if len(n.Ipam.Config) == 0 {
		return a, compose.Invalid(key, "network %q has no subnet of its own", network).WithHint("give networks.%s a subnet under ipam.config", network)
	}
	if cidr, err := netip.ParsePrefix(n.Ipam.Config[0].Subnet); err == nil {
		return within(key, text, cidr)
	}
	return a, nil
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
	if err != nil || len(hw) != 6 || hw[0]&1 != 0 {
		return "", compose.Invalid(from+".mac_address", "%q is no address of one interface", mac)
	}
	return hw.String(), nil
}
