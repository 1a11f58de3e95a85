package netstack

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dump repeats a netlink dump that a change in the meantime made inconsistent.
func dump[T any](f func() ([]T, error)) (all []T, err error) {
	for range 20 {
		if all, err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
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

func linkExists(name string) bool {
	link, err := linkByName(name)
	return err == nil && link != nil
}

func isGone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.As(err, new(netlink.LinkNotFoundError))
}

func hasAddrs(l netlink.Link, want []netip.Prefix) bool {
	family := netlink.FAMILY_V4
	if slices.ContainsFunc(want, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		family = netlink.FAMILY_ALL
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, family) })
	for _, w := range want {
		if err != nil || !slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IPNet.String() == w.String() }) {
			return false
		}
	}
	return true
}

func listRoutes(family, table int) ([]netlink.Route, error) {
	return dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
}

// uplinkMTU returns the MTU of the link that has the default route, or 1500.
func uplinkMTU() int {
	routes, err := listRoutes(netlink.FAMILY_ALL, unix.RT_TABLE_MAIN)
	if err != nil {
		return 1500
	}
	best, mtu := -1, 1500
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP != nil && !r.Dst.IP.IsUnspecified() || best >= 0 && r.Priority >= best {
			continue
		}
		if l, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			best, mtu = r.Priority, l.Attrs().MTU
		}
	}
	return mtu
}

// address is a, usable at once.
func address(a netip.Prefix) *netlink.Addr {
	out := &netlink.Addr{IPNet: ipNet(a)}
	if a.Addr().Is6() {
		out.Flags = unix.IFA_F_NODAD
	}
	return out
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p.Masked(), ok && p.IsValid()
}

func prefixWithHost(n net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p, ok && p.IsValid()
}

// carrierDeadline bounds the wait for interfaces to come up. Nothing is wrong when it passes, only a first packet may be lost.
const carrierDeadline = 2 * time.Second

// awaitCarrier returns when interfaces carry packets. The kernel brings a link up a little after both ends are: a packet sent
// before is dropped, and its sender, mostly a question for a hardware address, tries again a whole second later.
func awaitCarrier(ctx context.Context, h *netlink.Handle, names ...string) error {
	// Newer kernels finish bringing a link up before they answer a question about it.
	if up, err := allUp(h, names); up || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, carrierDeadline)
	defer cancel()
	changes := make(chan netlink.LinkUpdate, 64)
	if err := netlink.LinkSubscribe(changes, ctx.Done()); err != nil {
		return err
	}
	defer func() {
		go func() {
			for range changes {
			}
		}()
	}() // it ends when the subscription has noticed
	for {
		if up, err := allUp(h, names); up || err != nil {
			return err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return nil
		}
	}
}

func allUp(h *netlink.Handle, names []string) (bool, error) {
	for _, name := range names {
		l, err := h.LinkByName(name)
		if err != nil {
			return false, err
		}
		if s := l.Attrs().OperState; s != netlink.OperUp && s != netlink.OperUnknown {
			return false, nil
		}
	}
	return true, nil
}
