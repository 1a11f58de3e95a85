package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// Leases are kept as the CNI plugin host-local keeps them, so that it and podc can follow one another: a folder per network
// with one file per address, which holds the container id, CR LF and the interface name; last_reserved_ip.N holds where the
// search goes on in the set of ranges N (podc has one per family); the file lock is locked for every change. Addresses are
// handed out in a circle, so that one just freed is the last to be used again.

func lastReserved(set int) string { return fmt.Sprintf("last_reserved_ip.%d", set) }

// leases hands out the addresses of networks.
type leases struct {
	files
	records *records // says whose an address is
}

// lease is an address that an interface has, with the gateway of its subnet.
type lease struct {
	address netip.Prefix
	gateway netip.Addr
}

// lease takes an address of each set of ranges for an interface of an attachment: one of static where that has one, else the
// next free one. When it fails, what it took is left for a release.
func (ls *leases) lease(ctx context.Context, conf pluginConf, id, ifname string, static []netip.Addr) ([]lease, error) {
	if conf.IPAM == nil || len(conf.IPAM.Ranges) == 0 {
		return nil, fmt.Errorf("network %q has no address range", conf.Name)
	}
	dir := filepath.Join(conf.IPAM.DataDir, conf.Name)
	unlock, err := lockLeases(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []lease
	for i, set := range conf.IPAM.Ranges {
		if len(set) == 0 {
			return nil, fmt.Errorf("network %q has an empty address range", conf.Name)
		}
		subnet, gateway := set[0].Subnet, set[0].Gateway
		var a netip.Addr
		for _, want := range static {
			if want.Is6() == subnet.Addr().Is6() {
				a = want
			}
		}
		if a, err = ls.leaseOf(dir, conf.Name, i, set, a, id, ifname); err != nil {
			return nil, err
		}
		out = append(out, lease{netip.PrefixFrom(a, subnet.Bits()), gateway})
	}
	for _, want := range static {
		if !slices.ContainsFunc(out, func(l lease) bool { return l.address.Addr() == want }) {
			return nil, invalidf("address %s cannot be used on network %q, which has no subnet of that family", want, conf.Name)
		}
	}
	return out, nil
}

// leaseOf takes an address of one set of ranges.
func (ls *leases) leaseOf(dir, network string, i int, set []ipamRange, static netip.Addr, id, ifname string) (netip.Addr, error) {
	subnet, gateway := set[0].Subnet, set[0].Gateway
	if !static.IsValid() {
		a, err := nextLease(dir, i, set, gateway, id, ifname)
		if errors.Is(err, errFull) {
			err = fault.New(errdefs.ErrResourceExhausted, "network %q has no free address left in %s: give it a larger subnet", network, subnet)
		}
		return a, err
	}
	if valid.HostAddress(static, subnet) != nil || static == gateway {
		return static, invalidf("address %s cannot be used on network %q, which is %s with gateway %s", static, network, subnet, gateway)
	}
	err := takeLease(dir, static, id, ifname)
	if errors.Is(err, os.ErrExist) {
		err = fault.New(errdefs.ErrConflict, "address %s on network %q is in use by %s", static, network, ls.leaseOwner(dir, static))
	}
	return static, err
}

var errFull = errors.New("no free address")

// nextLease takes the first free address after the one handed out last.
func nextLease(dir string, index int, set []ipamRange, gateway netip.Addr, id, ifname string) (netip.Addr, error) {
	last := readLast(dir, index)
	for pass := range 2 { // after the last one, then from the beginning up to it
		for _, r := range set {
			for a := r.Start; a.Compare(r.End) <= 0; a = a.Next() {
				if last.IsValid() && (pass == 0) != last.Less(a) {
					if pass == 1 {
						break // what follows was tried
					}
					if r.Start.Compare(last) <= 0 && last.Less(r.End) {
						a = last // skip what lies before in one step
					}
					continue
				}
				if a == gateway {
					continue
				}
				err := takeLease(dir, a, id, ifname)
				if errors.Is(err, os.ErrExist) {
					continue
				}
				if err == nil {
					err = disk.WriteFile(filepath.Join(dir, lastReserved(index)), []byte(a.String()), 0o644, disk.Volatile)
				}
				return a, err
			}
		}
		if !last.IsValid() {
			break
		}
	}
	return netip.Addr{}, errFull
}

func readLast(dir string, index int) netip.Addr {
	b, err := disk.ReadFile(filepath.Join(dir, lastReserved(index)))
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(strings.TrimSpace(string(b)))
	return a
}

// takeLease fails with os.ErrExist if somebody else holds a.
func takeLease(dir string, a netip.Addr, id, ifname string) error {
	path := filepath.Join(dir, a.String())
	f, err := os.OpenFile(path, os.O_RDWR|os.O_EXCL|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrExist) {
		if h, err := readLease(path); err == nil && h == (holder{id, ifname}) {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(id + "\r\n" + ifname)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// holder is who has a lease; a zero one stands for what cannot be read.
type holder struct{ id, ifname string }

func readLease(path string) (holder, error) {
	b, err := disk.ReadFile(path)
	if err != nil {
		return holder{}, err
	}
	id, ifname, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	h := holder{strings.TrimSpace(id), strings.TrimSpace(ifname)}
	if !valid.IsName(h.id) || h.ifname == "" {
		return holder{}, nil
	}
	return h, nil
}

// dropDamagedLease removes a lease that says of nobody that it is theirs.
func dropDamagedLease(ctx context.Context, dir string, a netip.Addr) error {
	unlock, err := lockLeases(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.Join(dir, a.String())
	if h, err := readLease(path); errors.Is(err, os.ErrNotExist) || err == nil && h != (holder{}) {
		return nil
	}
	return os.RemoveAll(path)
}

// leaseOwner names the holder of an address for a message.
func (ls *leases) leaseOwner(dir string, a netip.Addr) string {
	h, err := readLease(filepath.Join(dir, a.String()))
	if err != nil {
		return "somebody"
	}
	if r, err := ls.records.load(h.id); err == nil {
		return fmt.Sprintf("%q", r.Owner)
	}
	return h.id
}

// preferring is e with those of the preferred addresses that are free on its network.
func (ls *leases) preferring(e Endpoint, n Network, prefer []netip.Addr) Endpoint {
	for _, a := range prefer {
		sub, ok := subnetOf(n, a.Is6())
		free := ok && gives(sub, a, heldOf(n)) && !fileExists(filepath.Join(ls.leaseDir(n.Name), a.String()))
		switch {
		case !free:
		case a.Is6() && !e.IPv6.IsValid():
			e.IPv6 = a
		case a.Is4() && !e.IPv4.IsValid():
			e.IPv4 = a
		}
	}
	return e
}

// gives reports whether a is among the addresses that sub hands out to those that ask for none; held are not.
func gives(sub Subnet, a netip.Addr, held []netip.Addr) bool {
	return a != sub.Gateway && slices.ContainsFunc(ranges(sub, held), func(r ipamRange) bool { return r.Start.Compare(a) <= 0 && a.Compare(r.End) <= 0 })
}

// releaseLeases frees what an interface holds. known, which may be empty, is where to look first; unless all of it is found,
// every lease of the network is read. Holding nothing is no error.
func releaseLeases(ctx context.Context, dir string, known []netip.Addr, id, ifname string) error {
	if !fileExists(dir) {
		return nil
	}
	unlock, err := lockLeases(ctx, dir)
	if err != nil {
		return err
	}
	defer unlock()
	want, found := holder{id, ifname}, len(known) > 0
	var errs []error
	for _, a := range known {
		path := filepath.Join(dir, a.String())
		if h, err := readLease(path); err == nil && h == want {
			errs = append(errs, os.Remove(path))
		} else {
			found = false
		}
	}
	if found {
		return errors.Join(errs...)
	}
	leases, err := listLeases(dir)
	for a, h := range leases {
		if h == want {
			errs = append(errs, removeFile(filepath.Join(dir, a.String())))
		}
	}
	return errors.Join(append(errs, err)...)
}

// listLeases reads all leases of a network's folder.
func listLeases(dir string) (map[netip.Addr]holder, error) {
	files, err := listDir(dir)
	if err != nil {
		return nil, err
	}
	out := map[netip.Addr]holder{}
	for _, f := range files {
		a, err := netip.ParseAddr(f)
		if err != nil {
			continue
		}
		if h, err := readLease(filepath.Join(dir, f)); !errors.Is(err, os.ErrNotExist) {
			out[a] = h // none, if it is damaged
		}
	}
	return out, nil
}

func lockLeases(ctx context.Context, dir string) (func(), error) {
	w := disk.Wait{For: fmt.Sprintf("the addresses of network %q", filepath.Base(dir)), Patience: lockDeadline}
	l, err := disk.LockWait(ctx, filepath.Join(dir, "lock"), w)
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}
