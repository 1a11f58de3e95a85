package netstack

import (
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// TestReach is the matrix of who reaches whom.
func TestReach(t *testing.T) {
	if onHost(t) {
		testReach(t)
	}
}

// The same on a host that bridges without the firewall and filters reverse paths strictly.
func TestReachStrict(t *testing.T) {
	if !onHost(t) {
		return
	}
	must(t, kernel.SetSysctl("net/bridge/bridge-nf-call-iptables", "0", true))
	must(t, kernel.SetSysctl("net/ipv4/conf/all/rp_filter", "1", false))
	must(t, kernel.SetSysctl("net/ipv4/conf/default/rp_filter", "1", false))
	testReach(t)
}

func testReach(t *testing.T) {
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	l.network(api.Network{Name: "front"})
	l.network(api.Network{Name: "back"})
	l.network(api.Network{Name: "inside", Internal: true})
	web := l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "front"}, {Network: "inside"}}, Ports: []api.Port{
		{HostPort: 8080, Container: 80, Protocol: "tcp"},
		{HostPort: 5353, Container: 53, Protocol: "udp"},
		{HostPort: 8081, Container: 80, Protocol: "tcp", HostIP: mustAddr("127.0.0.1")},
		{HostPort: 8082, Container: 80, Protocol: "tcp", HostIP: mustAddr("192.0.2.2")},
	}})
	peer := l.attach(api.Attachment{ID: "peer", Endpoints: []api.Endpoint{{Network: "front"}}})
	other := l.attach(api.Attachment{ID: "other", Endpoints: []api.Endpoint{{Network: "back"}}})
	db := l.attach(api.Attachment{ID: "db", Endpoints: []api.Endpoint{{Network: "inside"}}})
	for _, a := range []api.Attachment{web, peer, other, db} {
		l.serve(a.NetNS, "tcp", ":80", a.ID)
		l.serve(a.NetNS, "udp", ":53", a.ID)
		l.serve(a.NetNS, "tcp", ":9999", a.ID)
	}
	l.serve("", "tcp", "127.0.0.1:7000", "loopback")
	l.serve("", "tcp", "0.0.0.0:7001", "host")
	l.serve(lan, "tcp", ":80", "lan")

	webIP, otherIP, dbIP, peerIP := addrOf(web, 0), addrOf(other, 0), addrOf(db, 0), addrOf(peer, 0)
	gw := web.Interfaces[0].Gateway.String()
	for _, c := range []struct{ ns, network, addr, want string }{
		// one network, and only there
		{peer.NetNS, "tcp", webIP + ":80", "web"},
		{peer.NetNS, "tcp", webIP + ":9999", "web"},
		{web.NetNS, "tcp", peerIP + ":80", "peer"},
		{web.NetNS, "tcp", dbIP + ":80", "db"},
		{db.NetNS, "tcp", addrOf(web, 1) + ":80", "web"},
		{other.NetNS, "tcp", webIP + ":80", ""},
		{web.NetNS, "tcp", otherIP + ":80", ""},
		{peer.NetNS, "tcp", dbIP + ":80", ""},
		{db.NetNS, "tcp", otherIP + ":80", ""},
		{db.NetNS, "tcp", peerIP + ":80", ""},
		// published ports: from the host, the LAN, pods of any network, and the pod itself
		{"", "tcp", "192.0.2.2:8080", "web"},
		{"", "tcp", "127.0.0.1:8080", "web"},
		{"", "udp", "127.0.0.1:5353", "web"},
		{"", "udp", "192.0.2.2:5353", "web"},
		{lan, "tcp", "192.0.2.2:8080", "web"},
		{lan, "udp", "192.0.2.2:5353", "web"},
		{peer.NetNS, "tcp", "192.0.2.2:8080", "web"},
		{peer.NetNS, "tcp", gw + ":8080", "web"},
		{other.NetNS, "tcp", "192.0.2.2:8080", "web"},
		{other.NetNS, "udp", "192.0.2.2:5353", "web"},
		{web.NetNS, "tcp", "192.0.2.2:8080", "web"},
		{web.NetNS, "udp", "192.0.2.2:5353", "web"},
		// only on the address asked for
		{"", "tcp", "127.0.0.1:8081", "web"},
		{"", "tcp", "192.0.2.2:8081", ""},
		{lan, "tcp", "192.0.2.2:8081", ""},
		{lan, "tcp", "127.0.0.1:8081", ""},
		{"", "tcp", "192.0.2.2:8082", "web"},
		{"", "tcp", "127.0.0.1:8082", ""},
		{lan, "tcp", "192.0.2.2:8082", "web"},
		// what is not published is closed, also to a LAN that has a route to the bridge
		{lan, "tcp", webIP + ":80", ""},
		{lan, "tcp", webIP + ":9999", ""},
		{lan, "tcp", "192.0.2.2:9999", ""},
		// the way out, and its absence
		{web.NetNS, "tcp", "192.0.2.1:80", "lan"},
		{peer.NetNS, "tcp", "192.0.2.1:80", "lan"},
		{db.NetNS, "tcp", "192.0.2.1:80", ""},
		{db.NetNS, "tcp", "192.0.2.2:8080", ""},
		// the host: what listens everywhere, never its loopback
		{peer.NetNS, "tcp", gw + ":7001", "host"},
		{peer.NetNS, "tcp", "192.0.2.2:7001", "host"},
		{peer.NetNS, "tcp", gw + ":7000", ""},
		{peer.NetNS, "tcp", "127.0.0.1:7000", ""},
	} {
		l.expect(c.ns, c.network, c.addr, c.want)
	}
	if _, seen := l.call(web.NetNS, "tcp", "192.0.2.1:80", 5*time.Second); seen != "192.0.2.2" {
		t.Errorf("the LAN sees a pod as %s", seen)
	}
	if _, seen := l.call(lan, "tcp", "192.0.2.2:8080", 5*time.Second); seen != "192.0.2.1" {
		t.Errorf("a pod sees the LAN as %s", seen)
	}
	if p, err := l.Check(t.Context(), nil); err != nil || len(p) > 0 {
		t.Errorf("check: %v %v", p, err)
	}
	l.clean()
}

