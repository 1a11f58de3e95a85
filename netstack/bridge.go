package netstack

import (
	"fmt"
	"net"
	"net/netip"

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
