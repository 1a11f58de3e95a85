package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/lease"
)

// Connect adds an endpoint to an attachment that stands, and answers the whole. Where e asks for no address, it takes one of
// prefer if the network has it to give. Published ports follow the default route, on the addresses of the host that they have.
// ErrNotFound if there is no such attachment or network, ErrAlreadyExists if it is on the network. When it fails the attachment
// is as it was. What a Connect that died left is undone first.
//
// The caller excludes other calls for the same id.
func (s *Stack) Connect(ctx context.Context, id string, e api.Endpoint, prefer []netip.Addr) (api.Attachment, error) {
	rec, err := s.records.standing(id)
	if err != nil {
		return api.Attachment{}, err
	}
	fail := func(err error) (api.Attachment, error) {
		return api.Attachment{}, fmt.Errorf("cannot connect %q to network %q: %w", rec.Owner, e.Network, err)
	}
	if err := checkEndpoint(e); err != nil {
		return fail(err)
	}
	if i := rec.endpoint(e.Network); i >= 0 && i < len(rec.Interfaces) {
		return fail(fault.New(errdefs.ErrAlreadyExists, "it is connected already"))
	} else if i >= 0 {
		if err := s.drop(ctx, &rec, i); err != nil {
			return fail(err)
		}
	}
	networks, err := s.intendMore(ctx, &rec, e)
	if err != nil {
		return fail(err)
	}
	if err := s.effectMore(ctx, &rec, networks, prefer); err != nil {
		ctx, cancel := disk.WithDeadline(context.WithoutCancel(ctx), undoDeadline, "undoing the connection")
		defer cancel()
		_, undone := s.Disconnect(ctx, id, e.Network)
		return fail(errors.Join(err, undone))
	}
	return rec.Attachment, nil
}

// Disconnect takes an endpoint from an attachment, and answers what is left. ErrNotFound if there is no such attachment, or if
// it is not on the network. If something cannot be undone the endpoint stays on record, so that it is tried again.
//
// The caller excludes other calls for the same id.
func (s *Stack) Disconnect(ctx context.Context, id, network string) (api.Attachment, error) {
	rec, err := s.records.standing(id)
	if err != nil {
		return api.Attachment{}, err
	}
	i := rec.endpoint(network)
	if i < 0 {
		return api.Attachment{}, fault.New(errdefs.ErrNotFound, "%q is not connected to network %q", rec.Owner, network)
	}
	if err := s.drop(ctx, &rec, i); err != nil {
		return api.Attachment{}, fmt.Errorf("cannot disconnect %q from network %q: %w", rec.Owner, network, err)
	}
	return rec.Attachment, nil
}

func (r record) endpoint(network string) int {
	return slices.IndexFunc(r.Endpoints, func(e api.Endpoint) bool { return e.Network == network })
}

// intendMore adds an endpoint to the record on disk, and returns the networks of all.
func (s *Stack) intendMore(ctx context.Context, rec *record, e api.Endpoint) ([]api.Network, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, err := s.networks.readyNetworks(ctx, []api.Endpoint{e}); err != nil {
		return nil, err
	}
	more := *rec
	more.Endpoints = append(slices.Clone(rec.Endpoints), e)
	networks := s.networks.networksOf(more)
	if err := nameInterfaces(more.Endpoints, networks); err != nil {
		return nil, err
	}
	if more.DNSPorts == (api.DNSPorts{}) {
		more.DNSPorts = pickDNSPorts()
	}
	*rec = more
	return networks, s.records.save(*rec)
}

// effectMore attaches the last endpoint of rec.
func (s *Stack) effectMore(ctx context.Context, rec *record, networks []api.Network, prefer []netip.Addr) error {
	if err := kernel.InNetNS(rec.NetNS, func() error { return prepareInside(networks[len(networks)-1].IPv6) }); err != nil {
		return err
	}
	last := len(rec.Endpoints) - 1
	asked := rec.Endpoints[last]
	rec.Endpoints[last] = preferring(asked, networks[last], prefer, s.leases(networks[last].Name))
	err := s.plugins.addEndpoint(ctx, rec, last, networks[last], reachOf(rec.Endpoints, networks))
	if errdefs.IsConflict(err) && !satisfies(rec.Endpoints[last], asked) { // somebody was quicker
		if err = s.plugins.delEndpoint(ctx, *rec, last); err == nil {
			rec.Endpoints[last] = asked
			err = s.plugins.addEndpoint(ctx, rec, last, networks[last], reachOf(rec.Endpoints, networks))
		}
	}
	rec.Endpoints[last] = asked
	if err != nil {
		return err
	}
	return s.applyEndpoints(ctx, rec, networks)
}

// preferring is e with those of the preferred addresses that are free on its network.
func preferring(e api.Endpoint, n api.Network, prefer []netip.Addr, leases lease.Folder) api.Endpoint {
	for _, a := range prefer {
		sub, ok := subnetOf(n, a.Is6())
		free := ok && gives(sub, a, heldOf(n)) && leases.Free(a)
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
func gives(sub api.Subnet, a netip.Addr, held []netip.Addr) bool {
	return a != sub.Gateway && slices.ContainsFunc(ranges(sub, held), func(r lease.Range) bool { return r.Start.Compare(a) <= 0 && a.Compare(r.End) <= 0 })
}

// applyEndpoints makes what depends on all endpoints together: routes, published ports, the record, names.
func (s *Stack) applyEndpoints(ctx context.Context, rec *record, networks []api.Network) error {
	if kernel.IsNamespace(rec.NetNS) {
		if err := kernel.InNetNS(rec.NetNS, func() error { return finishInside(*rec, networks) }); err != nil {
			return err
		}
	}
	if err := s.setPublished(ctx, rec, elementsOf(*rec, networks)); err != nil {
		return err
	}
	return s.names.write(rec.Attachment)
}

// drop takes endpoint i away: what leads to it first, the record of it last.
func (s *Stack) drop(ctx context.Context, rec *record, i int) error {
	left := *rec
	left.Endpoints = slices.Delete(slices.Clone(rec.Endpoints), i, i+1)
	if i < len(rec.Interfaces) {
		left.Interfaces = slices.Delete(slices.Clone(rec.Interfaces), i, i+1)
		left.Ways = slices.Delete(slices.Clone(rec.Ways), i, i+1)
	}
	networks := s.networks.networksOf(left)
	if err := s.setPublished(ctx, rec, elementsOf(left, networks)); err != nil {
		return err
	}
	if err := os.RemoveAll(s.nameFile(rec.Endpoints[i].Network, rec.ID)); err != nil {
		return err
	}
	if err := s.plugins.delEndpoint(ctx, *rec, i); err != nil {
		return err
	}
	left.Published, left.DNSPorts = rec.Published, rec.DNSPorts
	*rec = left
	return s.applyEndpoints(ctx, rec, networks)
}
