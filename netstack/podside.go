package netstack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/firewall"
	"podc.example/podc/netstack/lease"
)

// prepareInside makes ready the namespace in which the caller is. Plugins wait until addresses of IPv6 can be used, which would
// take seconds if they were probed for duplicates.
func prepareInside(v6 bool) error {
	if err := bringUpLoopback(); err != nil || !v6 {
		return err
	}
	return kernel.SetSysctl("net/ipv6/conf/default/accept_dad", "0", true)
}

// finishInside completes the namespace of r, in which the caller is, once all interfaces are there: further addresses, settings
// of interfaces, and the default routes. It may be repeated.
func finishInside(r record, networks []api.Network) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	for i, e := range r.Endpoints {
		if err := finishEndpoint(h, e, r.ifName(i)); err != nil {
			return fmt.Errorf("network %q: %w", e.Network, err)
		}
	}
	for _, v6 := range firewall.Families {
		if err := setRoute(h, r, v6); err != nil {
			return err
		}
	}
	return nil
}

// Prefix lengths of link-local addresses, as docker has them.
const (
	linkLocalBits4 = 16
	linkLocalBits6 = 64
)

func finishEndpoint(h *netlink.Handle, e api.Endpoint, ifname string) error {
	if len(e.LinkLocal) > 0 {
		link, err := h.LinkByName(ifname)
		if err != nil {
			return err
		}
		for _, a := range e.LinkLocal {
			bits := linkLocalBits4
			if a.Is6() {
				bits = linkLocalBits6
				if err := ipv6Sysctls(ifname, true); err != nil {
					return err
				}
			}
			if err := h.AddrReplace(link, address(netip.PrefixFrom(a, bits))); err != nil {
				return fmt.Errorf("link-local address %s: %w", a, err)
			}
		}
	}
	if list := e.Options[endpointSysctls]; list != "" {
		settings, err := parseSysctls(list, ifname)
		if err != nil {
			return err
		}
		for _, s := range settings {
			if err := kernel.SetSysctl(s.key, s.value, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// setRoute makes the default route of a family be the one of the endpoint that comes first, if it is known.
func setRoute(h *netlink.Handle, r record, v6 bool) error {
	best := -1
	for i, w := range r.Ways {
		if w.of(v6).IsValid() && (best < 0 || r.Endpoints[i].GwPriority > r.Endpoints[best].GwPriority) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	link, err := h.LinkByName(r.ifName(best))
	if err != nil {
		return err
	}
	want := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IP(r.Ways[best].of(v6).AsSlice())}
	if err := h.RouteAdd(want); !errors.Is(err, os.ErrExist) {
		return defaultRouteError(want, err)
	}
	family := firewall.ByFamily(v6, netlink.FAMILY_V4, netlink.FAMILY_V6)
	routes, err := dump(func() ([]netlink.Route, error) { return h.RouteList(nil, family) })
	if err != nil {
		return err
	}
	stands := false
	for _, old := range routes {
		switch {
		case old.Dst != nil && old.Dst.IP != nil && !isDefault(old.Dst):
		case old.LinkIndex == want.LinkIndex && old.Gw.Equal(want.Gw):
			stands = true
		default: // that of a plugin, or of an endpoint that came first before
			if err := h.RouteDel(&old); err != nil && !isGone(err) {
				return defaultRouteError(&old, err)
			}
		}
	}
	if stands {
		return nil
	}
	return defaultRouteError(want, h.RouteAdd(want))
}

func defaultRouteError(r *netlink.Route, err error) error {
	if err != nil {
		return fmt.Errorf("default route by %s: %w", r.Gw, err)
	}
	return nil
}

func isDefault(n *net.IPNet) bool {
	ones, _ := n.Mask.Size()
	return ones == 0
}

// bringUpLoopback is all that a namespace without networks needs.
func bringUpLoopback() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err == nil {
		err = h.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("cannot bring up lo: %w", err)
	}
	return nil
}

// configure runs inside the pod's namespace.
func configure(ifname string, leases []lease.Lease) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(ifname)
	if err != nil {
		return err
	}
	v6 := slices.ContainsFunc(leases, func(l lease.Lease) bool { return l.Address.Addr().Is6() })
	if err := ipv6Sysctls(ifname, v6); err != nil {
		return err
	}
	for _, l := range leases {
		if err := h.AddrAdd(link, address(l.Address)); err != nil {
			return fmt.Errorf("address %s: %w", l.Address, err)
		}
	}
	return h.LinkSetUp(link)
}
