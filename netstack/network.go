package netstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
	"podc.example/podc/netstack/firewall"
)

// networks makes and removes networks, each with its bridge and its part of the firewall.
type networks struct {
	*netLock
	lists    *conflists
	records  *records
	links    *hostLinks
	firewall *firewall.Firewall
	pools    *pools
	plugins  *plugins
}

// CreateNetwork makes a network: it chooses what n leaves open (subnet, gateway, bridge, MTU), writes the conflist and, for a
// bridge, makes the link and its rules. It answers the completed network. The name being taken is ErrAlreadyExists. Two
// creators, whatever their root, never choose overlapping subnets.
func (nw *networks) CreateNetwork(ctx context.Context, n api.Network) (api.Network, error) {
	fail := func(err error) (api.Network, error) {
		return api.Network{}, fmt.Errorf("cannot create network %q: %w", n.Name, err)
	}
	if err := checkNetwork(n); err != nil {
		return fail(err)
	}
	if err := nw.checkDriver(n); err != nil {
		return fail(err)
	}
	unlock, err := nw.lock(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	all, err := nw.lists.Networks()
	if err != nil {
		return fail(err)
	}
	if _, exists := all[n.Name]; exists {
		return fail(fault.New(errdefs.ErrAlreadyExists, "it exists already"))
	}
	unlockHost, err := lockHostNet(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlockHost()
	if n, err = nw.complete(n, all, nil); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(nw.networksDir(), 0o700); err != nil {
		return fail(err)
	}
	// The file comes first: a bridge without a network would be nobody's, a network without a bridge gets one at attach.
	if err := nw.lists.save(n); err != nil {
		return fail(err)
	}
	placed, err := nw.place(n)
	if err != nil {
		return fail(errors.Join(err, nw.drop(n)))
	}
	return placed, nil
}

// moves bounds how often another subnet is chosen, because the host has come to use the one before.
const moves = 3

// place is ensure with another subnet, if the host has come to use the one that was chosen. The net lock and the host's are
// held, but nobody else keeps to those.
func (nw *networks) place(n api.Network) (api.Network, error) {
	err := nw.ensure(n)
	for range moves {
		if !errdefs.IsConflict(err) || !slices.ContainsFunc(n.Subnets, func(sub api.Subnet) bool { return sub.Chosen }) {
			break
		}
		n, err = nw.move(n, err)
	}
	return n, err
}

// CheckNetworks fails with everything for which networks could not be created now, once those that are leaving are gone. It makes
// nothing.
func (nw *networks) CheckNetworks(want []api.Network, leaving []string) error {
	all, err := nw.lists.Networks()
	if err != nil {
		return err
	}
	var gone []api.Network
	for _, name := range leaving {
		gone = append(gone, all[name])
		delete(all, name)
	}
	var errs []error
	for _, n := range want {
		err := errors.Join(checkNetwork(n), nw.checkDriver(n))
		if err == nil {
			n, err = nw.complete(n, all, gone)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot create network %q: %w", n.Name, err))
			continue
		}
		all[n.Name] = n
	}
	return errors.Join(errs...)
}

// complete chooses what n leaves open, beside all others, of which those of leaving are no obstacle. The net lock and the host's
// are held, or nothing comes of it.
func (nw *networks) complete(n api.Network, all map[string]api.Network, leaving []api.Network) (api.Network, error) {
	if n.Driver == "" {
		n.Driver = "bridge"
	}
	n.Created = time.Now().UTC()
	if v, ok := n.Options[optionMTU]; ok && n.MTU == 0 {
		n.MTU, _ = strconv.Atoi(v)
	}
	var lent netlink.Link
	if isBridge(n) {
		n.Bridge = n.Options[optionBridge]
		if n.Bridge == "" {
			n.Bridge = nw.links.hostName("b", n.Name)
		}
		for _, other := range all {
			if other.Bridge == n.Bridge {
				return n, fault.New(errdefs.ErrConflict, "bridge %s belongs to network %q", n.Bridge, other.Name)
			}
		}
		var err error
		if n, lent, err = nw.links.claim(n, leaving); err != nil {
			return n, err
		}
		if n.MTU == 0 {
			n.MTU = uplinkMTU()
		}
	}
	return nw.pools.completeSubnets(n, all, lent, leaving)
}

// ensure makes what n needs on the host, where it is missing: after a reboot, or when somebody removed it. The net
// lock is held.
func (nw *networks) ensure(n api.Network) error {
	if !isBridge(n) {
		return nil
	}
	if err := nw.links.ensureBridge(n); err != nil {
		return err
	}
	return nw.firewall.Hold(bridgeOf(n))
}

// ready is ensure for a network that was made long ago. While it had no bridge, as after a reboot or when its
// removal was cut short, the host may have come to use its subnet: then it gets another, if the choice was podc's and nobody
// is attached. The net lock is held.
func (nw *networks) ready(ctx context.Context, n api.Network) error {
	if _, stands := nw.links.bridgeStands(n); stands {
		return nw.firewall.Hold(bridgeOf(n))
	}
	unlock, err := lockHostNet(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = nw.place(n)
	return err
}

// move gives n another subnet, because of conflict. The net lock and the host's are held.
func (nw *networks) move(n api.Network, conflict error) (api.Network, error) {
	owners, err := nw.records.ownersOn(n.Name)
	if err != nil || len(owners) > 0 {
		return n, errors.Join(conflict, err)
	}
	all, err := nw.lists.Networks()
	if err != nil {
		return n, err
	}
	delete(all, n.Name)
	n.Subnets = slices.DeleteFunc(slices.Clone(n.Subnets), func(sub api.Subnet) bool { return sub.Chosen })
	if n, err = nw.pools.completeSubnets(n, all, nil, nil); err != nil {
		return n, err
	}
	if err := os.RemoveAll(string(nw.leases(n.Name))); err != nil {
		return n, err
	}
	if err := nw.lists.save(n); err != nil {
		return n, err
	}
	all[n.Name] = n
	return n, errors.Join(nw.links.ensureBridge(n), nw.firewall.Rebuild(bridgesOf(all)))
}

// drop removes everything of n: its rules, link, leases, names and at last its file. The net lock is held.
func (nw *networks) drop(n api.Network) error {
	var errs []error
	all, err := nw.lists.Networks()
	if err != nil {
		return err
	}
	delete(all, n.Name)
	if isBridge(n) {
		errs = append(errs, nw.firewall.Drop(bridgeOf(n), bridgesOf(all)), nw.links.dropBridge(n))
	}
	errs = append(errs, os.RemoveAll(string(nw.leases(n.Name))), os.RemoveAll(nw.namesDir(n.Name)))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.RemoveAll(nw.conflistPath(n.Name)); err != nil {
		return err
	}
	return disk.SyncDir(nw.networksDir())
}

// RemoveNetwork removes a network with everything that belongs to it; the last one takes podc's table with it. It is
// ErrFailedPrecondition, and nothing happens, while attachments are on it, and for one made by hand. A network that does not exist is no error.
func (nw *networks) RemoveNetwork(ctx context.Context, name string) error {
	fail := func(err error) error { return fmt.Errorf("cannot remove network %q: %w", name, err) }
	if !valid.IsName(name) {
		return nil
	}
	unlock, err := nw.lockToUndo(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	n, err := readNetwork(nw.conflistPath(name))
	if errors.Is(err, os.ErrNotExist) {
		if by, err := nw.lists.Network(name); err == nil {
			return fail(fault.New(errdefs.ErrFailedPrecondition, "it was made by hand: remove %s", by.File))
		}
		return nil
	}
	if errors.Is(err, disk.ErrDamaged) {
		n, err = api.Network{Name: name}, nil // what is known of it is removed, and GC finds the rest
	}
	if err != nil {
		return fail(err)
	}
	owners, err := nw.records.ownersOn(name)
	if err != nil {
		return fail(err)
	}
	if len(owners) > 0 {
		return fail(fault.New(errdefs.ErrFailedPrecondition, "in use by %s", strings.Join(owners, ", ")))
	}
	if err := nw.drop(n); err != nil {
		return fail(err)
	}
	return nil
}

// readyNetworks makes sure that the networks of endpoints exist and stand on the host, and returns them.
func (nw *networks) readyNetworks(ctx context.Context, endpoints []api.Endpoint) ([]api.Network, error) {
	var networks []api.Network
	for _, e := range endpoints {
		n, err := nw.lists.Network(e.Network)
		if err != nil {
			return nil, err
		}
		networks = append(networks, n)
		if n.Bridge == "" { // another plugin's
			continue
		}
		if err := nw.ready(ctx, n); err != nil {
			return nil, err
		}
	}
	return networks, nil
}

// networksOf are the networks of r's endpoints; one that is gone has no more than its name.
func (nw *networks) networksOf(r record) []api.Network {
	networks := make([]api.Network, len(r.Endpoints))
	for i, e := range r.Endpoints {
		n, err := nw.lists.Network(e.Network)
		if err != nil {
			n = api.Network{Name: e.Network}
		}
		networks[i] = n
	}
	return networks
}
