package netstack

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// checkDriver refuses a driver that is not there, and one whose parent interface is not.
func (nw *networks) checkDriver(n api.Network) error {
	if isBridge(n) {
		return nil
	}
	if _, err := (&executor{}).FindInPath(n.Driver, nw.plugins.dirs); err != nil {
		return fault.New(errdefs.ErrNotFound, "%w", err)
	}
	parent := n.Options["parent"]
	if parent == "" || n.Driver != "macvlan" && n.Driver != "ipvlan" || linkExists(parent) {
		return nil
	}
	return fault.New(errdefs.ErrNotFound, "this host has no interface %s to be the parent", parent)
}

// checkNetwork refuses what cannot be served, before anything is made.
func checkNetwork(n api.Network) error {
	if !valid.IsName(n.Name) {
		return fault.Invalid("the name may hold letters, digits and \"_.-\", and begins with a letter or digit")
	}
	if n.Driver != "" {
		if err := valid.Driver(n.Driver); err != nil {
			return fault.Invalid("%v", err)
		}
	}
	if err := valid.Labels(n.Labels); err != nil {
		return fault.Invalid("%v", err)
	}
	if n.NoIPv4 && !n.IPv6 {
		return fault.Invalid("it has neither IPv4 nor IPv6")
	}
	seen := map[bool]bool{}
	for _, sub := range n.Subnets {
		if err := checkSubnetAsked(sub); err != nil {
			return err
		}
		v6 := sub.CIDR.IsValid() && sub.CIDR.Addr().Is6()
		switch {
		case seen[v6]:
			return fault.Invalid("more than one subnet of a family is not supported")
		case v6 && !n.IPv6:
			return fault.Invalid("subnet %s needs IPv6 to be enabled", sub.CIDR)
		case !v6 && n.NoIPv4:
			return fault.Invalid("subnet %s needs IPv4, which is disabled", sub.CIDR)
		}
		seen[v6] = true
	}
	for _, k := range slices.Sorted(maps.Keys(n.Options)) {
		if err := CheckOption(n.Driver, k, n.Options[k]); err != nil {
			return err
		}
	}
	return nil
}

func checkSubnetAsked(sub api.Subnet) error {
	invalid := func(format string, args ...any) error {
		return fault.Invalid("subnet %s: %s", sub.CIDR, fmt.Sprintf(format, args...))
	}
	if !sub.CIDR.IsValid() {
		if sub.Gateway.IsValid() || sub.IPRange.IsValid() || len(sub.Reserved) > 0 {
			return fault.Invalid("a gateway, ip_range or aux address needs a subnet")
		}
		return nil
	}
	if err := valid.Subnet(sub.CIDR); err != nil {
		return invalid("%v", err)
	}
	if sub.Gateway.IsValid() {
		if err := valid.HostAddress(sub.Gateway, sub.CIDR); err != nil {
			return invalid("gateway: %v", err)
		}
	}
	if sub.IPRange.IsValid() {
		if err := valid.Range(sub.IPRange, sub.CIDR, sub.Gateway); err != nil {
			return invalid("ip_range: %v", err)
		}
	}
	for name, a := range sub.Reserved {
		if !sub.CIDR.Contains(a) {
			return invalid("aux address %s (%s) lies outside", a, name)
		}
	}
	return nil
}

// check refuses what cannot be served, before anything is made.
func checkAttachment(a api.Attachment) error {
	if !valid.IsName(a.ID) || len(a.ID) > 200 {
		return fault.Invalid("%q is no attachment id", a.ID)
	}
	var seen []string
	for _, e := range a.Endpoints {
		if slices.Contains(seen, e.Network) {
			return fault.Invalid("network %q is named twice", e.Network)
		}
		seen = append(seen, e.Network)
		if err := checkEndpoint(e); err != nil {
			return err
		}
	}
	for _, p := range a.Ports {
		if err := checkPort(p); err != nil {
			return err
		}
	}
	for _, d := range a.DNS {
		if _, err := netip.ParseAddr(d); err != nil {
			return fault.Invalid("%q is no address of a name server", d)
		}
	}
	return nil
}

func checkPort(p api.Port) error {
	switch {
	case p.Protocol != "tcp" && p.Protocol != "udp":
		return fault.New(errdefs.ErrNotImplemented, "cannot publish port %d: protocol %q is not supported (tcp and udp are)", p.Container, p.Protocol)
	case p.Container == 0:
		return fault.New(errdefs.ErrInvalidArgument, "cannot publish container port 0")
	case p.HostEnd != 0 && p.HostEnd < p.HostPort:
		return fault.New(errdefs.ErrInvalidArgument, "cannot publish port %d: the range %d-%d is reversed", p.Container, p.HostPort, p.HostEnd)
	}
	return nil
}

// checkEndpoint refuses what cannot be served, before anything is made.
func checkEndpoint(e api.Endpoint) error {
	if e.MAC != "" {
		if _, err := net.ParseMAC(e.MAC); err != nil {
			return fault.Invalid("%q is no MAC address", e.MAC)
		}
	}
	if e.IPv4.IsValid() && !e.IPv4.Is4() {
		return fault.Invalid("%s is no IPv4 address", e.IPv4)
	}
	if e.IPv6.IsValid() && (!e.IPv6.Is6() || e.IPv6.Is4In6()) {
		return fault.Invalid("%s is no IPv6 address", e.IPv6)
	}
	for _, a := range e.LinkLocal {
		if !a.IsLinkLocalUnicast() {
			return fault.Invalid("%s is no link-local address: want one of 169.254.0.0/16 or fe80::/10", a)
		}
	}
	if e.Interface != "" {
		if err := CheckInterfaceName(e.Interface); err != nil {
			return err
		}
	}
	for _, k := range slices.Sorted(maps.Keys(e.Options)) {
		if err := CheckEndpointOption(k, e.Options[k]); err != nil {
			return err
		}
	}
	return nil
}
