package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/disk"
)

// undoDeadline bounds the undoing of a failed Attach, which must go on when its caller has given up.
const undoDeadline = 30 * time.Second

// Attach gives a pinned namespace its networks: loopback, one interface per endpoint, addresses, the default route, published
// ports, names. It answers a completed: with the interfaces and the host ports that were chosen. It may be repeated:
// what stands is answered again, what an Attach that died left is undone first. When it fails it leaves nothing.
//
// The caller excludes other calls for the same id (podc's pod lock does); for different ids any number may run at once.
func (s *Stack) Attach(ctx context.Context, a Attachment) (Attachment, error) {
	fail := func(err error) (Attachment, error) {
		return Attachment{}, fmt.Errorf("cannot attach %q to its networks: %w", a.Owner, err)
	}
	if err := a.check(); err != nil {
		return fail(err)
	}
	ns, err := identifyNS(a.NetNS)
	if err != nil {
		return fail(err)
	}
	switch old, err := s.loadRecord(a.ID); {
	case err == nil && s.stands(old, a, ns):
		return old.Attachment, nil
	case !errors.Is(err, os.ErrNotExist):
		if err := s.Detach(ctx, a.ID); err != nil {
			return fail(err)
		}
	}
	rec, publisher, err := s.intend(ctx, a, ns)
	if err != nil {
		return fail(err)
	}
	if err := s.effect(ctx, &rec, publisher); err != nil {
		ctx, cancel := disk.WithDeadline(context.WithoutCancel(ctx), undoDeadline, "undoing the attachment")
		defer cancel()
		return fail(errors.Join(err, s.Detach(ctx, a.ID)))
	}
	return rec.Attachment, nil
}

// check refuses what cannot be served, before anything is made.
func (a Attachment) check() error {
	invalid := func(format string, args ...any) error {
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf(format, args...))
	}
	if !validName.MatchString(a.ID) || len(a.ID) > 200 {
		return invalid("%q is no attachment id", a.ID)
	}
	var seen []string
	for _, e := range a.Endpoints {
		if slices.Contains(seen, e.Network) {
			return invalid("network %q is named twice", e.Network)
		}
		seen = append(seen, e.Network)
		if e.MAC != "" {
			if _, err := net.ParseMAC(e.MAC); err != nil {
				return invalid("%q is no MAC address", e.MAC)
			}
		}
		if e.IPv4.IsValid() && !e.IPv4.Is4() {
			return invalid("%s is no IPv4 address", e.IPv4)
		}
	}
	for _, p := range a.Ports {
		if err := p.check(); err != nil {
			return err
		}
	}
	for _, d := range a.DNS {
		if _, err := netip.ParseAddr(d); err != nil {
			return invalid("%q is no address of a name server", d)
		}
	}
	return nil
}

func (p Port) check() error {
	switch {
	case p.Protocol != "tcp" && p.Protocol != "udp":
		return errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("cannot publish port %d: protocol %q is not supported (tcp and udp are)", p.Container, p.Protocol))
	case p.Container == 0:
		return errdefs.ErrInvalidArgument.WithMessage("cannot publish container port 0")
	case p.HostIP.IsValid() && !p.HostIP.Is4():
		return errdefs.ErrNotImplemented.WithMessage(fmt.Sprintf("cannot publish port %d on %s: IPv6 is not supported yet", p.Container, p.HostIP))
	case p.HostEnd != 0 && p.HostEnd < p.HostPort:
		return errdefs.ErrInvalidArgument.WithMessage(fmt.Sprintf("cannot publish port %d: the range %d-%d is reversed", p.Container, p.HostPort, p.HostEnd))
	}
	return nil
}

// stands reports whether an old attachment is complete and what a asks for.
func (s *Stack) stands(old record, a Attachment, ns nsIdentity) bool {
	if !old.Done || old.Going || old.NS != ns || old.NetNS != a.NetNS || !samePorts(old, a) {
		return false
	}
	for i, iface := range old.Interfaces {
		if iface.HostIf != "" && !linkExists(iface.HostIf) || i >= len(a.Endpoints) || iface.Network != a.Endpoints[i].Network {
			return false
		}
	}
	equal := func(x, y Endpoint) bool {
		return x.Network == y.Network && x.IPv4 == y.IPv4 && x.MAC == y.MAC && slices.Equal(x.Aliases, y.Aliases)
	}
	return slices.EqualFunc(old.Endpoints, a.Endpoints, equal) && slices.Equal(old.Names, a.Names)
}

