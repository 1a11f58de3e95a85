package netstack

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
)

// Rebuild makes bridges and rules from state: what is missing is made, the table is replaced in one transaction, and the pods'
// interfaces are put back into their bridges. It is for repair and for after a flush; connections go on.
func (s *Stack) Rebuild(ctx context.Context) error {
	unlock, err := s.lockToUndo(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	networks, err := s.Networks()
	if err != nil {
		return err
	}
	return s.rebuildAll(ctx, networks)
}

// Heal is Rebuild where it is needed: it returns what was wrong, "" if nothing was. A bridge that nobody is attached to may be
// missing, since the next attachment makes it.
func (s *Stack) Heal(ctx context.Context) (fault string, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	networks, err := s.Networks()
	if err != nil {
		return "", err
	}
	if fault, err = s.bridgeFault(networks); err != nil {
		return "", err
	}
	bridges := bridgesOf(networks)
	if fault == "" {
		fault, err = s.firewall.Fault(bridges)
	}
	if err == nil {
		err = s.firewall.MakeWay(bridges)
	}
	if err != nil || fault == "" {
		return "", err
	}
	return fault, s.rebuildAll(ctx, networks)
}

// bridgeFault names a bridge that does not stand although pods are attached to it.
func (s *Stack) bridgeFault(networks map[string]api.Network) (string, error) {
	recs, err := s.records.all()
	if err != nil {
		return "", err
	}
	seen := map[string]bool{}
	for _, r := range recs {
		for _, e := range r.Endpoints {
			n := networks[e.Network]
			if n.Bridge == "" || seen[n.Name] {
				continue
			}
			seen[n.Name] = true
			if _, stands := s.links.bridgeStands(n); !stands {
				return fmt.Sprintf("bridge %s of network %q is missing, down or without its address", n.Bridge, n.Name), nil
			}
		}
	}
	return "", nil
}

// rebuildAll needs the net lock.
func (s *Stack) rebuildAll(ctx context.Context, networks map[string]api.Network) error {
	var errs []error
	for _, n := range networks {
		if isBridge(n) {
			errs = append(errs, s.links.ensureBridge(n))
		}
	}
	return errors.Join(append(errs, s.firewall.Rebuild(bridgesOf(networks)), s.replug(ctx, networks))...)
}

// replug puts the host's ends of the attachments back into bridges that were made anew.
func (s *Stack) replug(ctx context.Context, networks map[string]api.Network) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	recs, err := s.records.all()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range recs {
		for _, iface := range r.Interfaces {
			n := networks[iface.Network]
			port, err := linkByName(iface.HostIf)
			// Check reports one that is gone; those that a plugin made are told by the record alone.
			if err == nil && port != nil && n.Bridge != "" && (r.Exec || s.links.ownsVeth(port, r.ID, iface.Name, true)) {
				err = plug(ctx, h, port, n.Bridge)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func plug(ctx context.Context, h *netlink.Handle, port netlink.Link, bridge string) error {
	b, err := h.LinkByName(bridge)
	if err != nil || port.Attrs().MasterIndex == b.Attrs().Index {
		return err
	}
	return errors.Join(h.LinkSetMaster(port, b), h.LinkSetHairpin(port, true), h.LinkSetUp(port), awaitCarrier(ctx, h, port.Attrs().Name, bridge))
}
