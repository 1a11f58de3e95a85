// Package lease hands out the addresses of networks, and keeps who has which. It knows folders and ranges, no networks and no pods.
//
// Leases are kept as the CNI plugin host-local keeps them, so that it and podc can follow one another: a folder per network
// with one file per address, which holds the container id, CR LF and the interface name; last_reserved_ip.N holds where the
// search goes on in the set of ranges N (podc has one per family); the file lock is locked for every change. Addresses are
// handed out in a circle, so that one just freed is the last to be used again.
package lease

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// patience bounds the wait for the lock of a folder, which is held for a few milliseconds at a time.
const patience = 30 * time.Second

// Range is a range of addresses to hand out, as host-local's configuration has it.
type Range struct {
	Subnet  netip.Prefix `json:"subnet"`
	Start   netip.Addr   `json:"rangeStart,omitzero"`
	End     netip.Addr   `json:"rangeEnd,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
}

// Holder is who has a lease; a zero one stands for what cannot be read.
type Holder struct {
	ID        string // of the attachment
	Interface string
}

// Lease is an address that an interface has, with the gateway of its subnet.
type Lease struct {
	Address netip.Prefix
	Gateway netip.Addr
}

// Folder is where the leases of the network are that it is named after.
type Folder string

func (d Folder) network() string          { return filepath.Base(string(d)) }
func (d Folder) file(a netip.Addr) string { return filepath.Join(string(d), a.String()) }
func (d Folder) lastReserved(set int) string {
	return filepath.Join(string(d), fmt.Sprintf("last_reserved_ip.%d", set))
}

// Take takes an address of each set of ranges for h: one of static where that has one, else the next free one. When it fails,
// what it took is left for a Release. owner names the holder of an address for messages.
func (d Folder) Take(ctx context.Context, sets [][]Range, static []netip.Addr, h Holder, owner func(id string) string) ([]Lease, error) {
	if len(sets) == 0 {
		return nil, fmt.Errorf("network %q has no address range", d.network())
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var out []Lease
	for i, set := range sets {
		if len(set) == 0 {
			return nil, fmt.Errorf("network %q has an empty address range", d.network())
		}
		subnet := set[0].Subnet
		var a netip.Addr
		for _, want := range static {
			if want.Is6() == subnet.Addr().Is6() {
				a = want
			}
		}
		if a, err = d.takeOf(i, set, a, h, owner); err != nil {
			return nil, err
		}
		out = append(out, Lease{netip.PrefixFrom(a, subnet.Bits()), set[0].Gateway})
	}
	for _, want := range static {
		if !slices.ContainsFunc(out, func(l Lease) bool { return l.Address.Addr() == want }) {
			return nil, fault.New(errdefs.ErrInvalidArgument, "address %s cannot be used on network %q, which has no subnet of that family", want, d.network())
		}
	}
	return out, nil
}

// takeOf takes an address of one set of ranges.
func (d Folder) takeOf(i int, set []Range, static netip.Addr, h Holder, owner func(id string) string) (netip.Addr, error) {
	subnet, gateway := set[0].Subnet, set[0].Gateway
	if !static.IsValid() {
		a, err := d.next(i, set, gateway, h)
		if errors.Is(err, errFull) {
			err = fault.New(errdefs.ErrResourceExhausted, "network %q has no free address left in %s: give it a larger subnet", d.network(), subnet)
		}
		return a, err
	}
	if valid.HostAddress(static, subnet) != nil || static == gateway {
		return static, fault.New(errdefs.ErrInvalidArgument, "address %s cannot be used on network %q, which is %s with gateway %s",
			static, d.network(), subnet, gateway)
	}
	err := d.Give(static, h)
	if errors.Is(err, fs.ErrExist) {
		who := "somebody"
		if other, err := d.Holder(static); err == nil {
			who = owner(other.ID)
		}
		err = fault.New(errdefs.ErrConflict, "address %s on network %q is in use by %s", static, d.network(), who)
	}
	return static, err
}

var errFull = errors.New("no free address")

// next takes the first free address after the one handed out last.
func (d Folder) next(index int, set []Range, gateway netip.Addr, h Holder) (netip.Addr, error) {
	last := d.last(index)
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
				err := d.Give(a, h)
				if errors.Is(err, os.ErrExist) {
					continue
				}
				if err == nil {
					err = disk.WriteFile(d.lastReserved(index), []byte(a.String()), 0o644, disk.Volatile)
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

func (d Folder) last(index int) netip.Addr {
	b, err := disk.ReadFile(d.lastReserved(index))
	if err != nil {
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(strings.TrimSpace(string(b)))
	return a
}

// Give has h hold a; fs.ErrExist if somebody else does.
func (d Folder) Give(a netip.Addr, h Holder) error {
	path := d.file(a)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_EXCL|os.O_CREATE, 0o600)
	if errors.Is(err, os.ErrExist) {
		if other, err := d.Holder(a); err == nil && other == h {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(h.ID + "\r\n" + h.Interface)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// Free reports whether nobody holds a.
func (d Folder) Free(a netip.Addr) bool {
	_, err := os.Stat(d.file(a))
	return err != nil
}

// Holder is who holds a; fs.ErrNotExist if nobody does.
func (d Folder) Holder(a netip.Addr) (Holder, error) {
	b, err := disk.ReadFile(d.file(a))
	if err != nil {
		return Holder{}, err
	}
	id, ifname, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	h := Holder{strings.TrimSpace(id), strings.TrimSpace(ifname)}
	if !valid.IsName(h.ID) || h.Interface == "" {
		return Holder{}, nil
	}
	return h, nil
}

// DropDamaged removes a lease that says of nobody that it is theirs.
func (d Folder) DropDamaged(ctx context.Context, a netip.Addr) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if h, err := d.Holder(a); errors.Is(err, fs.ErrNotExist) || err == nil && h != (Holder{}) {
		return nil
	}
	return os.RemoveAll(d.file(a))
}

// Release frees what h holds. known, which may be empty, is where to look first; unless all of it is found, every lease of the
// network is read. Holding nothing is no error.
func (d Folder) Release(ctx context.Context, known []netip.Addr, h Holder) error {
	if _, err := os.Stat(string(d)); err != nil {
		return nil
	}
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	found := len(known) > 0
	var errs []error
	for _, a := range known {
		if has, err := d.Holder(a); err == nil && has == h {
			errs = append(errs, os.Remove(d.file(a)))
		} else {
			found = false
		}
	}
	if found {
		return errors.Join(errs...)
	}
	leases, err := d.list()
	for a, has := range leases {
		if has == h {
			errs = append(errs, os.RemoveAll(d.file(a)))
		}
	}
	return errors.Join(append(errs, err)...)
}

// List reads all leases, under the lock: outside of it one may be half written.
func (d Folder) List(ctx context.Context) (map[netip.Addr]Holder, error) {
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return d.list()
}

func (d Folder) list() (map[netip.Addr]Holder, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	out := map[netip.Addr]Holder{}
	for _, e := range entries {
		a, err := netip.ParseAddr(e.Name())
		if err != nil {
			continue
		}
		if h, err := d.Holder(a); !errors.Is(err, fs.ErrNotExist) {
			out[a] = h // none, if it is damaged
		}
	}
	return out, nil
}

func (d Folder) lock(ctx context.Context) (func(), error) {
	w := disk.Wait{For: fmt.Sprintf("the addresses of network %q", d.network()), Patience: patience}
	l, err := disk.LockWait(ctx, filepath.Join(string(d), "lock"), w)
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}
