package main

import (
	"errors"
	"net/netip"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/netstack"
)

// networkInspect has docker's shape.
type networkInspect struct {
	Name       string
	ID         string `json:"Id"`
	Created    time.Time
	Scope      string
	Driver     string
	Bridge     string `json:",omitempty"`
	MTU        int    `json:",omitempty"`
	EnableIPv4 bool
	EnableIPv6 bool
	IPAM       ipamJSON
	Internal   bool
	Containers map[string]endpointJSON
	Options    map[string]string
	Labels     map[string]string
}

type ipamJSON struct {
	Driver string
	Config []subnetJSON
}

type subnetJSON struct {
	Subnet             string
	Gateway            string                `json:",omitempty"`
	IPRange            string                `json:",omitempty"`
	AuxiliaryAddresses map[string]netip.Addr `json:",omitempty"`
}

type endpointJSON struct {
	Name        string
	MacAddress  string
	IPv4Address string
}

func (s *session) inspectNetworks(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	attachments, err := s.engine.Network().Attachments()
	if err != nil {
		return err
	}
	var found []networkInspect
	var errs []error
	for _, name := range c.Args().Slice() {
		n, err := s.engine.Network().Network(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, inspectNetwork(n, attachments))
	}
	return errors.Join(printInspect(s.con, c.String("format"), found), errors.Join(errs...))
}

func inspectNetwork(n netstack.Network, attachments []netstack.Attachment) networkInspect {
	out := networkInspect{
		Name: n.Name, ID: n.Name, Created: n.Created, Scope: "local", Driver: firstOf(n.Driver, "bridge"), Bridge: n.Bridge, MTU: n.MTU,
		EnableIPv4: true, IPAM: ipamJSON{Driver: "default", Config: []subnetJSON{}}, Internal: n.Internal,
		Containers: map[string]endpointJSON{}, Options: n.Options, Labels: n.Labels,
	}
	for _, sub := range n.Subnets {
		conf := subnetJSON{Subnet: sub.CIDR.String(), AuxiliaryAddresses: sub.Reserved}
		if sub.Gateway.IsValid() {
			conf.Gateway = sub.Gateway.String()
		}
		if sub.IPRange.IsValid() {
			conf.IPRange = sub.IPRange.String()
		}
		out.IPAM.Config = append(out.IPAM.Config, conf)
	}
	for _, a := range attachments {
		for _, i := range a.Interfaces {
			if i.Network == n.Name {
				out.Containers[a.ID] = endpointJSON{a.Owner, i.MAC, i.IPv4.String()}
			}
		}
	}
	return out
}
