package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// TestReach6 is the matrix of who reaches whom by IPv6, on networks with both families and with IPv6 only.
func TestReach6(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	front := l.network(api.Network{Name: "front", IPv6: true})
	l.network(api.Network{Name: "only", IPv6: true, NoIPv4: true})
	l.network(api.Network{Name: "inside", IPv6: true, Internal: true})
	web := l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "front"}, {Network: "inside"}}, Ports: []api.Port{
		{HostPort: 8080, Container: 80, Protocol: "tcp"},
		{HostPort: 5353, Container: 53, Protocol: "udp"},
		{HostPort: 8081, Container: 80, Protocol: "tcp", HostIP: mustAddr("0.0.0.0")},
		{HostPort: 8082, Container: 80, Protocol: "tcp", HostIP: mustAddr("2001:db8::2")},
		{HostPort: 8083, Container: 80, Protocol: "tcp", HostIP: mustAddr("::")},
		{HostPort: 8084, Container: 80, Protocol: "tcp", HostIP: mustAddr("::1")},
	}})
	peer := l.attach(api.Attachment{ID: "peer", Endpoints: []api.Endpoint{{Network: "front"}}})
	six := l.attach(api.Attachment{ID: "six", Endpoints: []api.Endpoint{{Network: "only"}}, Ports: []api.Port{{HostPort: 9090, Container: 80, Protocol: "tcp"}}})
	db := l.attach(api.Attachment{ID: "db", Endpoints: []api.Endpoint{{Network: "inside"}}})
	for _, a := range []api.Attachment{web, peer, six, db} {
		l.serve(a.NetNS, "tcp", ":80", a.ID)
		l.serve(a.NetNS, "udp", ":53", a.ID)
	}
	l.serve("", "tcp", "[::1]:7000", "loopback")
	l.serve("", "tcp", "[::]:7001", "host")
	l.serve(lan, "tcp", ":80", "lan")
	if six.Interfaces[0].IPv4.IsValid() || six.Ports[0].HostIP != netip.IPv6Unspecified() || !web.Ports[0].Dual {
		t.Errorf("attached as %+v and %+v", six, web)
	}
	webIP, peerIP, sixIP, dbIP := addr6Of(web, 0), addr6Of(peer, 0), addr6Of(six, 0), addr6Of(db, 0)
	gw := "[" + web.Interfaces[0].Gateway6.String() + "]"
	for _, c := range []struct{ ns, network, addr, want string }{
		// one network, and only there
		{peer.NetNS, "tcp", webIP + ":80", "web"},
		{web.NetNS, "tcp", peerIP + ":80", "peer"},
		{web.NetNS, "tcp", dbIP + ":80", "db"},
		{db.NetNS, "tcp", addr6Of(web, 1) + ":80", "web"},
		{peer.NetNS, "tcp", sixIP + ":80", ""},
		{six.NetNS, "tcp", webIP + ":80", ""},
		{db.NetNS, "tcp", peerIP + ":80", ""},
		// published ports: from the host, the LAN, pods of any network, and the pod itself
		{"", "tcp", "[2001:db8::2]:8080", "web"},
		{"", "udp", "[2001:db8::2]:5353", "web"},
		{"", "tcp", "127.0.0.1:8080", "web"},
		{lan, "tcp", "[2001:db8::2]:8080", "web"},
		{lan, "udp", "[2001:db8::2]:5353", "web"},
		{lan, "tcp", "192.0.2.2:8080", "web"},
		{lan, "tcp", "[2001:db8::2]:9090", "six"},
		{lan, "tcp", "192.0.2.2:9090", ""},
		{peer.NetNS, "tcp", "[2001:db8::2]:8080", "web"},
		{peer.NetNS, "tcp", gw + ":8080", "web"},
		{six.NetNS, "tcp", "[2001:db8::2]:8080", "web"},
		{web.NetNS, "tcp", "[2001:db8::2]:8080", "web"},
		{web.NetNS, "udp", "[2001:db8::2]:5353", "web"},
		{six.NetNS, "tcp", "[2001:db8::2]:9090", "six"},
		// only on the addresses asked for
		{"", "tcp", "192.0.2.2:8081", "web"},
		{"", "tcp", "[2001:db8::2]:8081", ""},
		{lan, "tcp", "[2001:db8::2]:8082", "web"},
		{lan, "tcp", "192.0.2.2:8082", ""},
		{lan, "tcp", "[2001:db8::2]:8083", "web"},
		{lan, "tcp", "192.0.2.2:8083", ""},
		{lan, "tcp", "[2001:db8::2]:8084", ""},
		// what is not published is closed, also to a LAN that has a route to the bridge
		{lan, "tcp", webIP + ":80", ""},
		{lan, "tcp", sixIP + ":80", ""},
		// the way out, and its absence
		{web.NetNS, "tcp", "[2001:db8::1]:80", "lan"},
		{six.NetNS, "tcp", "[2001:db8::1]:80", "lan"},
		{db.NetNS, "tcp", "[2001:db8::1]:80", ""},
		{db.NetNS, "tcp", "[2001:db8::2]:8080", ""},
		// the host: what listens everywhere, never its loopback
		{peer.NetNS, "tcp", gw + ":7001", "host"},
		{peer.NetNS, "tcp", gw + ":7000", ""},
	} {
		l.expect(c.ns, c.network, c.addr, c.want)
	}
	if _, seen := l.call(six.NetNS, "tcp", "[2001:db8::1]:80", 5*time.Second); seen != "2001:db8::2" {
		t.Errorf("the LAN sees a pod as %s", seen)
	}
	if _, seen := l.call(lan, "tcp", "[2001:db8::2]:8080", 5*time.Second); seen != "2001:db8::1" {
		t.Errorf("a pod sees the LAN as %s", seen)
	}
	sub, _ := subnetOf(front, true)
	if b := sub.CIDR.Addr().As16(); b[0] != 0xfd || sub.CIDR.Bits() != 64 || !sub.Chosen || sub.Gateway != sub.CIDR.Addr().Next() {
		t.Errorf("subnet %+v", sub)
	}
	if p, err := l.Check(t.Context(), nil); err != nil || len(p) > 0 {
		t.Errorf("check: %v %v", p, err)
	}
	l.clean()
}

