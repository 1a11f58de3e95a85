package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/netstack"
)

func networkCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "network", Usage: "manage networks",
		Subcommands: []*cli.Command{
			{
				Name: "ls", Aliases: []string{"list"}, Usage: "list networks",
				Flags:  listFlags(),
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
				Action: with(con, (*session).removeNetworks),
			},
			{
				Name: "create", Usage: "create a network", ArgsUsage: "NETWORK",
				Flags: []cli.Flag{
					text("driver", "bridge, or the type of a CNI plugin (`DRIVER`)", "d"),
					toggle("internal", "no way out, and no names from outside"),
					list("subnet", "address range, `CIDR`"),
					list("gateway", "`ADDRESS` of the host on the network"),
					list("ip-range", "part of the subnet to take addresses from, `CIDR`"),
					list("label", "label, `KEY=VALUE`, repeatable"),
					list("opt", "option of the driver, `KEY=VALUE`, repeatable", "o"),
					hidden(toggle("attachable", "")),
				},
				Action: with(con, (*session).createNetwork),
			},
		},
	}
}

// listFlags are those of every list of things that have names and labels.
func listFlags() []cli.Flag {
	return []cli.Flag{
		list("filter", "only those for which `KEY=VALUE` holds: name, label or driver; repeatable", "f"),
		text("format", "table, json or a Go template (`FORMAT`)"),
		hidden(toggle("no-trunc", "")),
		toggle("quiet", "only names", "q"),
	}
}

// filter is one --filter of a list.
type filter struct{ key, value string }

func filtersOf(c *cli.Context) ([]filter, error) {
	var list []filter
	for _, f := range c.StringSlice("filter") {
		key, value, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains([]string{"name", "label", "driver"}, key) {
			return nil, usage("unknown --filter %q: want name=, label= or driver=", f)
		}
		list = append(list, filter{key, value})
	}
	return list, nil
}

// match reports whether every filter holds. Names match in part, as in docker.
func match(filters []filter, name, driver string, labels map[string]string) bool {
	for _, f := range filters {
		ok := true
		switch f.key {
		case "name":
			ok = strings.Contains(name, f.value)
		case "driver":
			ok = driver == f.value
		case "label":
			key, value, hasValue := strings.Cut(f.value, "=")
			got, has := labels[key]
			ok = has && (!hasValue || got == value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// networkRow is one network of a list, with docker's keys.
type networkRow struct {
	CreatedAt string
	Driver    string
	ID        string
	IPv4      string
	IPv6      string
	Internal  string
	Labels    string
	Name      string
	Scope     string
	Subnets   string

	labels map[string]string
}

var networkLayout = layout{
	columns: []column{{"NAME", "Name"}, {"DRIVER", "Driver"}, {"SCOPE", "Scope"}, {"SUBNETS", "Subnets"}},
	headers: map[string]string{"ID": "NETWORK ID", "IPv4": "IPV4", "IPv6": "IPV6", "Internal": "INTERNAL", "Labels": "LABELS",
		"CreatedAt": "CREATED AT"},
}

// Label is {{.Label "key"}} of templates.
func (r networkRow) Label(key string) string { return r.labels[key] }

func (r networkRow) field(name string) string {
	switch name {
	case "Name":
		return r.Name
	case "Driver":
		return r.Driver
	case "Scope":
		return r.Scope
	case "Subnets":
		return r.Subnets
	}
	return ""
}

func networkRowOf(n netstack.Network) networkRow {
	var subnets []string
	for _, sub := range n.Subnets {
		subnets = append(subnets, sub.CIDR.String())
	}
	return networkRow{
		CreatedAt: n.Created.Local().Format("2006-01-02 15:04:05 -0700 MST"), Driver: firstOf(n.Driver, "bridge"), ID: n.Name,
		IPv4: "true", IPv6: "false", Internal: fmt.Sprint(n.Internal), Labels: joinedLabels(n.Labels), Name: n.Name,
		Scope: "local", Subnets: strings.Join(subnets, ","), labels: n.Labels,
	}
}

func (s *session) listNetworks(c *cli.Context) error {
	filters, err := filtersOf(c)
	if err != nil {
		return err
	}
	all, err := s.engine.Network().Networks()
	if err != nil {
		return err
	}
	rows := []networkRow{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		row := networkRowOf(all[name])
		if !match(filters, name, row.Driver, all[name].Labels) {
			continue
		}
		if c.Bool("quiet") {
			fmt.Fprintln(s.con.out, name)
			continue
		}
		rows = append(rows, row)
	}
	if c.Bool("quiet") {
		return nil
	}
	return printList(s.con.out, c.String("format"), networkLayout, rows, false)
}

func (s *session) removeNetworks(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	return forEach(c, func(ctx context.Context, name string) error {
		_, err := s.engine.Network().Network(name)
		if errdefs.IsNotFound(err) && c.Bool("force") {
			return nil
		}
		if err == nil {
			err = s.engine.RemoveNetwork(ctx, name)
		}
		if err == nil {
			fmt.Fprintln(s.con.out, name)
		}
		return err
	})
}

// forEach does something for every argument and goes on after errors, which it joins.
func forEach(c *cli.Context, do func(context.Context, string) error) error {
	var errs []error
	for _, arg := range c.Args().Slice() {
		if err := c.Context.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, do(c.Context, arg))
	}
	return errors.Join(errs...)
}

func (s *session) createNetwork(c *cli.Context) error {
	if c.NArg() != 1 {
		return usage("create needs one argument: NETWORK")
	}
	n := netstack.Network{Name: c.Args().First(), Driver: c.String("driver"), Internal: c.Bool("internal")}
	var err error
	if n.Labels, err = pairs("label", c.StringSlice("label")); err != nil {
		return err
	}
	if n.Options, err = pairs("opt", c.StringSlice("opt")); err != nil {
		return err
	}
	if n.Subnets, err = subnets(c.StringSlice("subnet"), c.StringSlice("gateway"), c.StringSlice("ip-range")); err != nil {
		return err
	}
	if _, err := s.engine.Network().Network(n.Name); err == nil {
		return fmt.Errorf("%wnetwork %q exists already", silent{errdefs.ErrAlreadyExists}, n.Name)
	}
	if err := s.engine.CreateNetwork(c.Context, n); err != nil {
		return err
	}
	fmt.Fprintln(s.con.out, n.Name)
	return nil
}

// pairs reads KEY=VALUE flags; a KEY alone has an empty value.
func pairs(flag string, args []string) (map[string]string, error) {
	if len(args) == 0 {
		return nil, nil
	}
	m := map[string]string{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		if key == "" {
			return nil, usage("invalid --%s %q: want KEY=VALUE", flag, arg)
		}
		m[key] = value
	}
	return m, nil
}

// subnets joins the flags of a network's address ranges: a gateway or a range belongs to the subnet that holds it.
func subnets(cidrs, gateways, ranges []string) ([]netstack.Subnet, error) {
	var list []netstack.Subnet
	for _, s := range cidrs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, usage("invalid --subnet %q: want an address range such as 10.5.0.0/24", s)
		}
		list = append(list, netstack.Subnet{CIDR: p.Masked()})
	}
	holder := func(a netip.Addr) *netstack.Subnet {
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
	return list, nil
}
