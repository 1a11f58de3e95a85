package network

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
)

// networkRow is one network of a list, with docker's keys.
type networkRow struct {
	CreatedAt string
	Driver    string
	ID        string
	IPv4      string
	IPv6      string
	Internal  string
	Labels    show.LabelSet
	Name      string
	Scope     string
	Subnets   string // podc's own
}

var networkLayout = show.Layout{
	Columns: []show.Column{{"NETWORK ID", "ID"}, {"NAME", "Name"}, {"DRIVER", "Driver"}, {"SCOPE", "Scope"}},
	Headers: map[string]string{"IPv4": "IPV4", "IPv6": "IPV6", "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
		"Subnets": "SUBNETS"},
}

// Label is {{.Label "key"}} of templates.
func (r networkRow) Label(key string) string { return r.Labels[key] }

func networkRowOf(n api.Network, full bool) networkRow {
	d := dockerapi.InspectNetwork(n, nil)
	row := networkRow{
		CreatedAt: n.Created.Local().Format(show.DockerTime), Driver: d.Driver, ID: d.ID, IPv4: fmt.Sprint(d.EnableIPv4),
		IPv6: fmt.Sprint(d.EnableIPv6), Internal: fmt.Sprint(n.Internal), Labels: n.Labels, Name: n.Name,
		Scope: d.Scope,
	}
	if !full {
		row.ID = dockerapi.ShortID(row.ID)
	}
	var subnets []string
	for _, sub := range d.IPAM.Config {
		subnets = append(subnets, sub.Subnet)
	}
	row.Subnets = strings.Join(subnets, ",")
	return row
}

func listNetworks(s *command.Session, c *cli.Context) error {
	f, err := command.FiltersOf(c, control.NetworkFilters...)
	if err != nil {
		return err
	}
	found, err := s.Podc.Networks.List(c.Context, f)
	if err != nil {
		return err
	}
	rows := []networkRow{}
	for _, n := range found {
		rows = append(rows, networkRowOf(n, c.Bool("no-trunc")))
	}
	return command.ShowList(s, c, networkLayout, rows, false, func(r networkRow) string { return r.ID })
}