// What a program of the host sends to [::1] reaches the pod by way of the sockets that reserve the ports, whatever families the
// pod has, and also if it was sent before anybody spliced.
func TestSplice(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "dual", IPv6: true})
	l.network(api.Network{Name: "four"})
	ctx, cancel := context.WithCancel(t.Context())
	dual := l.attach(api.Attachment{ID: "dual", Endpoints: []api.Endpoint{{Network: "dual"}}, Ports: []api.Port{
		{HostPort: 8080, Container: 80, Protocol: "tcp"}, {HostPort: 5353, Container: 53, Protocol: "udp"},
	}})
	four := l.attach(api.Attachment{ID: "four", Endpoints: []api.Endpoint{{Network: "four"}}, Ports: []api.Port{
		{HostPort: 8081, Container: 80, Protocol: "tcp"}, {HostPort: 8082, Container: 80, Protocol: "tcp", HostIP: mustAddr("::1")},
	}})
	done := make(chan error, 10)
	spliced := 0
	for _, a := range []api.Attachment{dual, four} {
		l.serve(a.NetNS, "tcp", ":80", a.ID)
		l.serve(a.NetNS, "udp", ":53", a.ID)
		files, err := Reserve(a.Ports)
		must(t, err)
		early, err := net.Dial("tcp", fmt.Sprintf("[::1]:%d", a.Ports[len(a.Ports)-1].HostPort))
		if a.ID == "four" {
			must(t, err)
			defer early.Close()
		}
		places := Splices(a.Ports)
		for _, i := range places {
			spliced++
			go func() { done <- l.Splice(ctx, a.ID, a.Ports, i, files[i]) }()
		}
		if a.ID == "four" {
			line := make([]byte, 100)
			n, err := early.Read(line)
			if err != nil || !strings.HasPrefix(string(line[:n]), "four ") {
				t.Errorf("a connection that came before is answered %q %v", line[:n], err)
			}
		}
	}
	if spliced != 3 {
		t.Errorf("%d sockets are spliced", spliced)
	}
	l.expect("", "tcp", "[::1]:8080", "dual")
	l.expect("", "tcp", "127.0.0.1:8080", "dual")
	for range 3 {
		l.expect("", "udp", "[::1]:5353", "dual")
	}
	l.expect("", "tcp", "[::1]:8082", "four")
	l.expect("", "tcp", "127.0.0.1:8082", "")
	cancel()
	for range spliced {
		must(t, <-done)
	}
	l.clean()
}

