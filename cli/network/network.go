package network

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
)

func NetworkCommand() *command.Command {
	endpoint := command.Args{command.One(command.Network), command.One(command.Container)}
	networks := command.Args{command.Many(command.Network)}
	return &command.Command{
		Name: "network", Usage: "manage networks",
		Subcommands: []*command.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list networks", Flags: command.ListFlags(control.NetworkFilters),
				Run: listNetworks,
			},
			{
				Name: "inspect", Usage: "show all about networks", Args: networks, Flags: command.InspectFlags(),
				Run: func(s *command.Session, c *cli.Context) error {
					return command.InspectEach(s, c, s.Podc.Networks.Inspect)
				},
			},
			{
				Name: "rm", Aliases: []string{"remove"}, Usage: "remove networks", Args: networks,
				Flags: []*command.Flag{command.Toggle("force", "do not mind networks that do not exist", "f")},
				Needs: command.Effect,
				Run: func(s *command.Session, c *cli.Context) error {
					return command.RemoveEach(s, c, s.Podc.Networks.Remove)
				},
			},
			{
				Name: "prune", Usage: "remove networks that no container uses", Flags: command.PruneFlags(control.PruneFilters),
				Needs: command.Effect,
				Run: func(s *command.Session, c *cli.Context) error {
					return s.PruneFiltered(c, command.Pruning{What: "all networks that no container uses", Title: "Deleted Networks"}, s.Podc.Networks.Prune)
				},
			},
			{
				Name: "create", Usage: "create a network", Args: command.Args{command.One(command.Word("NETWORK"))},
				Flags: createFlags(), Refused: noNetworkFlags, Needs: command.Effect, Run: createNetwork,
			},
			{
				Name: "connect", Usage: "join a container to a network", Args: endpoint,
				Flags: []*command.Flag{
					command.List("alias", command.Name, "NAME of the container on the network, repeatable"),
					command.List("driver-opt", command.Pair, "option of the driver for this container, KEY=VALUE, repeatable"),
					command.Number("gw-priority", 0, "NUMBER", "the network with the highest NUMBER is the way out"),
					command.Text("ip", command.Address, "IPv4 ADDRESS on the network"),
					command.Text("ip6", command.Address, "IPv6 ADDRESS on the network"),
					command.List("link-local-ip", command.Address, "further ADDRESS that is valid on the link only, repeatable"),
				},
				Needs: command.Effect, Run: connectNetwork,
			},
			{
				Name: "disconnect", Usage: "take a container from a network", Args: endpoint,
				Flags: []*command.Flag{command.Toggle("force", "do not mind a container that does not exist or is not on the network", "f")},
				Needs: command.Effect,
				Run: func(s *command.Session, c *cli.Context) error {
					return s.Podc.Networks.Disconnect(c.Context, c.Args().Get(0), c.Args().Get(1), c.Bool("force"))
				},
			},
		},
	}
}

func createFlags() []*command.Flag {
	driver := command.Value{Name: "DRIVER", Words: []string{"bridge", "macvlan", "ipvlan"}, Or: "the type of another CNI plugin"}
	return []*command.Flag{
		command.Text("driver", driver, "", "d"),
		command.Toggle("internal", "no way out, and no names from outside"),
		command.ToggleOn("ipv4", "IPv4 addresses"),
		command.Toggle("ipv6", "IPv6 addresses"),
		command.List("subnet", command.Word("CIDR"), "address range, CIDR"),
		command.List("gateway", command.Address, "ADDRESS of the host on the network"),
		command.List("ip-range", command.Word("CIDR"), "part of the subnet to take addresses from, CIDR"),
		command.List("aux-address", command.Word("NAME=ADDRESS"), "NAME=ADDRESS of a subnet that is never given out, repeatable"),
		command.List("label", command.Pair, "label, KEY=VALUE, repeatable"),
		command.List("opt", command.Pair, "option of the driver, KEY=VALUE, repeatable", "o"),
		command.Hidden(command.Toggle("attachable", "")), // every network is
	}
}

// noNetworkFlags are docker's for swarms and for drivers of addresses.
var noNetworkFlags = command.Refused{
	"config-from=": "podc has no swarm", "config-only": "podc has no swarm", "ingress": "podc has no swarm", "scope=": "every network is local",
	"ipam-driver=": "podc gives out addresses itself; a network made by hand in the folders of CNI may have any IPAM plugin",
	"ipam-opt=":    "podc gives out addresses itself",
}

func createNetwork(s *command.Session, c *cli.Context) error {
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

func connectNetwork(s *command.Session, c *cli.Context) error {
	e, err := endpointOf(c)
	if err != nil {
		return err
	}
	return s.Podc.Networks.Connect(c.Context, c.Args().Get(0), c.Args().Get(1), e)
}

// endpointOf reads what the flags ask of an endpoint.
func endpointOf(c *cli.Context) (e api.Endpoint, err error) {
	e.Aliases, e.GwPriority = c.StringSlice("alias"), c.Int("gw-priority")
	if e.Options, err = command.Pairs("driver-opt", c.StringSlice("driver-opt")); err != nil {
		return e, err
	}
	for flag, address := range map[string]*netip.Addr{"ip": &e.IPv4, "ip6": &e.IPv6} {
		text := c.String(flag)
		if text == "" {
			continue
		}
		if *address, err = netip.ParseAddr(text); err != nil || address.Is6() != (flag == "ip6") {
			return e, fault.Invalid("invalid --%s %q: want an address such as %s", flag, text, map[string]string{"ip": "10.5.0.7", "ip6": "fd00::7"}[flag])
		}
	}
	for _, text := range c.StringSlice("link-local-ip") {
		a, err := netip.ParseAddr(text)
		if err != nil || !a.IsLinkLocalUnicast() {
			return e, fault.Invalid("invalid --link-local-ip %q: want an address of 169.254.0.0/16 or fe80::/10", text)
		}
		e.LinkLocal = append(e.LinkLocal, a)
	}
	return e, nil
}
