// Package netstack gives pods their networks: bridges, addresses, published ports, names. It knows keys (an opaque id per
// attached namespace), namespaces given as paths, and CNI conflists; it does not know pods, images or compose.
//
// Networks are CNI configuration lists driven through libcni. For podc's own lists the plugins bridge, host-local and
// portmap are answered inside this process (netlink, nftables); every other plugin type is executed as usual.
package netstack

import "podc.example/podc/api"

// Attachment is everything the network does for one namespace. It is what Attach is asked for and, completed, what it
// answers and keeps on disk until Detach.
type Attachment struct {
	ID        string     `json:"id"`              // the key: unique, chosen by the caller
	Owner     string     `json:"owner"`           // who to name in messages, such as the pod's name
	NetNS     string     `json:"netns"`           // path of the pinned namespace
	Names     []string   `json:"names,omitempty"` // names on every network of the attachment
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Ports     []Port     `json:"ports,omitempty"`

	// DNS lists the servers that names unknown here are asked of, as addresses; empty: the host's.
	DNS []string `json:"dns,omitempty"`
	// Links maps extra names, which only this attachment sees, to names of its networks.
	Links map[string]string `json:"links,omitempty"`

	Interfaces []Interface `json:"interfaces,omitempty"` // answered; same order as Endpoints
	// DNSPorts is answered: where in the namespace the name server of this attachment listens.
	DNSPorts DNSPorts `json:"dns_ports,omitzero"`
	// Warnings is answered: what was asked for and cannot be had, such as a port of a pod whose networks are all internal.
	Warnings []string `json:"warnings,omitempty"`
}

// DNSPorts are the ports on 127.0.0.11 to which queries for 127.0.0.11:53 are redirected inside a namespace.
type DNSPorts struct {
	UDP uint16 `json:"udp"`
	TCP uint16 `json:"tcp"`
}

// has reports whether n has addresses of a family.
func hasFamily(n Network, v6 bool) bool {
	if v6 {
		return n.IPv6
	}
	return !n.NoIPv4
}

// subnet returns the range of a family; false if there is none.
func subnetOf(n Network, v6 bool) (Subnet, bool) {
	for _, sub := range n.Subnets {
		if sub.CIDR.IsValid() && sub.CIDR.Addr().Is6() == v6 {
			return sub, true
		}
	}
	return Subnet{}, false
}

var families = []bool{false, true} // whether it is IPv6

// Data that netstack shares with others.
type (
	Network      = api.Network
	Subnet       = api.Subnet
	Endpoint     = api.Endpoint
	Port         = api.Port
	Interface    = api.Interface
	Lent         = api.Lent
	PortClaim    = api.PortClaim
	AddressClaim = api.AddressClaim
	Problem      = api.Problem
)