func TestStaticAddresses6(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net", IPv6: true, Subnets: []api.Subnet{{CIDR: prefix("fd09::/64"), Gateway: mustAddr("fd09::ffff"),
		IPRange: prefix("fd09::80/126"), Reserved: map[string]netip.Addr{"printer": mustAddr("fd09::81")}}}})
	start := time.Now()
	static := l.attach(api.Attachment{ID: "static", Names: []string{"static"}, Endpoints: []api.Endpoint{{Network: "net", IPv6: mustAddr("fd09::7"),
		LinkLocal: []netip.Addr{mustAddr("169.254.7.7"), mustAddr("fe80::7")}}}})
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("an address of IPv6 took %v: it is probed for duplicates", took)
	}
	if got := static.Interfaces[0]; got.IPv6 != prefix6("fd09::7/64") || got.Gateway6 != mustAddr("fd09::ffff") {
		t.Errorf("attached as %+v", got)
	}
	must(t, kernel.InNetNS(static.NetNS, func() error {
		link, err := netlink.LinkByName("eth0")
		if err == nil && !hasAddrs(link, []netip.Prefix{prefix6("fd09::7/64"), prefix6("169.254.7.7/16"), prefix6("fe80::7/64")}) {
			err = fmt.Errorf("addresses are missing")
		}
		return err
	}))
	_, err := l.tryAttach(api.Attachment{ID: "second", Endpoints: []api.Endpoint{{Network: "net", IPv6: mustAddr("fd09::7")}}})
	wantError(t, err, errdefs.ErrConflict, `address fd09::7 on network "net" is in use by "static"`)
	_, err = l.tryAttach(api.Attachment{ID: "third", Endpoints: []api.Endpoint{{Network: "net", IPv6: mustAddr("fd08::7")}}})
	wantError(t, err, errdefs.ErrInvalidArgument, "fd08::7")
	_, err = l.tryAttach(api.Attachment{ID: "fourth", Endpoints: []api.Endpoint{{Network: "net", LinkLocal: []netip.Addr{mustAddr("10.0.0.1")}}}})
	wantError(t, err, errdefs.ErrInvalidArgument, "no link-local address")
	for _, want := range []string{"fd09::80", "fd09::82", "fd09::83"} {
		if got := l.attach(api.Attachment{ID: "pod" + strings.ReplaceAll(want, ":", "_"), Endpoints: []api.Endpoint{{Network: "net"}}}); got.Interfaces[0].IPv6.Addr() != mustAddr(want) {
			t.Errorf("address %s, want %s", got.Interfaces[0].IPv6, want)
		}
	}
	_, err = l.tryAttach(api.Attachment{ID: "full", Endpoints: []api.Endpoint{{Network: "net"}}})
	wantError(t, err, errdefs.ErrResourceExhausted, "no free address")
	var names NameRecord
	readJSON(t, l.nameFile("net", "static"), &names)
	if names.IPv6 != mustAddr("fd09::7") || !names.IPv4.IsValid() {
		t.Errorf("names %+v", names)
	}
	l.clean()
}

