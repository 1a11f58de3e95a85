package dockerapi

import (
	"cmp"
	"time"

	"podc.example/podc/api"
)

// Network is the answer of GET /networks/{id}, and one entry of GET /networks.
type Network struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       IPAM
	Internal   bool
	Attachable bool
	Ingress    bool
	ConfigFrom struct{ Network string }
	ConfigOnly bool
	Options    map[string]string
	Labels     map[string]string
	Containers map[string]EndpointResource // by the container's id
}

// IPAM is how addresses are given out.
type IPAM struct {
	Driver  string
	Options map[string]string
	Config  []IPAMConfig
}

// IPAMConfig is one address range.
type IPAMConfig struct {
	Subnet     string            `json:",omitempty"`
	IPRange    string            `json:",omitempty"`
	Gateway    string            `json:",omitempty"`
	AuxAddress map[string]string `json:"AuxiliaryAddresses,omitempty"`
}

// EndpointResource is one container of a network.
type EndpointResource struct {
	Name        string
	EndpointID  string
	MacAddress  string
	IPv4Address string
	IPv6Address string
}

// NetworkID is the id of a network in docker's form. It lasts as long as the network: one made anew under its name has another.
func NetworkID(n api.Network) string { return derivedID("network", n.Name, stamp(n.Created)) }

// InspectNetwork describes a network and who is on it.
func InspectNetwork(n api.Network, attachments []api.Attachment) Network {
	out := Network{
		Name: n.Name, ID: NetworkID(n), Created: n.Created, Scope: "local", Driver: cmp.Or(n.Driver, "bridge"),
		IPAM: IPAM{Driver: "default", Options: map[string]string{}, Config: []IPAMConfig{}}, Internal: n.Internal, Attachable: true,
		Options: notNil(n.Options), Labels: notNil(n.Labels), Containers: map[string]EndpointResource{},
	}
	out.EnableIPv4, out.EnableIPv6 = !n.NoIPv4, n.IPv6
	for _, sub := range n.Subnets {
		out.IPAM.Config = append(out.IPAM.Config, ipamConfig(sub))
	}
	for _, a := range attachments {
		for _, i := range a.Interfaces {
			if i.Network == n.Name {
				out.Containers[a.ID] = EndpointResource{Name: a.Owner, EndpointID: endpointID(a.ID, n.Name), MacAddress: i.MAC,
					IPv4Address: text(i.IPv4), IPv6Address: text(i.IPv6)}
			}
		}
	}
	return out
}

func ipamConfig(sub api.Subnet) IPAMConfig {
	c := IPAMConfig{Subnet: text(sub.CIDR), IPRange: text(sub.IPRange), Gateway: text(sub.Gateway)}
	for name, a := range sub.Reserved {
		if c.AuxAddress == nil {
			c.AuxAddress = map[string]string{}
		}
		c.AuxAddress[name] = a.String()
	}
	return c
}
