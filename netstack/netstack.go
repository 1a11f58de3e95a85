// Package netstack gives pods their networks: bridges, addresses, published ports, names. It knows keys (an opaque id per
// attached namespace), namespaces given as paths, and CNI conflists; it does not know pods, images or compose.
//
// Networks are CNI configuration lists driven through libcni. For podc's own lists the plugins bridge, host-local and
// portmap are answered inside this process (netlink, nftables); every other plugin type is executed as usual.
package netstack

import (
	"podc.example/podc/api"
	"podc.example/podc/netstack/firewall"
)

// hasFamily reports whether n has addresses of a family.
func hasFamily(n api.Network, v6 bool) bool { return firewall.ByFamily(v6, !n.NoIPv4, n.IPv6) }

// subnetOf returns the range of a family; false if there is none.
func subnetOf(n api.Network, v6 bool) (api.Subnet, bool) {
	for _, sub := range n.Subnets {
		if sub.CIDR.IsValid() && sub.CIDR.Addr().Is6() == v6 {
			return sub, true
		}
	}
	return api.Subnet{}, false
}
