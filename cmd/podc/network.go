package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

func networkCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "network", Usage: "manage networks",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list networks",
				Flags:  listFlags("name, id, driver, label, label!, scope, type, dangling"),
				Action: with(con, (*session).listNetworks),
			},
			{
				Name: "inspect", Usage: "show all about networks", ArgsUsage: "NETWORK...",
				Flags:  []cli.Flag{text("format", "json or a Go template (`FORMAT`)", "f")},
				Action: with(con, (*session).inspectNetworks),
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove networks", ArgsUsage: "NETWORK...",
				Flags:  []cli.Flag{toggle("force", "do not mind networks that do not exist", "f")},
				Action: changes(con, (*session).removeNetworks),
			},
			{
				Name: "prune", Usage: "remove networks that no container uses",
				Flags:  pruneFlags("label, label!, until"),
				Action: changes(con, (*session).pruneNetworks),
			},
			{
				Name: "create", Usage: "create a network", ArgsUsage: "NETWORK",
				Flags: append([]cli.Flag{
					text("driver", "bridge, or the type of a CNI plugin (`DRIVER`)", "d"),
					toggle("internal", "no way out, and no names from outside"),
					toggleOn("ipv4", "IPv4 addresses"),
					toggle("ipv6", "IPv6 addresses"),
					list("subnet", "address range, `CIDR`"),
					list("gateway", "`ADDRESS` of the host on the network"),
					list("ip-range", "part of the subnet to take addresses from, `CIDR`"),
					list("aux-address", "`NAME=ADDRESS` of a subnet that is never given out, repeatable"),
					list("label", "label, `KEY=VALUE`, repeatable"),
					list("opt", "option of the driver, `KEY=VALUE`, repeatable", "o"),
					hidden(toggle("attachable", "")), // every network is
				}, noNetworkFlags.flags()...),
				Action: changes(con, (*session).createNetwork),
			},
			networkConnectCommand(con), networkDisconnectCommand(con),
		},
	}
}

func (s *session) removeNetworks(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return forEach(c, func(ctx context.Context, arg string) error {
		err := s.podc.Networks.Remove(ctx, arg)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			fmt.Fprintln(s.con.out, arg)
		}
		return err
	})
}

// noNetworkFlags are docker's for swarms and for drivers of addresses.
var noNetworkFlags = refused{
	"config-from=": "podc has no swarm", "config-only": "podc has no swarm", "ingress": "podc has no swarm", "scope=": "every network is local",
	"ipam-driver=": "podc gives out addresses itself; a network made by hand in the folders of CNI may have any IPAM plugin",
	"ipam-opt=":    "podc gives out addresses itself",
}

func (s *session) createNetwork(c *cli.Context) error {
	if err := noNetworkFlags.check(c); err != nil {
		return err
	}
	if c.NArg() != 1 {
		return usage("create needs one argument: NETWORK")
	}
	n := control.NewNetwork{IPv4: switched(c, "ipv4"), IPv6: switched(c, "ipv6")}
	n.Name, n.Driver, n.Internal = c.Args().First(), c.String("driver"), c.Bool("internal")
	var err error
	if n.Labels, err = pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if n.Options, err = pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if n.Subnets, err = subnets(c.StringSlice("subnet"), c.StringSlice("gateway"), c.StringSlice("ip-range"), c.StringSlice("aux-address")); err != nil {
		return err
	}
	warnings, err := s.podc.Networks.Create(c.Context, n)
	for _, text := range warnings {
		warn(s.con, text)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.con.out, n.Name)
	return nil
}

// subnets joins the flags of a network's address ranges: a gateway or a range belongs to the subnet that holds it.
func subnets(cidrs, gateways, ranges, reserved []string) ([]api.Subnet, error) {
	var list []api.Subnet
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, usage("invalid --subnet %q: want an address range such as 10.5.0.0/24", s)
		}
		list = append(list, api.Subnet{CIDR: p.Masked()})
	}
	holder := func(a netip.Addr) *api.Subnet {
		for i := range list {
			if list[i].CIDR.Contains(a) {
				return &list[i]
			}
		}
		return nil
	}
	for _, s := range gateways {
		a, err := netip.ParseAddr(s)
		sub := holder(a)
		if err != nil || sub == nil {
			return nil, usage("invalid --gateway %q: want an address inside a --subnet", s)
		}
		sub.Gateway = a
	}
	for _, s := range ranges {
		p, err := netip.ParsePrefix(s)
		sub := holder(p.Addr())
		if err != nil || sub == nil {
			return nil, usage("invalid --ip-range %q: want a range inside a --subnet", s)
		}
		sub.IPRange = p.Masked()
	}
	for _, s := range reserved {
		name, address, _ := strings.Cut(s, "=")
		a, err := netip.ParseAddr(address)
		sub := holder(a)
		if err != nil || sub == nil || name == "" {
			return nil, usage("invalid --aux-address %q: want NAME=ADDRESS, inside a --subnet", s)
		}
		if sub.Reserved == nil {
			sub.Reserved = map[string]netip.Addr{}
		}
		sub.Reserved[name] = a
	}
	return list, nil
}