// Options of networks and endpoints do what docker's do.
func TestNetworkOptions(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	l.network(api.Network{Name: "apart", IPv6: true, Options: map[string]string{optionICC: "false", optionBinding: "127.0.0.1", optionPrefix: "lan"}})
	l.network(api.Network{Name: "bare", IPv6: true, Options: map[string]string{optionMasquerade: "false", optionBridge: "podcbare"}})
	l.network(api.Network{Name: "routed", IPv6: true, Options: map[string]string{optionMode6: "routed", optionMTU: "1300"}})
	one := l.attach(api.Attachment{ID: "one", Endpoints: []api.Endpoint{{Network: "apart"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	two := l.attach(api.Attachment{ID: "two", Endpoints: []api.Endpoint{{Network: "apart", Options: map[string]string{endpointSysctls: "net.ipv4.conf.IFNAME.log_martians=1"}}}})
	bare := l.attach(api.Attachment{ID: "bare", Endpoints: []api.Endpoint{{Network: "bare"}}})
	routed := l.attach(api.Attachment{ID: "routed", Endpoints: []api.Endpoint{{Network: "routed"}}, Ports: []api.Port{{HostPort: 8081, Container: 80, Protocol: "tcp"}}})
	many := l.attach(api.Attachment{ID: "many", Endpoints: []api.Endpoint{{Network: "apart"}, {Network: "bare", Interface: "eth0"}, {Network: "routed", GwPriority: 1}}})
	for _, a := range []api.Attachment{one, two, bare, routed} {
		l.serve(a.NetNS, "tcp", ":80", a.ID)
		l.serve(a.NetNS, "tcp", ":81", a.ID)
	}
	l.serve(lan, "tcp", ":80", "lan")
	for _, c := range []struct{ ns, addr, want string }{
		{two.NetNS, addrOf(one, 0) + ":80", ""}, // no traffic between pods
		{two.NetNS, addr6Of(one, 0) + ":80", ""},
		{two.NetNS, "192.0.2.1:80", "lan"},
		{"", addrOf(one, 0) + ":80", "one"},
		{"", "127.0.0.1:8080", "one"}, // the binding that the network gives
		{"", "192.0.2.2:8080", ""},
		{lan, addr6Of(routed, 0) + ":80", "routed"}, // reached as it is, but for what is not published
		{lan, addr6Of(routed, 0) + ":81", ""},
		{lan, "192.0.2.2:8081", "routed"},
	} {
		l.expect(c.ns, "tcp", c.addr, c.want)
	}
	for ns, want := range map[string]string{bare.NetNS: addrOf(bare, 0), routed.NetNS: "192.0.2.2", many.NetNS: "192.0.2.2"} {
		if _, seen := l.call(ns, "tcp", "192.0.2.1:80", 5*time.Second); seen != want {
			t.Errorf("the LAN sees %s, want %s", seen, want)
		}
	}
	if _, seen := l.call(routed.NetNS, "tcp", "[2001:db8::1]:80", 5*time.Second); seen != routed.Interfaces[0].IPv6.Addr().String() {
		t.Errorf("the LAN sees a routed pod as %s", seen)
	}
	if _, seen := l.call(many.NetNS, "tcp", "[2001:db8::1]:80", 5*time.Second); seen != many.Interfaces[2].IPv6.Addr().String() {
		t.Errorf("the network with the highest gateway priority is not the way out: %s", seen)
	}
	if n := many.Interfaces; n[0].Name != "lan0" || n[1].Name != "eth0" || n[2].Name != "eth1" {
		t.Errorf("interfaces %+v", n)
	}
	must(t, kernel.InNetNS(two.NetNS, func() error {
		b, err := os.ReadFile("/proc/sys/net/ipv4/conf/lan0/log_martians")
		if err == nil && string(b) != "1\n" {
			err = fmt.Errorf("log_martians is %s", b)
		}
		return err
	}))
	if _, err := netlink.LinkByName("podcbare"); err != nil {
		t.Error(err)
	}
	if p, err := l.Check(t.Context(), nil); err != nil || len(p) > 0 {
		t.Errorf("check: %v %v", p, err)
	}
	l.clean()
}

func addr6Of(a api.Attachment, i int) string { return "[" + a.Interfaces[i].IPv6.Addr().String() + "]" }

func prefix6(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func FuzzSysctls(f *testing.F) {
	f.Add("net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=2")
	f.Add("net.ipv4.conf.IFNAME/../all.x=1")
	f.Fuzz(func(t *testing.T, list string) {
		settings, err := parseSysctls(list, "eth0")
		for _, s := range settings {
			if err != nil || !strings.Contains(s.key, "/eth0/") || strings.Contains(s.key, "..") || !strings.HasPrefix(s.key, "net/") || strings.Count(s.key, "/") != 4 {
				t.Errorf("%q: %+v %v", list, settings, err)
			}
		}
	})
}
