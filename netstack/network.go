package netstack

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// CreateNetwork makes a network: it chooses what n leaves open (subnet, gateway, bridge, MTU), writes the conflist and, for a
// bridge, makes the link and its rules. It answers the completed network. The name being taken is ErrAlreadyExists. Two
// creators, whatever their root, never choose overlapping subnets.
func (s *Stack) CreateNetwork(ctx context.Context, n Network) (Network, error) {
	fail := func(err error) (Network, error) {
		return Network{}, fmt.Errorf("cannot create network %q: %w", n.Name, err)
	}
	if err := checkNetwork(n); err != nil {
		return fail(err)
	}
	if err := s.checkDriver(n); err != nil {
		return fail(err)
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	all, err := s.Networks()
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
	if n, err = s.complete(n, all, nil); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(s.networksDir(), 0o700); err != nil {
		return fail(err)
	}
	// The file comes first: a bridge without a network would be nobody's, a network without a bridge gets one at attach.
	if err := disk.WriteJSON(s.conflistPath(n.Name), s.conflistOf(n), disk.Durable); err != nil {
		return fail(err)
	}
	placed, err := s.place(n)
	if err != nil {
		return fail(errors.Join(err, s.dropNetwork(n)))
	}
	return placed, nil
}

// moves bounds how often another subnet is chosen, because the host has come to use the one before.
const moves = 3

// place is ensureNetwork with another subnet, if the host has come to use the one that was chosen. The net lock and the host's are
// held, but nobody else keeps to those.
func (s *Stack) place(n Network) (Network, error) {
	err := s.ensureNetwork(n)
	for range moves {
		if !errdefs.IsConflict(err) || !slices.ContainsFunc(n.Subnets, func(sub Subnet) bool { return sub.Chosen }) {
			break
		}
		n, err = s.moveNetwork(n, err)
	}
	return n, err
}

// CheckNetworks fails with everything for which networks could not be created now, once those that are leaving are gone. It makes
// nothing.
func (s *Stack) CheckNetworks(want []Network, leaving []string) error {
	all, err := s.Networks()
	if err != nil {
		return err
	}
	var gone []Network
	for _, name := range leaving {
		gone = append(gone, all[name])
		delete(all, name)
	}
	var errs []error
	for _, n := range want {
		err := errors.Join(checkNetwork(n), s.checkDriver(n))
		if err == nil {
			n, err = s.complete(n, all, gone)
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
func (s *Stack) complete(n Network, all map[string]Network, leaving []Network) (Network, error) {
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
			n.Bridge = s.hostName("b", n.Name)
		}
		for _, other := range all {
			if other.Bridge == n.Bridge {
				return n, fault.New(errdefs.ErrConflict, "bridge %s belongs to network %q", n.Bridge, other.Name)
			}
		}
		var err error
		if n, lent, err = s.claimBridge(n, leaving); err != nil {
			return n, err
		}
		if n.MTU == 0 {
			n.MTU = uplinkMTU()
		}
	}
	return s.completeSubnets(n, all, lent, leaving)
}

// hostName makes an interface name of the host from a prefix letter, the root's id and a hash of what it is for: at most 15
// characters, the kernel's limit.
func (s *Stack) hostName(prefix, of string) string {
	sum := sha256.Sum256([]byte(of))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:8]))
	name := prefix + s.cfg.RootID
	return name + hash[:max(0, min(15-len(name), 6))]
}

// ensureNetwork makes what n needs on the host, where it is missing: after a reboot, or when somebody removed it. The net
// lock is held.
func (s *Stack) ensureNetwork(n Network) error {
	if !isBridge(n) {
		return nil
	}
	if err := s.ensureBridge(n); err != nil {
		return err
	}
	return s.ensureTable(n)
}

