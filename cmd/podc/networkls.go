package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"podc.example/podc/api"
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
	Labels    labelSet
	Name      string
	Scope     string
	Subnets   string // podc's own
}

var networkLayout = layout{
	columns: []column{{"NETWORK ID", "ID"}, {"NAME", "Name"}, {"DRIVER", "Driver"}, {"SCOPE", "Scope"}},
	headers: map[string]string{"IPv4": "IPV4", "IPv6": "IPV6", "Internal": "INTERNAL", "Labels": "LABELS", "CreatedAt": "CREATED AT",
		"Subnets": "SUBNETS"},
}

// Label is {{.Label "key"}} of templates.
func (r networkRow) Label(key string) string { return r.Labels[key] }

func networkRowOf(n api.Network, full bool) networkRow {
	d := dockerapi.InspectNetwork(n, nil)
	row := networkRow{
		CreatedAt: n.Created.Local().Format(dockerTime), Driver: d.Driver, ID: d.ID, IPv4: fmt.Sprint(d.EnableIPv4),
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

func (s *session) listNetworks(c *cli.Context) error {
	f, err := filtersOf(c, control.NetworkFilters...)
	if err != nil {
		return err
	}
	found, err := s.podc.Networks.List(c.Context, f)
	if err != nil {
		return err
	}
	rows := []networkRow{}
	for _, n := range found {
		row := networkRowOf(n, c.Bool("no-trunc"))
		if c.Bool("quiet") {
			fmt.Fprintln(s.con.out, row.ID)
		}
		rows = append(rows, row)
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, c.String("format"), networkLayout, rows, false)
}

func (s *session) inspectNetworks(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return inspectEach(s.con, c, func(arg string) (dockerapi.Network, error) { return s.podc.Networks.Inspect(c.Context, arg) })
}

func (s *session) pruneNetworks(c *cli.Context) error {
	f, err := pruneFilters(c)
	if err != nil {
		return err
	}
	return s.prune(c, pruning{"all networks that no container uses", "Deleted Networks", false, func(ctx context.Context) (control.Pruned, error) {
		return s.podc.Networks.Prune(ctx, f)
	}})
}
