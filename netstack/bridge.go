package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// bridgeStands reports whether the interface of n is a bridge, is up and has its address. The link is nil if there is none.
func bridgeStands(n Network) (link netlink.Link, stands bool) {
	link, err := netlink.LinkByName(n.Bridge)
	if err != nil {
		return nil, false
	}
	return link, link.Type() == "bridge" && link.Attrs().Flags&net.FlagUp != 0 && hasAddr(link, bridgeAddr(n))
}

func bridgeAddr(n Network) *net.IPNet {
	return ipNet(netip.PrefixFrom(n.Subnets[0].Gateway, n.Subnets[0].CIDR.Bits()))
}

// ensureBridge makes the bridge of n, with its address, where it is missing or half made. The net lock is held.
func ensureBridge(n Network) error {
	fail := func(err error) error { return fmt.Errorf("cannot make bridge %s: %w", n.Bridge, err) }
	link, stands := bridgeStands(n)
	if stands {
		return nil
	}
	if link != nil && link.Type() != "bridge" {
		return fail(fmt.Errorf("the interface exists and is a %s", link.Type()))
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fail(err)
	}
	defer h.Close()
	if link == nil {
		if link, err = makeBridge(h, n); err != nil {
			return fail(err)
		}
	}
	if err := bridgeSysctls(n); err != nil {
		return fail(err)
	}
	if err := h.AddrReplace(link, &netlink.Addr{IPNet: bridgeAddr(n)}); err != nil {
		return fail(fmt.Errorf("address %s: %w", bridgeAddr(n), err))
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
	if err := checkSubnet(n.Subnets[0].CIDR, used); err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = n.Bridge, n.MTU
	// An address given once stays; otherwise the bridge takes the lowest of its ports and changes as pods come and go.
	attrs.HardwareAddr = macOf(n.Subnets[0].Gateway)
	if err := h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return h.LinkByName(n.Bridge)
}

// bridgeSysctls lets 127.0.0.1 be translated into the bridge, pods be forwarded, and keeps IPv6 off until podc serves it (no
// link-local address, no router advertisement taken from a pod).
func bridgeSysctls(n Network) error {
	err := setSysctl("ipv6/conf/"+n.Bridge+"/disable_ipv6", "1", true)
	if n.Internal {
		return err
	}
	return errors.Join(err,
		setSysctl("ipv4/conf/"+n.Bridge+"/route_localnet", "1", false),
		setSysctl("ipv4/ip_forward", "1", false))
}

func hasAddr(l netlink.Link, want *net.IPNet) bool {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_V4) })
	return err == nil && slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IPNet.String() == want.String() })
}

func linkExists(name string) bool {
	_, err := netlink.LinkByName(name)
	return err == nil
}

// bridgeAdd answers the plugin bridge's ADD: a lease, a pair of interfaces, an address and, for the first network with a way
// out, the default route.
func (s *Stack) bridgeAdd(ctx context.Context, conf pluginConf, args cniArgs) (*types100.Result, error) {
	static, mac, err := wanted(conf.RuntimeConfig)
	if err != nil {
		return nil, err
	}
	addr, gateway, err := s.lease(ctx, conf, args.id, args.ifname, static)
	if err != nil {
		return nil, err
	}
	if mac == nil {
		// Derived from the address, so that whoever still has it in a neighbour table finds its next holder.
		mac = macOf(addr.Addr())
	}
	hostIf := s.vethName(args.id, args.ifname)
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := addVeth(h, conf, args, hostIf, mac); err != nil {
		return nil, err
	}
	if err := inNetNS(args.netns, func() error { return configure(conf, args.ifname, addr, gateway) }); err != nil {
		return nil, fmt.Errorf("cannot configure %s: %w", args.ifname, err)
	}
	if err := settle(ctx, h, hostIf, conf.Bridge); err != nil {
		return nil, fmt.Errorf("interface %s does not come up: %w", hostIf, err)
	}
	index := 2
	return &types100.Result{
		CNIVersion: cniVersion,
		Interfaces: []*types100.Interface{{Name: conf.Bridge}, {Name: hostIf}, {Name: args.ifname, Mac: mac.String(), Sandbox: args.netns}},
		IPs:        []*types100.IPConfig{{Interface: &index, Address: *ipNet(addr), Gateway: net.IP(gateway.AsSlice())}},
	}, nil
}

// wanted reads the static address and the MAC that the caller asked for.
func wanted(rc runtimeConf) (ip netip.Addr, mac net.HardwareAddr, err error) {
	if len(rc.IPs) > 0 {
		p, perr := netip.ParsePrefix(rc.IPs[0])
		ip, err = p.Addr(), perr
		if perr != nil {
			ip, err = netip.ParseAddr(rc.IPs[0])
		}
	}
	if err == nil && rc.Mac != "" {
		mac, err = net.ParseMAC(rc.Mac)
	}
	return ip, mac, err
}

// vethName names the host's end of an interface.
func (s *Stack) vethName(id, ifname string) string { return s.hostName("v", id+" "+ifname) }

// addVeth makes a pair of interfaces with one message: one end in the bridge and up, the other in the pod's namespace.
func addVeth(h *netlink.Handle, conf pluginConf, args cniArgs, hostIf string, mac net.HardwareAddr) error {
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
	attrs.Name, attrs.MTU, attrs.MasterIndex = hostIf, conf.MTU, bridge.Attrs().Index
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: args.ifname, PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(int(ns.Fd()))}
	if err := h.LinkAdd(veth); err != nil {
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
	if err := h.LinkSetUp(veth); err != nil {
		return fail(err)
	}
	return nil
}

// configure runs inside the pod's namespace.
func configure(conf pluginConf, ifname string, addr netip.Prefix, gateway netip.Addr) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	link, err := h.LinkByName(ifname)
	if err != nil {
		return err
	}
	if err := setSysctl("ipv6/conf/"+ifname+"/disable_ipv6", "1", true); err != nil {
		return err
	}
	if err := h.AddrAdd(link, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
		return fmt.Errorf("address %s: %w", addr, err)
	}
	if err := h.LinkSetUp(link); err != nil {
		return err
	}
	if !conf.IsDefaultGateway {
		return nil
	}
	err = h.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.IP(gateway.AsSlice())})
	if errors.Is(err, os.ErrExist) { // an earlier interface has it
		return nil
	}
	if err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	return nil
}

// bridgeDel answers the plugin bridge's DEL. It needs neither the namespace nor the links to exist.
func (s *Stack) bridgeDel(ctx context.Context, conf pluginConf, args cniArgs) error {
	if err := s.gone.remove(s.vethName(args.id, args.ifname)); err != nil {
		return err
	}
	if conf.IPAM == nil {
		return nil
	}
	return releaseLease(ctx, s.leaseDir(conf.Name), prevIP(conf), args.id, args.ifname)
}

// prevIP is the address that an interface got, according to the cached result; zero if that is gone.
func prevIP(conf pluginConf) netip.Addr {
	res, err := types100.NewResult(conf.PrevResult)
	if err != nil {
		return netip.Addr{}
	}
	r, err := types100.GetResult(res)
	if err != nil || len(r.IPs) == 0 {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(r.IPs[0].Address.IP)
	return a.Unmap()
}

// macOf makes a locally administered hardware address from an IPv4 address.
func macOf(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 0x42, b[0], b[1], b[2], b[3]}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