// samePorts reports whether the ports of old are an answer to the ports that a asks for.
func samePorts(old record, a Attachment) bool {
	if len(old.Warnings) > 0 { // none was published then, and none would be now
		return true
	}
	return slices.EqualFunc(old.Ports, a.Ports, func(got, want Port) bool {
		end := max(want.HostPort, want.HostEnd)
		in := want.HostPort == 0 || want.HostPort <= got.HostPort && got.HostPort <= end
		return in && got.Container == want.Container && got.Protocol == want.Protocol && got.HostIP == want.HostIP
	})
}

// intend chooses the ports and writes the record that makes everything to come findable. publisher is the endpoint that
// publishes the ports, -1 if none does.
func (s *Stack) intend(ctx context.Context, a Attachment, ns nsIdentity) (rec record, publisher int, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return rec, 0, err
	}
	defer unlock()
	publisher, err = s.readyNetworks(ctx, a)
	if err != nil {
		return rec, 0, err
	}
	rec = record{Attachment: a, NS: ns}
	rec.Interfaces, rec.Warnings, rec.DNSPorts = nil, nil, DNSPorts{}
	if len(a.Endpoints) > 0 {
		rec.DNSPorts = pickDNSPorts()
	}
	if len(a.Ports) > 0 && publisher < 0 {
		rec.Ports, rec.Warnings = nil, []string{notPublished(a)}
	} else if len(a.Ports) > 0 {
		recs, err := s.records()
		if err != nil {
			return rec, 0, err
		}
		if rec.Ports, err = choosePorts(a.Ports, a.Owner, recs); err != nil {
			return rec, 0, err
		}
	}
	return rec, publisher, s.saveRecord(rec)
}

func notPublished(a Attachment) string {
	var ports []string
	for _, p := range a.Ports {
		ports = append(ports, fmt.Sprintf("%d/%s", p.Container, p.Protocol))
	}
	return fmt.Sprintf("ports %s of %q are not published: it is on no bridge network with a way out", strings.Join(ports, ", "), a.Owner)
}

// readyNetworks makes sure that the networks of a exist and stand on the host. It returns the first endpoint that can
// publish ports, or -1.
func (s *Stack) readyNetworks(ctx context.Context, a Attachment) (publisher int, err error) {
	publisher = -1
	for i, e := range a.Endpoints {
		n, err := s.Network(e.Network)
		if err != nil {
			return 0, err
		}
		if n.Bridge == "" { // another plugin's
			continue
		}
		if err := s.readyNetwork(ctx, n); err != nil {
			return 0, err
		}
		if publisher < 0 && !n.Internal {
			publisher = i
		}
	}
	return publisher, nil
}

// effect makes what rec intends and completes it.
func (s *Stack) effect(ctx context.Context, rec *record, publisher int) error {
	if err := inNetNS(rec.NetNS, bringUpLoopback); err != nil {
		return err
	}
	var ifaces []Interface
	for i := range rec.Endpoints {
		var ports []Port
		if i == publisher {
			ports = rec.Ports
		}
		iface, err := s.addEndpoint(ctx, *rec, i, ports)
		if err != nil {
			return err
		}
		ifaces = append(ifaces, iface)
	}
	if publisher >= 0 && len(rec.Ports) > 0 { // the record has got its published ports meanwhile
		now, err := s.loadRecord(rec.ID)
		if err != nil {
			return err
		}
		*rec = now
	}
	rec.Interfaces, rec.Done = ifaces, true
	if err := s.saveRecord(*rec); err != nil {
		return err
	}
	return s.writeNames(rec.Attachment)
}

// Detach undoes Attach, in this order: published ports, names, interfaces, addresses, and at last the record. It works from the
// record, also when the namespace or the links are gone; what is gone already is no error, nor is an unknown id. If something
// cannot be undone the record stays, so that it is tried again.
func (s *Stack) Detach(ctx context.Context, id string) error {
	rec, err := s.loadRecord(id)
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
	errs := []error{s.removeNames(rec.Attachment)}
	for i := len(rec.Endpoints) - 1; i >= 0; i-- {
		errs = append(errs, s.delEndpoint(ctx, rec, i))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot detach %q from its networks: %w", rec.Owner, err)
	}
	return s.dropRecord(ctx, id)
}
