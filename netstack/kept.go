package netstack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Static addresses are kept free on the network itself: whoever names one has it noted there, whether it runs or not, and what
// asks for no address gets none of those. They stand in the ranges of the conflist, so that executed plugins heed them too.

// KeepAddresses has owner keep addrs of a network, and none else: no attachment that asks for no address gets one of them. A network
// that is made by hand, or missing, keeps none. Idempotent; it writes only what is new.
func (nw *networks) KeepAddresses(ctx context.Context, network, owner string, addrs []netip.Addr) error {
	n, err := readNetwork(nw.conflistPath(network))
	if errors.Is(err, os.ErrNotExist) || err == nil && slices.Equal(n.Kept[owner], addrs) {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("cannot keep addresses of network %q: %w", network, err) }
	unlock, err := nw.lock(ctx)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	if n, err = readNetwork(nw.conflistPath(network)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	n.Kept = maps.Clone(n.Kept)
	if n.Kept == nil {
		n.Kept = map[string][]netip.Addr{}
	}
	n.Kept[owner] = addrs
	if len(addrs) == 0 {
		delete(n.Kept, owner)
	}
	if err := nw.lists.save(n); err != nil {
		return fail(err)
	}
	return nil
}

// held are the addresses of n that nobody gets without asking.
func heldOf(n api.Network) []netip.Addr {
	var held []netip.Addr
	if n.Lent != nil {
		held = slices.Clone(n.Lent.Held)
	}
	for _, addrs := range n.Kept {
		held = append(held, addrs...)
	}
	slices.SortFunc(held, netip.Addr.Compare)
	return slices.Compact(held)
}

// CheckAddresses reports, before anything is made, which static addresses cannot be had: because they are none of the network's, or
// because another attachment has or another owner keeps them. Errors are joined. leaving names owners that will be detached by
// then, gone those that will not exist. Networks that do not exist yet are not asked.
func (nw *networks) CheckAddresses(want []api.AddressClaim, leaving, gone []string) error {
	recs, err := nw.records.all()
	if err != nil {
		return err
	}
	var errs []error
	for _, w := range want {
		n, err := nw.lists.Network(w.Network)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err == nil {
			err = checkAddress(n, w.Addr)
		}
		if err == nil {
			err = conflict(w, n, recs, leaving, gone)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot give %q address %s on network %q: %w", w.Owner, w.Addr, w.Network, err))
		}
	}
	return errors.Join(errs...)
}

// checkAddress refuses an address that nobody can have on n.
func checkAddress(n api.Network, a netip.Addr) error {
	sub, ok := subnetOf(n, a.Is6())
	switch {
	case !ok && n.ByHand():
		return nil // whatever its plugin says
	case !ok:
		return fault.Invalid("it has no subnet of that family")
	case !sub.CIDR.Contains(a) || a == sub.Gateway || n.Lent != nil && slices.Contains(n.Lent.Held, a):
		return fault.Invalid("it is %s with gateway %s", sub.CIDR, sub.Gateway)
	}
	return nil
}

// conflict says who has the address, or keeps it.
func conflict(w api.AddressClaim, n api.Network, recs []record, leaving, gone []string) error {
	for _, r := range recs {
		has := func(i api.Interface) bool { return i.Network == n.Name && slices.Contains(i.Addrs(), w.Addr) }
		if r.Owner != w.Owner && !r.Going && !slices.Contains(leaving, r.Owner) && slices.ContainsFunc(r.Interfaces, has) {
			return fault.New(errdefs.ErrConflict, "it is in use by %q", r.Owner)
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(n.Kept)) {
		own := owner == w.Owner || slices.Contains(w.As, owner) || slices.Contains(gone, owner)
		if !own && slices.Contains(n.Kept[owner], w.Addr) {
			return fault.New(errdefs.ErrConflict, "it is kept for %q", owner)
		}
	}
	return nil
}
