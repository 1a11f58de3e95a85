package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// named is a network that asks for a bridge by name.
func named(name, bridge string) api.Network {
	return api.Network{Name: name, Options: map[string]string{optionBridge: bridge}}
}

// linkState is what podc could change of an interface.
func linkState(t *testing.T, name string) string {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V4)
	must(t, err)
	localnet, err := kernel.Sysctl("net/ipv4/conf/" + name + "/route_localnet")
	must(t, err)
	a := link.Attrs()
	return fmt.Sprintln(link.Type(), a.Alias, a.HardwareAddr, a.MTU, a.Flags&net.FlagUp, addrs, localnet)
}

// Whatever bears the name of a bridge and was not made by podc stays as it is.
func TestForeignInterfacesAreLeft(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	derived := l.links.hostName("b", "derived")
	run(t, "ip", "link", "add", "x-veth", "type", "veth", "peer", "name", "x-peer")
	run(t, "ip", "link", "add", "x-vxlan", "type", "vxlan", "id", "7", "dstport", "4789")
	run(t, "ip", "link", "add", derived, "type", "bridge")
	run(t, "ip", "addr", "add", "10.77.0.1/24", "dev", "x-peer")
	addLink(t, "x-podc", "podc ffffffff network theirs")
	for _, n := range []api.Network{named("a", "x-veth"), named("b", "x-vxlan"), named("c", "x-peer"), named("d", "x-podc"), {Name: "derived"}} {
		name := n.Options[optionBridge]
		if name == "" {
			name = derived
		}
		before := linkState(t, name)
		_, err := l.CreateNetwork(t.Context(), n)
		wantError(t, err, errdefs.ErrConflict, name)
		if all, err := l.Networks(); err != nil || len(all) > 0 {
			t.Errorf("%s: %v %v", name, all, err)
		}
		must(t, l.GC(t.Context(), nil))
		if after := linkState(t, name); after != before {
			t.Errorf("%s was\n%s\nand is\n%s", name, before, after)
		}
	}
	// One that takes the place of podc's own is left too, by repair and by removal.
	n := l.network(named("mine", "x-mine"))
	run(t, "ip", "link", "del", "x-mine")
	run(t, "ip", "link", "add", "x-mine", "type", "bridge")
	before := linkState(t, "x-mine")
	_, err := l.tryAttach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "mine"}}})
	wantError(t, err, errdefs.ErrFailedPrecondition, "podc did not make")
	must(t, l.RemoveNetwork(t.Context(), n.Name))
	if after := linkState(t, "x-mine"); after != before {
		t.Errorf("x-mine was\n%s\nand is\n%s", before, after)
	}
	run(t, "ip", "link", "del", derived)
	l.clean()
}

// A veth of somebody else's with the name that podc would give is neither taken nor removed.
func TestForeignVethIsLeft(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net"})
	name := l.links.vethName("pod", "eth0")
	run(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "x-peer")
	if _, err := l.tryAttach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net"}}}); err == nil {
		t.Error("attached by a foreign interface")
	}
	if !linkExists(name) {
		t.Error("it was removed")
	}
	run(t, "ip", "link", "del", name)
	l.clean()
}

// Interfaces that an earlier version of podc made, which bear no mark, become its own.
func TestEarlierVersionsInterfacesAreAdopted(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	n := l.network(api.Network{Name: "net"})
	gone := l.network(api.Network{Name: "gone"})
	a := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net"}}})
	for _, name := range []string{n.Bridge, gone.Bridge, a.Interfaces[0].HostIf} {
		run(t, "ip", "link", "set", "dev", name, "alias", "")
	}
	run(t, "ip", "link", "set", "dev", a.Interfaces[0].HostIf, "address", "02:00:00:00:00:99")
	must(t, l.RemoveNetwork(t.Context(), "gone"))
	if linkExists(gone.Bridge) {
		t.Error("a bridge without a mark is left")
	}
	l.attach(api.Attachment{ID: "next", Endpoints: []api.Endpoint{{Network: "net"}}})
	if link, err := netlink.LinkByName(n.Bridge); err != nil || link.Attrs().Alias != "podc 0a1b2c3d network net" {
		t.Errorf("bridge %v %v", link, err)
	}
	must(t, l.Detach(t.Context(), "pod"))
	if linkExists(a.Interfaces[0].HostIf) {
		t.Error("an interface without a mark is left")
	}
	l.clean()
}

