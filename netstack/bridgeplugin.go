package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/lease"
)

// bridgeAdd answers the plugin bridge's ADD: a lease, a pair of interfaces, an address and, for the first network with a way
// out, the default route.
func (pl *plugins) bridgeAdd(ctx context.Context, conf pluginConf, args cniArgs) (*types100.Result, error) {
	static, mac, err := wanted(conf.RuntimeConfig)
	if err != nil {
		return nil, err
	}
	if conf.IPAM == nil {
		return nil, fmt.Errorf("network %q has no address range", conf.Name)
	}
	leases, err := lease.Folder(filepath.Join(conf.IPAM.DataDir, conf.Name)).Take(ctx, conf.IPAM.Ranges, static,
		lease.Holder{ID: args.id, Interface: args.ifname}, pl.records.ownerOf)
	if err != nil {
		return nil, err
	}
	if mac == nil {
		// Derived from the address, so that whoever still has it in a neighbour table finds its next holder.
		mac = macOf(leases[0].Address.Addr())
	}
	hostIf := pl.links.vethName(args.id, args.ifname)
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := pl.links.addVeth(h, conf, args, hostIf, mac); err != nil {
		return nil, err
	}
	if err := kernel.InNetNS(args.netns, func() error { return configure(args.ifname, leases) }); err != nil {
		return nil, fmt.Errorf("cannot configure %s: %w", args.ifname, err)
	}
	if err := awaitCarrier(ctx, h, hostIf, conf.Bridge); err != nil {
		return nil, fmt.Errorf("interface %s does not come up: %w", hostIf, err)
	}
	index := 2
	res := &types100.Result{
		CNIVersion: cniVersion,
		Interfaces: []*types100.Interface{{Name: conf.Bridge}, {Name: hostIf}, {Name: args.ifname, Mac: mac.String(), Sandbox: args.netns}},
	}
	for _, l := range leases {
		gateway := net.IP(l.Gateway.AsSlice())
		res.IPs = append(res.IPs, &types100.IPConfig{Interface: &index, Address: *ipNet(l.Address), Gateway: gateway})
		if conf.waysOut() { // see podside.go
			any := netip.PrefixFrom(l.Gateway, 0).Masked()
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

// addVeth makes a pair of interfaces with one message: one end in the bridge and up, the other in the pod's namespace.
func (hl *hostLinks) addVeth(h *netlink.Handle, conf pluginConf, args cniArgs, hostIf string, mac net.HardwareAddr) error {
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
	attrs.Name, attrs.MTU, attrs.MasterIndex, attrs.HardwareAddr = hostIf, conf.MTU, bridge.Attrs().Index, hl.vethMAC(args.id, args.ifname)
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: args.ifname, PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(int(ns.Fd()))}
	if err := h.LinkAdd(veth); err != nil {
		return fail(err)
	}
	if err := h.LinkSetAlias(veth, hl.vethMark(args.id, args.ifname)); err != nil {
		return fail(err)
	}
	// Before the link goes up, or it would announce itself with IPv6.
	if err := kernel.SetSysctl("net/ipv6/conf/"+hostIf+"/disable_ipv6", "1", true); err != nil {
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

// isolate keeps the host's end of an interface from its neighbours on the bridge.
func isolate(hostIf string) error {
	link, err := netlink.LinkByName(hostIf)
	if err != nil {
		return err
	}
	return netlink.LinkSetIsolated(link, true)
}

// bridgeDel answers the plugin bridge's DEL. It needs neither the namespace nor the links to exist.
func (pl *plugins) bridgeDel(ctx context.Context, conf pluginConf, args cniArgs) error {
	if err := pl.links.removeVeth(args.id, args.ifname, len(prevIPs(conf)) > 0); err != nil {
		return err
	}
	if conf.IPAM == nil {
		return nil
	}
	return pl.leases(conf.Name).Release(ctx, prevIPs(conf), lease.Holder{ID: args.id, Interface: args.ifname})
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
