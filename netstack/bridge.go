package netstack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// bridgeStands reports whether the interface of n is its bridge, is up and has its address. The link is nil if there is none.
func (hl *hostLinks) bridgeStands(n api.Network) (link netlink.Link, stands bool) {
	link, err := linkByName(n.Bridge)
	if err != nil || link == nil {
		return nil, false
	}
	ours := link.Attrs().Alias == hl.bridgeMark(n)
	if n.Lent != nil {
		localnet, err := kernel.Sysctl(localnetKey(n))
		ours = n.Internal || err == nil && localnet == "1"
	}
	return link, ours && link.Type() == "bridge" && link.Attrs().Flags&net.FlagUp != 0 && hasAddrs(link, bridgeAddrs(n))
}

// bridgeLinkLocal is the address from which a bridge with IPv6 asks for its pods' hardware addresses when it forwards.
var bridgeLinkLocal = netip.MustParsePrefix("fe80::1/64")

// bridgeAddrs are the addresses that podc gives the bridge of n: the gateways of its subnets.
func bridgeAddrs(n api.Network) []netip.Prefix {
	if n.Lent != nil {
		return n.Lent.Addrs
	}
	var list []netip.Prefix
	for _, sub := range n.Subnets {
		list = append(list, netip.PrefixFrom(sub.Gateway, sub.CIDR.Bits()))
	}
	if n.IPv6 {
		list = append(list, bridgeLinkLocal)
	}
	return list
}

// ensureBridge makes the bridge of n, with its address, where it is missing or half made. The net lock is held.
func (hl *hostLinks) ensureBridge(n api.Network) error {
	fail := func(err error) error { return fmt.Errorf("cannot make bridge %s: %w", n.Bridge, err) }
	link, stands := hl.bridgeStands(n)
	if stands {
		return nil
	}
	if link != nil && n.Lent == nil && !hl.ownsBridge(link, n) {
		return fail(fault.New(errdefs.ErrFailedPrecondition, "the interface exists, a %s that podc did not make: it is left alone", link.Type()))
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fail(err)
	}
	defer h.Close()
	if n.Lent != nil {
		if err := borrowBridge(h, n, link); err != nil {
			return fmt.Errorf("cannot use bridge %s: %w", n.Bridge, err)
		}
		return nil
	}
	if link == nil {
		if link, err = hl.makeBridge(h, n); err != nil {
			return fail(err)
		}
	}
	if err := h.LinkSetAlias(link, hl.bridgeMark(n)); err != nil {
		return fail(err)
	}
	if err := bridgeSysctls(n); err != nil {
		return fail(err)
	}
	for _, a := range bridgeAddrs(n) {
		if err := h.AddrReplace(link, address(a)); err != nil {
			return fail(fmt.Errorf("address %s: %w", a, err))
		}
	}
	if err := h.LinkSetUp(link); err != nil {
		return fail(err)
	}
	return nil
}

func (hl *hostLinks) makeBridge(h *netlink.Handle, n api.Network) (netlink.Link, error) {
	used, err := hl.host.ranges()
	if err != nil {
		return nil, err
	}
	// The bridge may be made long after the subnet was chosen: the host may have moved.
	for _, sub := range n.Subnets {
		if err := checkSubnet(sub.CIDR, used); err != nil {
			return nil, err
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = n.Bridge, n.MTU
	attrs.HardwareAddr = bridgeMAC(n)
	if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return nil, err
	}
	return h.LinkByName(n.Bridge)
}

// macOf makes a locally administered hardware address from the last four bytes of an address.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{0x02, 0x42}, b[len(b)-4:]...)
}

// claim sees to it that n can have its bridge: that there is no interface of that name, or a bridge that was named to be
// used. Anything else is refused, and left.
func (hl *hostLinks) claim(n api.Network, leaving []api.Network) (api.Network, netlink.Link, error) {
	link, err := linkByName(n.Bridge)
	if err != nil || link == nil {
		return n, nil, err
	}
	alias := link.Attrs().Alias
	switch {
	case alias == hl.bridgeMark(n): // of a network of which the record was lost
		return n, nil, nil
	case slices.ContainsFunc(leaving, func(l api.Network) bool { return l.Bridge == n.Bridge }):
		return n, nil, nil
	case strings.HasPrefix(alias, "podc "):
		return n, nil, fault.New(errdefs.ErrConflict, "bridge %s belongs to another network of podc's (%s)", n.Bridge, alias)
	case link.Type() != "bridge" || n.Options[optionBridge] == "":
		return n, nil, fault.New(errdefs.ErrConflict, "interface %s exists, a %s that podc did not make: it is left alone (the driver option %s names another)",
			n.Bridge, link.Type(), optionBridge)
	}
	n.Lent = &api.Lent{Up: link.Attrs().Flags&net.FlagUp == 0}
	if n.MTU == 0 {
		n.MTU = link.Attrs().MTU
	}
	return n, link, nil
}

