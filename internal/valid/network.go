package valid

import (
	"fmt"
	"net/netip"
	"strings"
)

// noSubnets are ranges that no network can have: "this" network, the host's own, and many hosts at once.
var noSubnets = []struct {
	prefix netip.Prefix
	is     string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "means no address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "is every host's own"},
	{netip.MustParsePrefix("224.0.0.0/4"), "is for multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "is reserved"},
	{netip.MustParsePrefix("::/96"), "means no address, or a host's own"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "holds IPv4 addresses"},
	{netip.MustParsePrefix("ff00::/8"), "is for multicast"},
}

// Subnet takes the range of a network: one with room for a gateway and a container, of addresses that hosts can have.
func Subnet(p netip.Prefix) error {
	if most := p.Addr().BitLen() - 2; p.Bits() > most {
		return fmt.Errorf("%s has no room for containers: a network needs at least a /%d", p, most)
	}
	for _, no := range noSubnets {
		if p.Overlaps(no.prefix) {
			return fmt.Errorf("%s cannot be a network: %s %s", p, no.prefix, no.is)
		}
	}
	return nil
}

// HostAddress takes an address of a subnet that a host can have: not the first, which is the network's, and in IPv4 not the last,
// which is everybody's.
func HostAddress(a netip.Addr, subnet netip.Prefix) error {
	switch {
	case !subnet.Contains(a):
		return fmt.Errorf("%s is no address of %s", a, subnet)
	case a == subnet.Masked().Addr():
		return fmt.Errorf("%s is no address of a host but that of %s itself", a, subnet)
	case a.Is4() && !subnet.Contains(a.Next()):
		return fmt.Errorf("%s is no address of a host but the broadcast address of %s", a, subnet)
	}
	return nil
}

// Range takes the part of a subnet from which containers get addresses: it holds others than the gateway's, which is the first of
// the subnet unless it is given.
func Range(r, subnet netip.Prefix, gateway netip.Addr) error {
	if !subnet.Contains(r.Addr()) || r.Bits() < subnet.Bits() {
		return fmt.Errorf("%q is no part of %s", r, subnet)
	}
	if !gateway.IsValid() {
		gateway = subnet.Masked().Addr().Next()
	}
	for a := r.Masked().Addr(); r.Contains(a); a = a.Next() {
		if a != gateway && HostAddress(a, subnet) == nil {
			return nil
		}
	}
	return fmt.Errorf("%s holds no address for a container", r)
}

// Published takes the host's address of a published port.
func Published(a netip.Addr) error {
	switch {
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is no address of one host", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("%s is link-local, which says nothing without an interface", a)
	}
	return nil
}

// Name takes what name servers answer for: labels of letters, digits, "-" and "_", joined by dots.
func Name(s string) error {
	if len(s) > 253 {
		return fmt.Errorf("%.20q... is longer than 253 characters", s)
	}
	if !hostName(s) {
		return fmt.Errorf("%.60q is no name of a host: want letters, digits, \"-\" and \"_\", in parts joined by dots", s)
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 {
			return fmt.Errorf("%.20q... has a part of more than 63 characters", s)
		}
	}
	return nil
}

// SearchDomain takes an entry of dns_search; "." means none.
func SearchDomain(s string) error {
	if s == "." {
		return nil
	}
	return Name(strings.TrimSuffix(s, "."))
}

// maxNodeName is what the kernel takes of host and domain names, in bytes (__NEW_UTS_LEN).
const maxNodeName = 64

// HostName takes the host name or the domain name of a container.
func HostName(s string) error {
	if len(s) > maxNodeName {
		return fmt.Errorf("%.20q... is longer than %d characters", s, maxNodeName)
	}
	return Name(s)
}
