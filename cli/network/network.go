package network

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func NetworkCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "network", Usage: "manage networks",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list networks",
				Flags:  command.ListFlags("name, id, driver, label, label!, scope, type, dangling"),
				Action: command.With(con, listNetworks),
			},
			{
				Name: "inspect", Usage: "show all about networks", ArgsUsage: "NETWORK...",
				Flags:  []cli.Flag{command.Text("format", "json or a Go template (`FORMAT`)", "f")},
				Action: command.With(con, inspectNetworks),
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove networks", ArgsUsage: "NETWORK...",
				Flags:  []cli.Flag{command.Toggle("force", "do not mind networks that do not exist", "f")},
				Action: command.Changes(con, removeNetworks),
			},
			{
				Name: "prune", Usage: "remove networks that no container uses",
				Flags:  command.PruneFlags("label, label!, until"),
				Action: command.Changes(con, pruneNetworks),
			},
			{
				Name: "create", Usage: "create a network", ArgsUsage: "NETWORK",
				Flags: append([]cli.Flag{
					command.Text("driver", "bridge, or the type of a CNI plugin (`DRIVER`)", "d"),
					command.Toggle("internal", "no way out, and no names from outside"),
					command.ToggleOn("ipv4", "IPv4 addresses"),
					command.Toggle("ipv6", "IPv6 addresses"),
					command.List("subnet", "address range, `CIDR`"),
					command.List("gateway", "`ADDRESS` of the host on the network"),
					command.List("ip-range", "part of the subnet to take addresses from, `CIDR`"),
					command.List("aux-address", "`NAME=ADDRESS` of a subnet that is never given out, repeatable"),
					command.List("label", "label, `KEY=VALUE`, repeatable"),
					command.List("opt", "option of the driver, `KEY=VALUE`, repeatable", "o"),
					command.Hidden(command.Toggle("attachable", "")), // every network is
				}, noNetworkFlags.Flags()...),
				Action: command.Changes(con, createNetwork),
			},
			networkConnectCommand(con), networkDisconnectCommand(con),
		},
	}
}

func removeNetworks(s *command.Session, c *cli.Context) error {
	if err := command.NeedArgs(c, 1); err != nil {
		return err
	}
	return command.ForEach(c, func(ctx context.Context, arg string) error {
		err := s.Podc.Networks.Remove(ctx, arg)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			fmt.Fprintln(s.Con.Out, arg)
		}
		return err
	})
}

// noNetworkFlags are docker's for swarms and for drivers of addresses.
var noNetworkFlags = command.Refused{
	"config-from=": "podc has no swarm", "config-only": "podc has no swarm", "ingress": "podc has no swarm", "scope=": "every network is local",
	"ipam-driver=": "podc gives out addresses itself; a network made by hand in the folders of CNI may have any IPAM plugin",
	"ipam-opt=":    "podc gives out addresses itself",
}

func createNetwork(s *command.Session, c *cli.Context) error {
	if err := noNetworkFlags.Check(c); err != nil {
		return err
	}
	if c.NArg() != 1 {
		return fault.Invalid("create needs one argument: NETWORK")
	}
	n := control.NewNetwork{IPv4: command.Switched(c, "ipv4"), IPv6: command.Switched(c, "ipv6")}
	n.Name, n.Driver, n.Internal = c.Args().First(), c.String("driver"), c.Bool("internal")
	var err error
	if n.Labels, err = command.Pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if n.Options, err = command.Pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if n.Subnets, err = subnets(c.StringSlice("subnet"), c.StringSlice("gateway"), c.StringSlice("ip-range"), c.StringSlice("aux-address")); err != nil {
		return err
	}
	warnings, err := s.Podc.Networks.Create(c.Context, n)
	for _, text := range warnings {
		show.Warn(s.Con, text)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Con.Out, n.Name)
	return nil
}

// subnets joins the flags of a network's address ranges: a gateway or a range belongs to the subnet that holds it.
func subnets(cidrs, gateways, ranges, reserved []string) ([]api.Subnet, error) {
	var list []api.Subnet
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fault.Invalid("invalid --subnet %q: want an address range such as 10.5.0.0/24", s)
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
			return nil, fault.Invalid("invalid --gateway %q: want an address inside a --subnet", s)
		}
		sub.Gateway = a
	}
	for _, s := range ranges {
		p, err := netip.ParsePrefix(s)
		sub := holder(p.Addr())
		if err != nil || sub == nil {
			return nil, fault.Invalid("invalid --ip-range %q: want a range inside a --subnet", s)
		}
		sub.IPRange = p.Masked()
	}
	for _, s := range reserved {
		name, address, _ := strings.Cut(s, "=")
		a, err := netip.ParseAddr(address)
		sub := holder(a)
		if err != nil || sub == nil || name == "" {
			return nil, fault.Invalid("invalid --aux-address %q: want NAME=ADDRESS, inside a --subnet", s)
		}
		if sub.Reserved == nil {
			sub.Reserved = map[string]netip.Addr{}
		}
		sub.Reserved[name] = a
	}
	return list, nil
}