// A pod that routes 127/8 to the host is stopped by the rule in front of everything.
func TestHostLoopbackIsClosed(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	n := l.network(api.Network{Name: "front"})
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "front"}}})
	l.serve("", "tcp", "127.0.0.1:7000", "loopback")
	must(t, kernel.InNetNS(pod.NetNS, func() error { return loopbackVia(n.Subnets[0].Gateway.String()) }))
	l.expect(pod.NetNS, "tcp", "127.0.0.1:7000", "")
	l.clean()
}

// Two pods publish nothing and talk on; then the table is flushed, and Rebuild has it back without touching connections.
func TestRebuild(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.uplink()
	n := l.network(api.Network{Name: "front"})
	var ports []api.Port
	for i := range 3 {
		ports = append(ports, api.Port{HostPort: uint16(8080 + i), Container: 80, Protocol: "tcp"})
	}
	web := l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "front"}}, Ports: ports})
	l.serve(web.NetNS, "tcp", ":80", "web")
	before := l.nft()
	run(t, "nft", "flush", "ruleset")
	l.expect("", "tcp", "127.0.0.1:8081", "")
	if p, _ := l.Check(t.Context(), nil); len(p) != 1 || p[0].Kind != "rule" {
		t.Errorf("check after a flush: %v", p)
	}
	must(t, l.Rebuild(t.Context()))
	if after := l.nft(); after != before {
		t.Errorf("table after Rebuild:\n%s\nwant:\n%s", after, before)
	}
	for i := range 3 {
		l.expect("", "tcp", fmt.Sprintf("127.0.0.1:%d", 8080+i), "web")
	}
	run(t, "ip", "link", "del", n.Bridge)
	l.expect("", "tcp", "127.0.0.1:8081", "")
	must(t, l.GC(t.Context(), nil))
	l.expect("", "tcp", "127.0.0.1:8081", "web")
	if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
		t.Errorf("check after GC: %v %v", p, err)
	}
	l.clean()
}

// When Attach returns, packets flow: a first one that is lost costs its sender a second.
func TestNoFirstPacketIsLost(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	slow := 0
	for i := range 10 {
		name := fmt.Sprint("net", i)
		l.network(api.Network{Name: name})
		pod := l.attach(api.Attachment{ID: name, Endpoints: []api.Endpoint{{Network: name}}, Ports: []api.Port{{HostPort: uint16(8000 + i), Container: 80, Protocol: "tcp"}}})
		l.serve(pod.NetNS, "tcp", ":80", name)
		start := time.Now()
		l.expect("", "tcp", fmt.Sprintf("127.0.0.1:%d", 8000+i), name)
		if time.Since(start) > 900*time.Millisecond {
			slow++
		}
	}
	if slow > 2 { // a machine may be busy
		t.Errorf("%d of 10 first connections were slow", slow)
	}
	l.clean()
}

// awaitCarrier waits by events when the link is not up yet.
func TestSettle(t *testing.T) {
	if !onHost(t) {
		return
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	must(t, err)
	defer h.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "va"
	must(t, h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "vb"}))
	run(t, "ip", "link", "set", "dev", "va", "up")
	if up, err := allUp(h, []string{"va"}); up || err != nil {
		t.Fatalf("up %t %v with one end down", up, err)
	}
	done := make(chan error)
	go func() { done <- awaitCarrier(t.Context(), h, "va") }()
	start := time.Now()
	run(t, "ip", "link", "set", "dev", "vb", "up")
	must(t, <-done)
	if d := time.Since(start); d > carrierDeadline/2 {
		t.Errorf("noticed after %v", d)
	}
}
