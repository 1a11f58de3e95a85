package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/dockerapi"
	"podc.example/podc/internal/fault"
	"podc.example/podc/netstack"
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

func networkRowOf(n netstack.Network, full bool) networkRow {
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
	f, err := filtersOf(c, "name", "id", "driver", "label", "label!", "scope", "type", "dangling")
	if err != nil {
		return err
	}
	found, err := s.filteredNetworks(f)
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

// filteredNetworks are the networks for which f holds, by name. Names match by a regular expression and ids in part.
func (s *session) filteredNetworks(f filters) ([]netstack.Network, error) {
	named, err1 := f.matches("name")
	dangling, err2 := f.toggle("dangling")
	err3 := f.among("type", "custom", "builtin")
	all, err4 := s.engine.Network().AllNetworks()
	own, err5 := s.engine.Network().Networks()
	used, err6 := s.usedNetworks()
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, err
	}
	kind := func(n netstack.Network) string {
		if _, ok := own[n.Name]; ok {
			return "custom"
		}
		return "builtin" // made by hand, and as little podc's to remove as docker's own are docker's
	}
	return slices.DeleteFunc(sortedValues(all), func(n netstack.Network) bool {
		id := dockerapi.NetworkID(n)
		return !named(n.Name) || !f.holds("id", func(v string) bool { return strings.Contains(id, v) }) ||
			!f.is("driver", cmp.Or(n.Driver, "bridge")) || !f.is("scope", "local") || !f.is("type", kind(n)) ||
			!f.labelled(n.Labels) || !dangling(!used[n.Name])
	}), nil
}

// usedNetworks are those that a container is to be attached to, whether it runs or not.
func (s *session) usedNetworks() (map[string]bool, error) {
	pods, err := s.engine.Pods("")
	used := map[string]bool{}
	for _, p := range pods {
		for _, e := range p.Spec.Network.Endpoints {
			used[e.Network] = true
		}
	}
	return used, err
}

// network finds a network by its name, its id or the beginning of that.
func (s *session) network(arg string) (netstack.Network, error) {
	all, err := s.engine.Network().AllNetworks()
	if _, ok := all[arg]; ok {
		return s.engine.Network().Network(arg)
	}
	if err != nil {
		return netstack.Network{}, err
	}
	var found []string
	for name, n := range all {
		if len(arg) > 1 && strings.HasPrefix(dockerapi.NetworkID(n), arg) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return s.engine.Network().Network(arg) // whose error says that there is none, or finds what is in no list
	case 1:
		return all[found[0]], nil
	}
	return netstack.Network{}, fault.New(errdefs.ErrInvalidArgument, "id %q is ambiguous: %d networks have it", arg, len(found))
}

func (s *session) inspectNetworks(c *cli.Context) error {
	if err := needArgs(c, 1); err != nil {
		return err
	}
	attachments, err := s.engine.Network().Attachments()
	if err != nil {
		return err
	}
	return inspectEach(s.con, c, func(arg string) (dockerapi.Network, error) {
		n, err := s.network(arg)
		return dockerapi.InspectNetwork(n, attachments), err
	})
}

// inspectEach shows what look finds for every argument, and then the errors of those for which it finds nothing.
func inspectEach[T any](con *console, c *cli.Context, look func(arg string) (T, error)) error {
	var found []T
	var errs []error
	for _, arg := range c.Args().Slice() {
		item, err := look(arg)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found = append(found, item)
	}
	return errors.Join(printInspect(con, c.String("format"), found), errors.Join(errs...))
}

func (s *session) pruneNetworks(c *cli.Context) error {
	f, err := filtersOf(c, "label", "label!", "until")
	if err != nil {
		return err
	}
	until, err := f.until(time.Now())
	if err != nil || !pruneAgreed(s.con, c, "all networks that no container uses") {
		return err
	}
	all, err1 := s.engine.Network().Networks()
	used, err2 := s.usedNetworks()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool {
		n := all[name]
		return used[name] || !f.labelled(n.Labels) || !until.IsZero() && n.Created.After(until)
	})
	return prune(c.Context, s.con, "Deleted Networks", names, func(ctx context.Context, name string) error {
		return s.engine.RemoveNetwork(ctx, name)
	})
}