// readyNetwork is ensureNetwork for a network that was made long ago. While it had no bridge, as after a reboot or when its
// removal was cut short, the host may have come to use its subnet: then it gets another, if the choice was podc's and nobody
// is attached. The net lock is held.
func (s *Stack) readyNetwork(ctx context.Context, n Network) error {
	if _, stands := s.bridgeStands(n); stands {
		return s.ensureTable(n)
	}
	unlock, err := lockHostNet(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, err = s.place(n)
	return err
}

// moveNetwork gives n another subnet, because of conflict. The net lock and the host's are held.
func (s *Stack) moveNetwork(n Network, conflict error) (Network, error) {
	owners, err := s.ownersOn(n.Name)
	if err != nil || len(owners) > 0 {
		return n, errors.Join(conflict, err)
	}
	all, err := s.Networks()
	if err != nil {
		return n, err
	}
	delete(all, n.Name)
	n.Subnets = slices.DeleteFunc(slices.Clone(n.Subnets), func(sub Subnet) bool { return sub.Chosen })
	if n, err = s.completeSubnets(n, all, nil, nil); err != nil {
		return n, err
	}
	if err := os.RemoveAll(s.leaseDir(n.Name)); err != nil {
		return n, err
	}
	if err := disk.WriteJSON(s.conflistPath(n.Name), s.conflistOf(n), disk.Durable); err != nil {
		return n, err
	}
	return n, errors.Join(s.ensureBridge(n), s.rebuild())
}

// dropNetwork removes everything of n: its rules, link, leases, names and at last its file. The net lock is held.
func (s *Stack) dropNetwork(n Network) error {
	var errs []error
	all, err := s.Networks()
	if err != nil {
		return err
	}
	delete(all, n.Name)
	if isBridge(n) {
		errs = append(errs, s.dropFromTable(n, all), s.dropBridge(n))
	}
	errs = append(errs, os.RemoveAll(s.leaseDir(n.Name)), os.RemoveAll(s.namesDir(n.Name)))
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := removeFile(s.conflistPath(n.Name)); err != nil {
		return err
	}
	return disk.SyncDir(s.networksDir())
}

// dropBridge removes the bridge of n, or leaves it as it was before, if it is not podc's.
func (s *Stack) dropBridge(n Network) error {
	if n.Lent != nil {
		return returnBridge(n)
	}
	return s.removeOwn(n.Bridge, func(l netlink.Link) bool { return s.ownsBridge(l, n) })
}

// Network returns one network: of podc's own, else one made by hand in the configuration folders. ErrNotFound if there is
// neither.
func (s *Stack) Network(name string) (Network, error) {
	if !valid.IsName(name) {
		return Network{}, noSuchNetwork(name)
	}
	n, err := readNetwork(s.conflistPath(name))
	if !errors.Is(err, os.ErrNotExist) {
		return n, err
	}
	l, err := s.handMade(name)
	if err != nil {
		return Network{}, err
	}
	return l.network(), nil
}

// AllNetworks are Networks and, where they do not have its name, those made by hand: with an error those that can be read, nil if
// none of podc's own can.
func (s *Stack) AllNetworks() (map[string]Network, error) {
	all, err := s.Networks()
	if err != nil {
		return nil, err
	}
	lists, err := s.lists()
	for _, l := range lists {
		if _, taken := all[l.list.Name]; !taken {
			all[l.list.Name] = l.network()
		}
	}
	return all, err
}

// Networks returns all networks of this root by name; those made by hand are not among them, nor is one whose file is damaged,
// which Check reports.
func (s *Stack) Networks() (map[string]Network, error) {
	files, err := listDir(s.networksDir())
	if err != nil {
		return nil, err
	}
	all := make(map[string]Network, len(files))
	for _, f := range files {
		name := networkOfFile(f)
		if name == "" {
			continue
		}
		n, err := readNetwork(s.conflistPath(name))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, disk.ErrDamaged) { // removed while we looked, or damaged
			continue
		}
		if err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, nil
}

// RemoveNetwork removes a network with everything that belongs to it; the last one takes podc's table with it. It is
// ErrFailedPrecondition, and nothing happens, while attachments are on it, and for one made by hand. A network that does not exist is no error.
func (s *Stack) RemoveNetwork(ctx context.Context, name string) error {
	fail := func(err error) error { return fmt.Errorf("cannot remove network %q: %w", name, err) }
	if !valid.IsName(name) {
		return nil
	}
	unlock, err := s.lockToUndo(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	n, err := readNetwork(s.conflistPath(name))
	if errors.Is(err, os.ErrNotExist) {
		if by, err := s.Network(name); err == nil {
			return fail(fault.New(errdefs.ErrFailedPrecondition, "it was made by hand: remove %s", by.File))
		}
		return nil
	}
	if errors.Is(err, disk.ErrDamaged) {
		n, err = Network{Name: name}, nil // what is known of it is removed, and GC finds the rest
	}
	if err != nil {
		return fail(err)
	}
	owners, err := s.ownersOn(name)
	if err != nil {
		return fail(err)
	}
	if len(owners) > 0 {
		return fail(fault.New(errdefs.ErrFailedPrecondition, "in use by %s", strings.Join(owners, ", ")))
	}
	if err := s.dropNetwork(n); err != nil {
		return fail(err)
	}
	return nil
}

// ownersOn names who is attached to a network, sorted.
func (s *Stack) ownersOn(network string) ([]string, error) {
	recs, err := s.records()
	if err != nil {
		return nil, err
	}
	var owners []string
	for _, r := range recs {
		if slices.ContainsFunc(r.Endpoints, func(e Endpoint) bool { return e.Network == network }) {
			owners = append(owners, strconv.Quote(r.Owner))
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners), nil
}
