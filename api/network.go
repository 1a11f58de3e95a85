package api

import (
	"net/netip"
	"time"
)

// Network is one network as its creator asked for it plus what was chosen for it. It is stored inside its conflist.
type Network struct {
	Name     string            `json:"name"`             // unique on this root, fixed
	Driver   string            `json:"driver,omitempty"` // "bridge" (the zero value means bridge), or a CNI plugin type
	Labels   map[string]string `json:"labels,omitempty"`
	Internal bool              `json:"internal,omitempty"` // no route out, no forwarded DNS
	IPv6     bool              `json:"ipv6,omitempty"`     // it has IPv6 addresses
	NoIPv4   bool              `json:"no_ipv4,omitempty"`  // it has no IPv4 addresses
	Subnets  []Subnet          `json:"subnets,omitempty"`  // at most one per family; what is missing when asked is chosen from the pools
	Bridge   string            `json:"bridge,omitempty"`   // host interface name; chosen, carries the root's id
	MTU      int               `json:"mtu,omitempty"`      // 0: the uplink's
	Options  map[string]string `json:"options,omitempty"`  // driver options, as in compose's driver_opts
	Created  time.Time         `json:"created"`
	// Kept are static addresses by who keeps them: see KeepAddresses.
	Kept map[string][]netip.Addr `json:"kept,omitempty"`
	Lent *Lent                   `json:"lent,omitempty"` // of a bridge that podc did not make

	File     string `json:"file,omitempty"`     // of a network made by hand: its configuration
	PortMaps bool   `json:"portmaps,omitempty"` // of one: whether its plugins publish ports
}

// ByHand reports whether n was made by hand in the configuration folders: it may be used, and is never changed.
func (n Network) ByHand() bool { return n.File != "" }

// Subnet is one address range of a network.
type Subnet struct {
	CIDR    netip.Prefix `json:"cidr"`
	Gateway netip.Addr   `json:"gateway,omitzero"`  // zero: the first address
	IPRange netip.Prefix `json:"ip_range,omitzero"` // zero: all of CIDR; static addresses may lie outside of it
	// Reserved maps names to addresses that are never handed out (compose's aux_addresses).
	Reserved map[string]netip.Addr `json:"reserved,omitempty"`
	// Chosen says that podc chose CIDR, and may choose anew while nobody is attached.
	Chosen bool `json:"chosen,omitempty"`
}

// Endpoint asks for one network of a pod. The order of a pod's endpoints is the order of its interfaces. Of those with a way
// out, the one with the highest GwPriority has the default route, the first among equals; for each family apart.
type Endpoint struct {
	Network string     `json:"network"`
	Aliases []string   `json:"aliases,omitempty"` // names on this network, beside those of Attachment.Names
	IPv4    netip.Addr `json:"ipv4,omitzero"`     // zero: any free one
	IPv6    netip.Addr `json:"ipv6,omitzero"`     // zero: any free one, if the network has IPv6
	MAC     string     `json:"mac,omitempty"`

	LinkLocal  []netip.Addr `json:"link_local,omitempty"` // further addresses, valid on this link only
	GwPriority int          `json:"gw_priority,omitempty"`
	// Interface is the name inside the pod; empty: chosen and answered, the network's prefix (eth) and the first free number.
	Interface string `json:"interface,omitempty"`
	// Options are docker's driver options of an endpoint: see CheckEndpointOption.
	Options map[string]string `json:"options,omitempty"`
}

// Static are the addresses that e asks for.
func (e Endpoint) Static() []netip.Addr {
	var list []netip.Addr
	for _, a := range []netip.Addr{e.IPv4, e.IPv6} {
		if a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

// Port publishes a container's port on the host.
type Port struct {
	HostIP    netip.Addr `json:"host_ip,omitzero"`   // zero: every address of the host, of the families that the pod has
	HostPort  uint16     `json:"host_port"`          // 0: an ephemeral one, chosen at attach time and reported
	HostEnd   uint16     `json:"host_end,omitempty"` // last of a range to take the first free port from; 0: none
	Container uint16     `json:"container"`
	Protocol  string     `json:"protocol"` // "tcp" or "udp"
	// Dual is answered: without a HostIP it is published on IPv6 addresses beside those of IPv4.
	Dual bool `json:"dual,omitempty"`
}

// Interface is one attached network interface.
type Interface struct {
	Network string       `json:"network"`
	Name    string       `json:"name"` // inside the namespace: eth0, eth1, ...
	HostIf  string       `json:"host_if,omitempty"`
	MAC     string       `json:"mac,omitempty"`
	IPv4    netip.Prefix `json:"ipv4,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"` // of IPv4

	IPv6     netip.Prefix `json:"ipv6,omitzero"`
	Gateway6 netip.Addr   `json:"gateway6,omitzero"`
}

// Addrs lists the addresses of an interface, at most one per family.
func (i Interface) Addrs() []netip.Addr {
	var list []netip.Addr
	for _, p := range []netip.Prefix{i.IPv4, i.IPv6} {
		if p.IsValid() {
			list = append(list, p.Addr())
		}
	}
	return list
}

// Lent says of a network that its bridge is somebody else's, named by a driver option, and what podc has changed of it: what
// goes with the network, so that the bridge then is as it was.
type Lent struct {
	Addrs    []netip.Prefix `json:"addrs,omitempty"`    // added: the gateways of subnets in which it had no address
	Held     []netip.Addr   `json:"held,omitempty"`     // its own, which no pod may get
	Up       bool           `json:"up,omitempty"`       // taken up
	Localnet bool           `json:"localnet,omitempty"` // let have 127.0.0.1 translated into it
}

// PortClaim is a wish to publish a port.
type PortClaim struct {
	Owner string // as in Attachment.Owner
	Port  Port
}

// AddressClaim is a wish for a static address.
type AddressClaim struct {
	Owner   string   // as in Attachment.Owner
	As      []string // further owners, as in KeepAddresses, whose addresses are the owner's to take
	Network string
	Addr    netip.Addr
}

// AddrsMeet reports whether two addresses of the host can meet: none means all of them, an unspecified one all of its family.
func AddrsMeet(a, b netip.Addr) bool {
	return !a.IsValid() || !b.IsValid() || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified() || a == b)
}

// PerFamily is ports with each that is published by both families in two, as docker shows them.
func PerFamily(ports []Port) []Port {
	var list []Port
	for _, p := range ports {
		if !p.Dual {
			list = append(list, p)
			continue
		}
		for _, ip := range p.HostIPs() {
			list = append(list, Port{HostIP: ip, HostPort: p.HostPort, Container: p.Container, Protocol: p.Protocol})
		}
	}
	return list
}

// HostIPs are the addresses of the host that a completed port takes: an unspecified one stands for all of its family.
func (p Port) HostIPs() []netip.Addr {
	switch {
	case p.HostIP.IsValid():
		return []netip.Addr{p.HostIP}
	case p.Dual:
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return []netip.Addr{netip.IPv4Unspecified()}
}

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
