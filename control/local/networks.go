package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/dockerapi"
	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
	"podc.example/podc/netstack"
)

// networks implements control.Networks.
type networks struct{ engine *engine.Engine }

// List: names match by a regular expression and ids in part.
func (n networks) List(_ context.Context, f control.Filters) ([]api.Network, error) {
	named, err1 := f.Matches("name")
	dangling, err2 := f.Toggle("dangling")
	err3 := errors.Join(f.Only(control.NetworkFilters...), f.Among("type", "custom", "builtin"))
	all, err4 := n.engine.Network().AllNetworks()
	own, err5 := n.engine.Network().Networks()
	used, err6 := n.used()
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return nil, err
	}
	kind := func(n api.Network) string {
		if _, ok := own[n.Name]; ok {
			return "custom"
		}
		return "builtin" // made by hand, and as little podc's to remove as docker's own are docker's
	}
	return slices.DeleteFunc(slices.SortedFunc(maps.Values(all), func(a, b api.Network) int { return strings.Compare(a.Name, b.Name) }), func(n api.Network) bool {
		id := dockerapi.NetworkID(n)
		return !named(n.Name) || !f.Holds("id", func(v string) bool { return strings.Contains(id, v) }) ||
			!f.Is("driver", cmp.Or(n.Driver, "bridge")) || !f.Is("scope", "local") || !f.Is("type", kind(n)) ||
			!f.Labelled(n.Labels) || !dangling(!used[n.Name])
	}), nil
}

// used are those that a container is to be attached to, whether it runs or not.
func (n networks) used() (map[string]bool, error) {
	pods, err := n.engine.Pods("")
	used := map[string]bool{}
	for _, p := range pods {
		for _, e := range p.Spec.Network.Endpoints {
			used[e.Network] = true
		}
	}
	return used, err
}

func (n networks) Get(_ context.Context, arg string) (api.Network, error) {
	all, err := n.engine.Network().AllNetworks()
	if _, ok := all[arg]; ok {
		return n.engine.Network().Network(arg)
	}
	if err != nil {
		return api.Network{}, err
	}
	var found []string
	for name, n := range all {
		if len(arg) > 1 && strings.HasPrefix(dockerapi.NetworkID(n), arg) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 0:
		return n.engine.Network().Network(arg) // whose error says that there is none, or finds what is in no list
	case 1:
		return all[found[0]], nil
	}
	return api.Network{}, fault.New(errdefs.ErrInvalidArgument, "id %q is ambiguous: %d networks have it", arg, len(found))
}

func (n networks) Inspect(ctx context.Context, ref string) (dockerapi.Network, error) {
	found, err := n.Get(ctx, ref)
	if err != nil {
		return dockerapi.Network{}, err
	}
	attachments, err := n.engine.Network().Attachments()
	return dockerapi.InspectNetwork(found, attachments), err
}

func (n networks) Create(ctx context.Context, want control.NewNetwork) (warnings []string, err error) {
	want.NoIPv4, want.Network.IPv6 = netstack.Families(want.Options, want.IPv4, want.IPv6)
	for _, opt := range slices.Sorted(maps.Keys(want.Options)) {
		if why := netstack.InertOption(want.Driver, opt); why != "" {
			warnings = append(warnings, fmt.Sprintf("driver option %s is ignored: %s", opt, why))
		}
	}
	if _, err := n.engine.Network().Network(want.Name); err == nil {
		return warnings, fault.New(errdefs.ErrAlreadyExists, "network %q exists already", want.Name)
	}
	return warnings, n.engine.CreateNetwork(ctx, want.Network)
}

func (n networks) Remove(ctx context.Context, ref string) error {
	found, err := n.Get(ctx, ref)
	if err != nil {
		return err
	}
	return n.engine.RemoveNetwork(ctx, found.Name)
}

func (n networks) Prune(ctx context.Context, f control.Filters) (gone control.Pruned, err error) {
	until, err := pruneUntil(f)
	if err != nil {
		return gone, err
	}
	all, err1 := n.engine.Network().Networks()
	used, err2 := n.used()
	if err := errors.Join(err1, err2); err != nil {
		return gone, err
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(name string) bool {
		is := all[name]
		return used[name] || !f.Labelled(is.Labels) || !until.IsZero() && is.Created.After(until)
	})
	return prune(ctx, names, func(name string) string { return name }, func(name string) (int64, error) { return 0, n.engine.RemoveNetwork(ctx, name) })
}

// find finds a network and a container.
func (n networks) find(ctx context.Context, ref, container string) (api.Network, api.Pod, error) {
	found, err := n.Get(ctx, ref)
	if err != nil {
		return found, api.Pod{}, err
	}
	p, err := containers{engine: n.engine}.Get(ctx, container)
	return found, p, err
}

func (n networks) Connect(ctx context.Context, ref, container string, e api.Endpoint) error {
	to, p, err := n.find(ctx, ref, container)
	if err != nil {
		return err
	}
	if p.IsOn(to.Name) {
		return fault.New(errdefs.ErrAlreadyExists, "container %q is connected to network %q already", p.Spec.Name, to.Name)
	}
	e.Network = to.Name
	return n.engine.ConnectPod(ctx, p.Spec.Name, e, nil)
}

func (n networks) Disconnect(ctx context.Context, ref, container string, force bool) error {
	from, p, err := n.find(ctx, ref, container)
	switch {
	case errdefs.IsNotFound(err) && force && from.Name != "":
		return nil
	case err != nil:
		return err
	case !p.IsOn(from.Name) && !force:
		return fault.New(errdefs.ErrNotFound, "container %q is not connected to network %q", p.Spec.Name, from.Name)
	}
	return n.engine.RemoveFromNetwork(ctx, p.Spec.Name, from.Name)
}