// A bridge of somebody else's that a driver option names is used, and then is what it was.
func TestLentBridge(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	l.serve(lan, "tcp", ":80", "lan")
	for _, cmd := range []string{"link add x-bare address 02:66:00:00:00:02 type bridge", "link add x-full type bridge", "link set x-full up mtu 1400 address 02:66:00:00:00:01",
		"addr add 10.66.0.1/24 dev x-full", "addr add 10.66.0.2/24 dev x-full", "addr add fd66::1/64 dev x-full nodad"} {
		run(t, append([]string{"ip"}, strings.Fields(cmd)...)...)
	}
	bare, full := linkState(t, "x-bare"), linkState(t, "x-full")
	b := l.network(named("bare", "x-bare"))
	asked := named("full", "x-full")
	asked.IPv6 = true
	f := l.network(asked)
	if sub, _ := subnetOf(f, false); sub.CIDR != prefix("10.66.0.0/24") || sub.Gateway != mustAddr("10.66.0.1") || f.MTU != 1400 {
		t.Errorf("not the subnet of its bridge: %+v", f)
	}
	if b := bridgeOf(f); !b.Borrowed {
		t.Errorf("firewalld would trust %v", b)
	}
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "full"}, {Network: "bare"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	if got := addrOf(pod, 0); got != "10.66.0.3" {
		t.Errorf("address %s: the bridge has two of its own", got)
	}
	l.serve(pod.NetNS, "tcp", ":80", "pod")
	l.expect("", "tcp", "127.0.0.1:8080", "pod")
	l.expect(lan, "tcp", "192.0.2.2:8080", "pod")
	l.expect(pod.NetNS, "tcp", "192.0.2.1:80", "lan")
	l.expect("", "tcp", addrOf(pod, 1)+":80", "pod")
	// Gone and made anew, as at a reboot, it serves again.
	run(t, "ip", "link", "del", "x-bare")
	if p, err := l.Check(t.Context(), nil); err != nil || len(p) != 1 || p[0].Object != "x-bare" {
		t.Errorf("check: %v %v", p, err)
	}
	must(t, l.GC(t.Context(), nil)) // which cannot help
	run(t, "ip", "link", "add", "x-bare", "address", "02:66:00:00:00:02", "type", "bridge")
	must(t, l.Rebuild(t.Context()))
	l.expect("", "tcp", addrOf(pod, 1)+":80", "pod")
	must(t, l.Detach(t.Context(), "pod"))
	l.executedOn("full", lan)
	for _, n := range []api.Network{b, f} {
		must(t, l.RemoveNetwork(t.Context(), n.Name))
	}
	for name, before := range map[string]string{"x-full": full, "x-bare": bare} {
		if after := linkState(t, name); after != before {
			t.Errorf("%s was\n%s\nand is\n%s", name, before, after)
		}
	}
	l.clean()
}

// executedOn has the real plugins attach a pod, where they are installed: it reaches the LAN, and is reached.
func (l *lab) executedOn(network, lan string) {
	dir := "/usr/lib/cni"
	if !disk.Exists(dir + "/bridge") {
		return
	}
	l.plugins.dirs, l.plugins.exec = []string{dir}, true
	defer func() { l.plugins.exec = false }()
	pod := l.attach(api.Attachment{ID: "executed", Endpoints: []api.Endpoint{{Network: network}}, Ports: []api.Port{{HostPort: 8090, Container: 80, Protocol: "tcp"}}})
	l.serve(pod.NetNS, "tcp", ":80", "executed")
	l.expect(pod.NetNS, "tcp", "192.0.2.1:80", "lan")
	l.expect(lan, "tcp", "192.0.2.2:8090", "executed")
	must(l.t, l.Detach(l.t.Context(), "executed"))
}

// A subnet that the host takes between its choice and its use is chosen anew.
func TestSubnetIsChosenAnew(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	unlock, err := l.lock(t.Context())
	must(t, err)
	n, err := l.complete(api.Network{Name: "net"}, nil, nil)
	must(t, err)
	addLink(t, "x-other", "")
	run(t, "ip", "addr", "add", netip.PrefixFrom(n.Subnets[0].CIDR.Addr().Next(), 24).String(), "dev", "x-other")
	must(t, os.MkdirAll(l.networksDir(), 0o700))
	must(t, disk.WriteJSON(l.conflistPath("net"), l.conflistOf(n), disk.Durable))
	got, err := l.place(n)
	must(t, err)
	unlock()
	if got.Subnets[0].CIDR.Overlaps(n.Subnets[0].CIDR) {
		t.Errorf("got %s", got.Subnets[0].CIDR)
	}
	if kept, err := l.Network("net"); err != nil || kept.Subnets[0].CIDR != got.Subnets[0].CIDR {
		t.Errorf("on record: %+v %v", kept, err)
	}
	l.clean()
}
