package netstack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// undoDeadline bounds the undoing of a failed Attach, which must go on when its caller has given up.
const undoDeadline = 30 * time.Second

// Attach gives a pinned namespace its networks: loopback, one interface per endpoint, addresses, the default route, published
// ports, names. It answers a completed: with the interfaces and the host ports that were chosen. It may be repeated:
// what stands is answered again, what an Attach that died left is undone first. When it fails it leaves nothing.
//
// The caller excludes other calls for the same id (podc's pod lock does); for different ids any number may run at once.
func (s *Stack) Attach(ctx context.Context, a api.Attachment) (api.Attachment, error) {
	fail := func(err error) (api.Attachment, error) {
		return api.Attachment{}, fmt.Errorf("cannot attach %q to its networks: %w", a.Owner, err)
	}
	if err := checkAttachment(a); err != nil {
		return fail(err)
	}
	ns, err := kernel.NetNSAt(a.NetNS)
	if err != nil {
		return fail(err)
	}
	switch old, err := s.records.load(a.ID); {
	case err == nil && s.stands(old, a, ns):
		return old.Attachment, nil
	case !errors.Is(err, os.ErrNotExist):
		if err := s.Detach(ctx, a.ID); err != nil {
			return fail(err)
		}
	}
	rec, networks, err := s.intend(ctx, a, ns)
	if err != nil {
		return fail(err)
	}
	if err := s.effect(ctx, &rec, networks); err != nil {
		ctx, cancel := disk.WithDeadline(context.WithoutCancel(ctx), undoDeadline, "undoing the attachment")
		defer cancel()
		return fail(errors.Join(err, s.Detach(ctx, a.ID)))
	}
	return rec.Attachment, nil
}

// stands reports whether an old attachment is complete and what a asks for.
func (s *Stack) stands(old record, a api.Attachment, ns kernel.NetNS) bool {
	if !old.Done || old.Going || old.NS != ns || old.NetNS != a.NetNS || !samePorts(old, a) {
		return false
	}
	for i, iface := range old.Interfaces {
		if iface.HostIf != "" && !linkExists(iface.HostIf) || i >= len(a.Endpoints) || iface.Network != a.Endpoints[i].Network {
			return false
		}
	}
	return slices.EqualFunc(old.Endpoints, a.Endpoints, satisfies) && slices.Equal(old.Names, a.Names)
}

// samePorts reports whether the ports of old are an answer to the ports that a asks for.
func samePorts(old record, a api.Attachment) bool {
	if len(old.Warnings) > 0 { // none was published then, and none would be now
		return true
	}
	return slices.EqualFunc(old.Ports, a.Ports, func(got, want api.Port) bool {
		end := max(want.HostPort, want.HostEnd)
		in := want.HostPort == 0 || want.HostPort <= got.HostPort && got.HostPort <= end
		address := !want.HostIP.IsValid() || got.HostIP == want.HostIP
		return in && address && got.Container == want.Container && got.Protocol == want.Protocol
	})
}

// intend chooses the ports and the names of the interfaces, and writes the record that makes everything to come findable. It
// returns the networks of the endpoints.
func (s *Stack) intend(ctx context.Context, a api.Attachment, ns kernel.NetNS) (rec record, networks []api.Network, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return rec, nil, err
	}
	defer unlock()
	if networks, err = s.networks.readyNetworks(ctx, a.Endpoints); err != nil {
		return rec, nil, err
	}
	rec = record{Attachment: a, NS: ns, Exec: s.plugins.exec}
	rec.Interfaces, rec.Warnings, rec.DNSPorts = nil, nil, api.DNSPorts{}
	rec.Endpoints = slices.Clone(a.Endpoints)
	if err := nameInterfaces(rec.Endpoints, networks); err != nil {
		return rec, nil, err
	}
	if len(a.Endpoints) > 0 {
		rec.DNSPorts = pickDNSPorts()
	}
	if len(a.Ports) > 0 {
		recs, err := s.records.all()
		if err != nil {
			return rec, nil, err
		}
		if rec.Ports, rec.Warnings, err = choosePorts(a, reachOf(rec.Endpoints, networks), recs); err != nil {
			return rec, nil, err
		}
	}
	return rec, networks, s.records.save(rec)
}

// effect makes what rec intends and completes it.
func (s *Stack) effect(ctx context.Context, rec *record, networks []api.Network) error {
	v6 := slices.ContainsFunc(networks, func(n api.Network) bool { return n.IPv6 })
	if err := kernel.InNetNS(rec.NetNS, func() error { return prepareInside(v6) }); err != nil {
		return err
	}
	reach := reachOf(rec.Endpoints, networks)
	for i := range rec.Endpoints {
		if err := s.plugins.addEndpoint(ctx, rec, i, networks[i], reach); err != nil {
			return err
		}
	}
	if len(rec.Endpoints) > 0 {
		if err := kernel.InNetNS(rec.NetNS, func() error { return finishInside(*rec, networks) }); err != nil {
			return err
		}
	}
	if want := elementsOf(*rec, networks); len(want) > 0 {
		if err := s.setPublished(ctx, rec, want); err != nil {
			return err
		}
	}
	rec.Done = true
	if err := s.records.save(*rec); err != nil {
		return err
	}
	return s.names.write(rec.Attachment)
}

// DetachLost is Detach for an attachment whose record is gone or damaged, as a was asked for: it removes what bears its name, and every rule
// for which there is no record. Idempotent.
func (s *Stack) DetachLost(ctx context.Context, a api.Attachment) error {
	switch _, err := s.records.load(a.ID); {
	case errors.Is(err, disk.ErrDamaged):
		if err := s.detachDamaged(ctx, a.ID); err != nil {
			return err
		}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	var endpoints []api.Endpoint
	var networks []api.Network
	for _, e := range a.Endpoints {
		if n, err := s.Network(e.Network); err == nil {
			endpoints, networks = append(endpoints, e), append(networks, n)
		}
	}
	if err := nameInterfaces(endpoints, networks); err != nil {
		return err
	}
	var errs []error
	for _, e := range endpoints {
		errs = append(errs, s.links.removeVeth(a.ID, e.Interface, true))
	}
	return errors.Join(append(errs, s.Rebuild(ctx))...)
}

// Detach undoes Attach, in this order: published ports, names, interfaces, addresses, and at last the record. It works from the
// record, also when the namespace or the links are gone; what is gone already is no error, nor is an unknown id. If something
// cannot be undone the record stays, so that it is tried again.
func (s *Stack) Detach(ctx context.Context, id string) error {
	rec, err := s.records.load(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if errors.Is(err, disk.ErrDamaged) {
		return s.detachDamaged(ctx, id)
	}
	if err != nil {
		return err
	}
	if err := s.beginDetach(ctx, &rec); err != nil {
		return fmt.Errorf("cannot detach %q from its networks: %w", rec.Owner, err)
	}
	errs := []error{s.names.remove(rec.Attachment)}
	for i := len(rec.Endpoints) - 1; i >= 0; i-- {
		errs = append(errs, s.plugins.delEndpoint(ctx, rec, i))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot detach %q from its networks: %w", rec.Owner, err)
	}
	return s.records.drop(ctx, id)
}
