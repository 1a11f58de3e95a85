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

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
)

// bridgeStands reports whether the interface of n is its bridge, is up and has its address. The link is nil if there is none.
func (s *Stack) bridgeStands(n Network) (link netlink.Link, stands bool) {
	link, err := linkByName(n.Bridge)
	if err != nil || link == nil {
		return nil, false
	}
	ours := link.Attrs().Alias == s.bridgeMark(n)
	if n.Lent != nil {
		localnet, err := readSysctl(localnetKey(n))
		ours = n.Internal || err == nil && localnet == "1"
	}
	return link, ours && link.Type() == "bridge" && link.Attrs().Flags&net.FlagUp != 0 && hasAddrs(link, bridgeAddrs(n))
}

// bridgeLinkLocal is the address from which a bridge with IPv6 asks for its pods' hardware addresses when it forwards.
var bridgeLinkLocal = netip.MustParsePrefix("fe80::1/64")

// bridgeAddrs are the addresses that podc gives the bridge of n: the gateways of its subnets.
func bridgeAddrs(n Network) []netip.Prefix {
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
func (s *Stack) ensureBridge(n Network) error {
	fail := func(err error) error { return fmt.Errorf("cannot make bridge %s: %w", n.Bridge, err) }
	link, stands := s.bridgeStands(n)
	if stands {
		return nil
	}
	if link != nil && n.Lent == nil && !s.ownsBridge(link, n) {
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
		if link, err = makeBridge(h, n); err != nil {
			return fail(err)
		}
	}
	if err := h.LinkSetAlias(link, s.bridgeMark(n)); err != nil {
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

func makeBridge(h *netlink.Handle, n Network) (netlink.Link, error) {
	used, err := hostRanges()
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

// bridgeSysctls lets 127.0.0.1 be translated into the bridge and pods be forwarded. IPv6 is off where the network has none;
// router advertisements are never taken from a pod.
func bridgeSysctls(n Network) error {
	err := ipv6Sysctls(n.Bridge, n.IPv6)
	if n.Internal {
		return err
	}
	return errors.Join(err, setSysctl(localnetKey(n), "1", false), forward(n))
}

// forward lets the host forward the packets of n.
func forward(n Network) error {
	err := setSysctl("ipv4/ip_forward", "1", false)
	if n.IPv6 {
		err = errors.Join(err, forwardIPv6())
	}
	return err
}

// ipv6Sysctls makes an interface of the current namespace have IPv6 or none. Addresses are not probed for duplicates before
// they can be used, which takes the kernel a second or two: podc gives none twice.
func ipv6Sysctls(ifname string, on bool) error {
	dir := "ipv6/conf/" + ifname + "/"
	if !on {
		return setSysctl(dir+"disable_ipv6", "1", true)
	}
	return errors.Join(setSysctl(dir+"accept_dad", "0", false), setSysctl(dir+"accept_ra", "0", false), setSysctl(dir+"disable_ipv6", "0", false))
}

// forwardIPv6 turns forwarding on. A host that forwards no longer believes router advertisements, from which it may have its own
// default route: interfaces that did so are told to go on.
func forwardIPv6() error {
	now, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
	if err != nil {
		return fmt.Errorf("this host has no IPv6: %w", err)
	}
	if strings.TrimSpace(string(now)) == "1" {
		return nil
	}
	all, err := listDir("/proc/sys/net/ipv6/conf")
	if err != nil {
		return err
	}
	for _, ifname := range all {
		key := "ipv6/conf/" + ifname + "/accept_ra"
		if b, err := os.ReadFile("/proc/sys/net/" + key); err == nil && strings.TrimSpace(string(b)) == "1" && ifname != "all" {
			if err := setSysctl(key, "2", true); err != nil {
				return err
			}
		}
	}
	return setSysctl("ipv6/conf/all/forwarding", "1", false)
}

// address is a, usable at once.
func address(a netip.Prefix) *netlink.Addr {
	out := &netlink.Addr{IPNet: ipNet(a)}
	if a.Addr().Is6() {
		out.Flags = unix.IFA_F_NODAD
	}
	return out
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

func linkExists(name string) bool {
	link, err := linkByName(name)
	return err == nil && link != nil
}

// bridgeAdd answers the plugin bridge's ADD: a lease, a pair of interfaces, an address and, for the first network with a way
// out, the default route.
func (s *Stack) bridgeAdd(ctx context.Context, conf pluginConf, args cniArgs) (*types100.Result, error) {
	static, mac, err := wanted(conf.RuntimeConfig)
	if err != nil {
		return nil, err
	}
	leases, err := s.lease(ctx, conf, args.id, args.ifname, static)
	if err != nil {
		return nil, err
	}
	if mac == nil {
		// Derived from the address, so that whoever still has it in a neighbour table finds its next holder.
		mac = macOf(leases[0].address.Addr())
	}
	hostIf := s.vethName(args.id, args.ifname)
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := s.addVeth(h, conf, args, hostIf, mac); err != nil {
		return nil, err
	}
	if err := inNetNS(args.netns, func() error { return configure(args.ifname, leases) }); err != nil {
		return nil, fmt.Errorf("cannot configure %s: %w", args.ifname, err)
	}
	if err := settle(ctx, h, hostIf, conf.Bridge); err != nil {
		return nil, fmt.Errorf("interface %s does not come up: %w", hostIf, err)
	}
	index := 2
	res := &types100.Result{
		CNIVersion: cniVersion,
		Interfaces: []*types100.Interface{{Name: conf.Bridge}, {Name: hostIf}, {Name: args.ifname, Mac: mac.String(), Sandbox: args.netns}},
	}
	for _, l := range leases {
		gateway := net.IP(l.gateway.AsSlice())
		res.IPs = append(res.IPs, &types100.IPConfig{Interface: &index, Address: *ipNet(l.address), Gateway: gateway})
		if conf.waysOut() { // see setRoutes
			any := netip.PrefixFrom(l.gateway, 0).Masked()
			res.Routes = append(res.Routes, &types.Route{Dst: *ipNet(any), GW: gateway})
		}
	}
	return res, nil
}

// wanted reads the static addresses and the MAC that the caller asked for.
func wanted(rc runtimeConf) (ips []netip.Addr, mac net.HardwareAddr, err error) {
	for _, text := range rc.IPs {
		p, err := netip.ParsePrefix(text)
		ip := p.Addr()
		if err != nil {
			if ip, err = netip.ParseAddr(text); err != nil {
				return nil, nil, err
			}
		}
		ips = append(ips, ip)
	}
	if rc.Mac != "" {
		mac, err = net.ParseMAC(rc.Mac)
	}
	return ips, mac, err
}

// vethName names the host's end of an interface.
func (s *Stack) vethName(id, ifname string) string { return s.hostName("v", id+" "+ifname) }

// addVeth makes a pair of interfaces with one message: one end in the bridge and up, the other in the pod's namespace.
func (s *Stack) addVeth(h *netlink.Handle, conf pluginConf, args cniArgs, hostIf string, mac net.HardwareAddr) error {
	fail := func(err error) error { return fmt.Errorf("cannot make interface %s: %w", hostIf, err) }
	ns, err := os.Open(args.netns)
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	bridge, err := h.LinkByName(conf.Bridge)
	if err != nil {
		return fail(fmt.Errorf("bridge %s: %w", conf.Bridge, err))
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.HardwareAddr = hostIf, conf.MTU, bridge.Attrs().Index, s.vethMAC(args.id, args.ifname)
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: args.ifname, PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(int(ns.Fd()))}
	if err := h.LinkAdd(veth); err != nil {
		return fail(err)
	}
	if err := h.LinkSetAlias(veth, s.vethMark(args.id, args.ifname)); err != nil {
		return fail(err)
	}
	// Before the link goes up, or it would announce itself with IPv6.
	if err := setSysctl("ipv6/conf/"+hostIf+"/disable_ipv6", "1", true); err != nil {
		return fail(err)
	}
	if conf.HairpinMode {
		// A pod that calls its own published port gets the frame back through the port it sent it by.
		if err := h.LinkSetHairpin(veth, true); err != nil {
			return fail(fmt.Errorf("hairpin mode: %w", err))
		}
	}
	if conf.PortIsolation {
		if err := h.LinkSetIsolated(veth, true); err != nil {
			return fail(fmt.Errorf("isolation: %w", err))
		}
	}
	if err := h.LinkSetUp(veth); err != nil {
		return fail(err)
	}
	return nil
}

// configure runs inside the pod's namespace.
func configure(ifname string, leases []lease) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(ifname)
	if err != nil {
		return err
	}
	v6 := slices.ContainsFunc(leases, func(l lease) bool { return l.address.Addr().Is6() })
	if err := ipv6Sysctls(ifname, v6); err != nil {
		return err
	}
	for _, l := range leases {
		if err := h.AddrAdd(link, address(l.address)); err != nil {
			return fmt.Errorf("address %s: %w", l.address, err)
		}
	}
	return h.LinkSetUp(link)
}

// bridgeDel answers the plugin bridge's DEL. It needs neither the namespace nor the links to exist.
func (s *Stack) bridgeDel(ctx context.Context, conf pluginConf, args cniArgs) error {
	if err := s.removeVeth(args.id, args.ifname, len(prevIPs(conf)) > 0); err != nil {
		return err
	}
	if conf.IPAM == nil {
		return nil
	}
	return releaseLeases(ctx, s.leaseDir(conf.Name), prevIPs(conf), args.id, args.ifname)
}

// prevIPs are the addresses that an interface got, according to the cached result; none if that is gone.
func prevIPs(conf pluginConf) []netip.Addr {
	res, err := types100.NewResult(conf.PrevResult)
	if err != nil {
		return nil
	}
	r, err := types100.GetResult(res)
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, ip := range r.IPs {
		if a, ok := netip.AddrFromSlice(ip.Address.IP); ok {
			list = append(list, a.Unmap())
		}
	}
	return list
}

// macOf makes a locally administered hardware address from the last four bytes of an address.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{0x02, 0x42}, b[len(b)-4:]...)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
