package netstack

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
)

// Which interfaces of the host are podc's. A name proves nothing: users choose those of bridges, and others may have taken one.
// So each interface that podc makes bears a mark, its alias, with the root's id and what it is for; what bears none, or another,
// is never changed beyond what its network says (see Lent), and never removed. The mark follows the making of an interface: until
// then its hardware address, which the kernel takes with the making, tells it, as it does for those of podc's earlier versions.

// maxAlias is the kernel's limit of the length of an alias.
const maxAlias = 255

func (s *Stack) linkMark(of string) string {
	mark := s.markPrefix() + of
	return mark[:min(len(mark), maxAlias)]
}

// markPrefix begins the marks of this root.
func (s *Stack) markPrefix() string { return "podc " + s.cfg.RootID + " " }

func (s *Stack) bridgeMark(n Network) string       { return s.linkMark("network " + n.Name) }
func (s *Stack) vethMark(id, ifname string) string { return s.linkMark(ifname + " of " + id) }
func (s *Stack) marked(l netlink.Link) bool {
	return strings.HasPrefix(l.Attrs().Alias, s.markPrefix())
}
func hasMAC(l netlink.Link, m net.HardwareAddr) bool { return bytes.Equal(l.Attrs().HardwareAddr, m) }

// ownsBridge reports whether a link is the bridge that podc made for n.
func (s *Stack) ownsBridge(l netlink.Link, n Network) bool {
	alias := l.Attrs().Alias
	return n.Lent == nil && l.Type() == "bridge" && (alias == s.bridgeMark(n) || alias == "" && len(n.Subnets) > 0 && hasMAC(l, bridgeMAC(n)))
}

// ownsVeth reports whether a link is the host's end of an interface. made says that it is on record as made, which earlier
// versions of podc did without a mark.
func (s *Stack) ownsVeth(l netlink.Link, id, ifname string, made bool) bool {
	alias := l.Attrs().Alias
	return l.Type() == "veth" && (alias == s.vethMark(id, ifname) || alias == "" && (made || hasMAC(l, s.vethMAC(id, ifname))))
}

// bridgeMAC is the hardware address of a network's bridge. One that is given stays; otherwise a bridge takes the lowest of its
// ports and changes as pods come and go.
func bridgeMAC(n Network) net.HardwareAddr { return macOf(n.Subnets[0].Gateway) }

// vethMAC is the hardware address of the host's end of an interface: no lower than those of other ports, since a bridge of somebody
// else's may take the lowest.
func (s *Stack) vethMAC(id, ifname string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(s.vethMark(id, ifname)))
	return append(net.HardwareAddr{0xfe}, sum[:5]...)
}

// removeOwn removes an interface of the host if own says that it is podc's; a missing one is no error.
func (s *Stack) removeOwn(name string, own func(netlink.Link) bool) error {
	link, err := linkByName(name)
	if err != nil || link == nil || !own(link) {
		return err
	}
	return s.gone.remove(link)
}

// removeVeth removes the host's end of an interface; see ownsVeth.
func (s *Stack) removeVeth(id, ifname string, made bool) error {
	return s.removeOwn(s.vethName(id, ifname), func(l netlink.Link) bool { return s.ownsVeth(l, id, ifname, made) })
}

// linkByName returns an interface, nil if there is none.
func linkByName(name string) (netlink.Link, error) {
	if name == "" {
		return nil, nil
	}
	link, err := netlink.LinkByName(name)
	if isGone(err) {
		return nil, nil
	}
	return link, err
}

// claimBridge sees to it that n can have its bridge: that there is no interface of that name, or a bridge that was named to be
// used. Anything else is refused, and left.
func (s *Stack) claimBridge(n Network, leaving []Network) (Network, netlink.Link, error) {
	link, err := linkByName(n.Bridge)
	if err != nil || link == nil {
		return n, nil, err
	}
	alias := link.Attrs().Alias
	switch {
	case alias == s.bridgeMark(n): // of a network of which the record was lost
		return n, nil, nil
	case slices.ContainsFunc(leaving, func(l Network) bool { return l.Bridge == n.Bridge }):
		return n, nil, nil
	case strings.HasPrefix(alias, "podc "):
		return n, nil, fault.New(errdefs.ErrConflict, "bridge %s belongs to another network of podc's (%s)", n.Bridge, alias)
	case link.Type() != "bridge" || n.Options[optionBridge] == "":
		return n, nil, fault.New(errdefs.ErrConflict, "interface %s exists, a %s that podc did not make: it is left alone (the driver option %s names another)",
			n.Bridge, link.Type(), optionBridge)
	}
	n.Lent = &Lent{Up: link.Attrs().Flags&net.FlagUp == 0}
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
func subnetsOfLent(n Network, link netlink.Link) (Network, []netip.Prefix, error) {
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
		i := slices.IndexFunc(n.Subnets, func(sub Subnet) bool { return sub.CIDR.IsValid() && sub.CIDR.Addr().Is6() == v6 })
		switch {
		case i < 0:
			n.Subnets = append(n.Subnets, Subnet{CIDR: p.Masked(), Gateway: p.Addr()})
		case n.Subnets[i].CIDR.Contains(p.Addr()) && !n.Subnets[i].Gateway.IsValid():
			n.Subnets[i].Gateway = p.Addr()
		}
	}
	return n, ranges, nil
}

// completeLent settles what podc has to add to a bridge of somebody else's. The subnets of n are settled.
func completeLent(n Network) error {
	for _, sub := range n.Subnets {
		if !slices.ContainsFunc(n.Lent.Held, sub.CIDR.Contains) {
			n.Lent.Addrs = append(n.Lent.Addrs, netip.PrefixFrom(sub.Gateway, sub.CIDR.Bits()))
		}
	}
	off, err := readSysctl("ipv6/conf/" + n.Bridge + "/disable_ipv6")
	if n.IPv6 && (err != nil || off == "1") {
		return fault.New(errdefs.ErrFailedPrecondition, "IPv6 is off on bridge %s", n.Bridge)
	}
	localnet, err := readSysctl(localnetKey(n))
	n.Lent.Localnet = !n.Internal && err == nil && localnet == "0"
	return nil
}

func localnetKey(n Network) string { return "ipv4/conf/" + n.Bridge + "/route_localnet" }

// borrowBridge makes a bridge of somebody else's serve n. Idempotent.
func borrowBridge(h *netlink.Handle, n Network, link netlink.Link) error {
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
		if err := errors.Join(forward(n), setSysctl(localnetKey(n), "1", false)); err != nil {
			return err
		}
	}
	return h.LinkSetUp(link)
}

// returnBridge undoes borrowBridge. Idempotent.
func returnBridge(n Network) error {
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
		errs = append(errs, setSysctl(localnetKey(n), "0", true))
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