// lentAddrs lists the addresses of a bridge of somebody else's, but for those that are valid on the link only.
func lentAddrs(link netlink.Link) ([]netip.Prefix, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	var list []netip.Prefix
	for _, a := range addrs {
		if p, ok := prefixWithHost(*a.IPNet); ok && !p.Addr().IsLinkLocalUnicast() {
			list = append(list, p)
		}
	}
	return list, err
}

// subnetsOfLent gives n, where it asks for none, the subnets that its bridge is in, and as gateways the bridge's addresses; it
// returns the ranges of the bridge, which are no obstacle.
func subnetsOfLent(n api.Network, link netlink.Link) (api.Network, []netip.Prefix, error) {
	has, err := lentAddrs(link)
	if err != nil {
		return n, nil, err
	}
	n.Subnets = slices.Clone(n.Subnets)
	var ranges []netip.Prefix
	for _, p := range has {
		v6 := p.Addr().Is6()
		ranges = append(ranges, p.Masked())
		n.Lent.Held = append(n.Lent.Held, p.Addr())
		if !hasFamily(n, v6) {
			continue
		}
		i := slices.IndexFunc(n.Subnets, func(sub api.Subnet) bool { return sub.CIDR.IsValid() && sub.CIDR.Addr().Is6() == v6 })
		switch {
		case i < 0:
			n.Subnets = append(n.Subnets, api.Subnet{CIDR: p.Masked(), Gateway: p.Addr()})
		case n.Subnets[i].CIDR.Contains(p.Addr()) && !n.Subnets[i].Gateway.IsValid():
			n.Subnets[i].Gateway = p.Addr()
		}
	}
	return n, ranges, nil
}

// completeLent settles what podc has to add to a bridge of somebody else's. The subnets of n are settled.
func completeLent(n api.Network) error {
	for _, sub := range n.Subnets {
		if !slices.ContainsFunc(n.Lent.Held, sub.CIDR.Contains) {
			n.Lent.Addrs = append(n.Lent.Addrs, netip.PrefixFrom(sub.Gateway, sub.CIDR.Bits()))
		}
	}
	off, err := kernel.Sysctl("net/ipv6/conf/" + n.Bridge + "/disable_ipv6")
	if n.IPv6 && (err != nil || off == "1") {
		return fault.New(errdefs.ErrFailedPrecondition, "IPv6 is off on bridge %s", n.Bridge)
	}
	localnet, err := kernel.Sysctl(localnetKey(n))
	n.Lent.Localnet = !n.Internal && err == nil && localnet == "0"
	return nil
}

// borrowBridge makes a bridge of somebody else's serve n. Idempotent.
func borrowBridge(h *netlink.Handle, n api.Network, link netlink.Link) error {
	if link == nil {
		return fault.New(errdefs.ErrFailedPrecondition, "it is gone, and was not made by podc: make it again")
	}
	if link.Type() != "bridge" {
		return fault.New(errdefs.ErrFailedPrecondition, "it was a bridge, and is a %s that podc did not make", link.Type())
	}
	for _, a := range n.Lent.Addrs {
		if err := h.AddrReplace(link, address(a)); err != nil {
			return fmt.Errorf("address %s: %w", a, err)
		}
	}
	if !n.Internal {
		if err := errors.Join(forward(n), kernel.SetSysctl(localnetKey(n), "1", false)); err != nil {
			return err
		}
	}
	return h.LinkSetUp(link)
}

// returnBridge undoes borrowBridge. Idempotent.
func returnBridge(n api.Network) error {
	link, err := linkByName(n.Bridge)
	if err != nil || link == nil || link.Type() != "bridge" {
		return err
	}
	var errs []error
	for _, a := range n.Lent.Addrs {
		if err := netlink.AddrDel(link, address(a)); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			errs = append(errs, fmt.Errorf("cannot take address %s from bridge %s: %w", a, n.Bridge, err))
		}
	}
	if n.Lent.Localnet {
		errs = append(errs, kernel.SetSysctl(localnetKey(n), "0", true))
	}
	if n.Lent.Up {
		errs = append(errs, downUnlessUsed(link))
	}
	return errors.Join(errs...)
}

// downUnlessUsed takes a bridge down in which nothing is plugged.
func downUnlessUsed(bridge netlink.Link) error {
	links, err := dump(netlink.LinkList)
	if err != nil || slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Attrs().MasterIndex == bridge.Attrs().Index }) {
		return err
	}
	return netlink.LinkSetDown(bridge)
}
