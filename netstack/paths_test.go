package netstack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// pluginDir is where the real plugins are; PODC_TEST_CNI_BIN names another place.
func pluginDir(t *testing.T, plugins ...string) string {
	t.Helper()
	for _, dir := range []string{os.Getenv("PODC_TEST_CNI_BIN"), "/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"} {
		all := dir != ""
		for _, p := range plugins {
			all = all && disk.Exists(filepath.Join(dir, p))
		}
		if all {
			return dir
		}
	}
	t.Skipf("needs the CNI plugins %s", strings.Join(plugins, ", "))
	return ""
}

// TestBothPathsAreEqual is the definition of what must be the same whether podc answers for bridge, host-local and portmap or
// executes them: addresses that are asked for, traffic inside a network, the way out, ports published to the host, to other
// machines and to pods, in both families. It runs the same checks on either path, and on a network that both share.
//
// podc's own, and not asked of plugins: that networks are kept apart and internal ones closed (it holds on both paths, since podc's
// table sees to it, as TestApart checks), [::1], options of networks beyond the plugins' own.
func TestBothPathsAreEqual(t *testing.T) {
	dir := pluginDir(t, "bridge", "host-local", "portmap")
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.plugins.dirs = []string{dir}
	lan := l.uplink()
	l.serve(lan, "tcp", ":80", "lan")
	l.network(api.Network{Name: "both", IPv6: true})
	var pods []api.Attachment
	for i, executed := range []bool{false, true} {
		l.plugins.exec = executed
		pods = append(pods, l.samePath(lan, fmt.Sprint("own", i), uint16(8000+100*i)), l.samePath(lan, "both", uint16(8050+100*i)))
	}
	// One follows the other on a network that they share: neighbours, leases, addresses.
	l.expect(pods[1].NetNS, "tcp", addrOf(pods[3], 0)+":80", pods[3].ID)
	l.expect(pods[3].NetNS, "tcp", addr6Of(pods[1], 0)+":80", pods[1].ID)
	_, err := l.tryAttach(api.Attachment{ID: "second", Endpoints: []api.Endpoint{{Network: "both", IPv4: pods[1].Interfaces[0].IPv4.Addr()}}})
	if err == nil {
		t.Error("an address is given twice")
	}
	if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
		t.Errorf("check: %v %v", p, err)
	}
	// Each is undone by the path that made it, whichever is switched on.
	for _, a := range pods {
		must(t, l.Detach(t.Context(), a.ID))
	}
	if rules := run(t, "iptables-nft", "-t", "nat", "-S") + run(t, "ip6tables-nft", "-t", "nat", "-S"); strings.Contains(rules, "--to-destination") {
		t.Errorf("published ports are left:\n%s", rules)
	}
	l.plugins.exec = false
	l.clean()
}

// samePath attaches pods to a network, made if it is missing, and checks what must not depend on the path. It returns one of them.
func (l *lab) samePath(lan, network string, port uint16) api.Attachment {
	t := l.t
	t.Helper()
	if _, err := l.Network(network); errdefs.IsNotFound(err) {
		l.network(api.Network{Name: network, IPv6: true})
	}
	id := fmt.Sprintf("%s-%d", network, port)
	web := l.attach(api.Attachment{ID: id, Endpoints: []api.Endpoint{{Network: network}}, Ports: []api.Port{
		{HostPort: port, Container: 80, Protocol: "tcp"}, {HostPort: port, Container: 53, Protocol: "udp"},
		{HostPort: port + 1, Container: 80, Protocol: "tcp", HostIP: mustAddr("192.0.2.2")},
	}})
	n, _ := l.Network(network)
	free4, free6 := n.Subnets[0].CIDR.Addr().Next(), n.Subnets[1].CIDR.Addr().Next()
	for range int(port%100) + 40 {
		free4, free6 = free4.Next(), free6.Next()
	}
	if port%200 < 100 {
		free4, free6 = free4.Next(), free6.Next()
	}
	peer := l.attach(api.Attachment{ID: "peer-" + id, Endpoints: []api.Endpoint{{Network: network, IPv4: free4, IPv6: free6, MAC: fmt.Sprintf("02:00:00:00:%02x:%02x", port>>8, port&255)}}})
	if i := peer.Interfaces[0]; i.IPv4.Addr() != free4 || i.IPv6.Addr() != free6 || i.MAC != fmt.Sprintf("02:00:00:00:%02x:%02x", port>>8, port&255) {
		t.Errorf("%s: asked for %s, %s, got %+v", id, free4, free6, i)
	}
	for _, a := range []api.Attachment{web, peer} {
		l.serve(a.NetNS, "tcp", ":80", a.ID)
		l.serve(a.NetNS, "udp", ":53", a.ID)
	}
	for _, c := range []struct{ ns, network, addr, want string }{
		{peer.NetNS, "tcp", addrOf(web, 0) + ":80", id},
		{peer.NetNS, "tcp", addr6Of(web, 0) + ":80", id},
		{web.NetNS, "udp", addrOf(peer, 0) + ":53", peer.ID},
		{web.NetNS, "tcp", "192.0.2.1:80", "lan"},
		{web.NetNS, "tcp", "[2001:db8::1]:80", "lan"},
		{"", "tcp", fmt.Sprintf("127.0.0.1:%d", port), id},
		{"", "tcp", fmt.Sprintf("192.0.2.2:%d", port), id},
		{"", "tcp", fmt.Sprintf("[2001:db8::2]:%d", port), id},
		{"", "udp", fmt.Sprintf("192.0.2.2:%d", port), id},
		{lan, "tcp", fmt.Sprintf("192.0.2.2:%d", port), id},
		{lan, "tcp", fmt.Sprintf("[2001:db8::2]:%d", port), id},
		{lan, "udp", fmt.Sprintf("192.0.2.2:%d", port), id},
		{lan, "tcp", fmt.Sprintf("192.0.2.2:%d", port+1), id},
		{"", "tcp", fmt.Sprintf("127.0.0.1:%d", port+1), ""},
		{peer.NetNS, "tcp", fmt.Sprintf("192.0.2.2:%d", port), id},
		{web.NetNS, "tcp", fmt.Sprintf("192.0.2.2:%d", port), id},
		{web.NetNS, "tcp", fmt.Sprintf("[2001:db8::2]:%d", port), id},
	} {
		l.expect(c.ns, c.network, c.addr, c.want)
	}
	for to, want := range map[string]string{"192.0.2.1:80": "192.0.2.2", "[2001:db8::1]:80": "2001:db8::2"} {
		if _, seen := l.call(web.NetNS, "tcp", to, 5*time.Second); seen != want {
			t.Errorf("%s: the LAN sees a pod as %s, want %s", id, seen, want)
		}
	}
	must(t, l.Detach(t.Context(), peer.ID))
	return web
}

// What is podc's own holds for pods of executed plugins too: networks are apart, internal ones are closed.
func TestApart(t *testing.T) {
	dir := pluginDir(t, "bridge", "host-local", "portmap")
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.plugins.dirs, l.plugins.exec = []string{dir}, true
	lan := l.uplink()
	l.serve(lan, "tcp", ":80", "lan")
	l.network(api.Network{Name: "one", IPv6: true})
	l.network(api.Network{Name: "two", IPv6: true})
	l.network(api.Network{Name: "apart", Options: map[string]string{optionICC: "false"}})
	l.network(api.Network{Name: "inside", IPv6: true, Internal: true})
	pods := map[string]api.Attachment{}
	for id, network := range map[string]string{"one": "one", "two": "two", "inner": "inside", "a": "apart", "b": "apart"} {
		pods[id] = l.attach(api.Attachment{ID: id, Endpoints: []api.Endpoint{{Network: network}}})
		l.serve(pods[id].NetNS, "tcp", ":80", id)
	}
	for _, c := range []struct{ from, addr string }{
		{"one", addrOf(pods["two"], 0)}, {"one", addr6Of(pods["two"], 0)}, {"inner", "192.0.2.1"}, {"inner", "[2001:db8::1]"},
		{"one", addrOf(pods["inner"], 0)}, {"inner", addrOf(pods["one"], 0)}, {"a", addrOf(pods["b"], 0)},
	} {
		l.expect(pods[c.from].NetNS, "tcp", c.addr+":80", "")
	}
	l.expect(pods["one"].NetNS, "tcp", "192.0.2.1:80", "lan")
	l.plugins.exec = false
	l.clean()
}

// Pods of macvlan and ipvlan are machines of the LAN: with addresses of its own, reached from it and reaching it.
func TestLANDrivers(t *testing.T) {
	dir := pluginDir(t, "macvlan", "ipvlan", "host-local", "ptp")
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.plugins.dirs = []string{dir}
	lan := l.uplink()
	l.serve(lan, "tcp", ":80", "lan")
	drivers := []string{"macvlan"}
	if exec.Command("ip", "link", "add", "probe", "link", "uplink", "type", "ipvlan").Run() == nil {
		run(t, "ip", "link", "del", "probe")
		drivers = append(drivers, "ipvlan")
	} else {
		t.Log("this kernel has no ipvlan")
	}
	for _, driver := range drivers {
		_, err := l.CreateNetwork(t.Context(), api.Network{Name: "none", Driver: driver, Options: map[string]string{"parent": "nowhere"}})
		wantError(t, err, errdefs.ErrNotFound, "no interface nowhere")
		l.network(api.Network{Name: driver, Driver: driver, IPv6: true, Options: map[string]string{"parent": "uplink"}, Subnets: []api.Subnet{
			{CIDR: prefix("192.0.2.0/24"), Gateway: mustAddr("192.0.2.1"), IPRange: prefix("192.0.2.64/26")},
			{CIDR: prefix("2001:db8::/64"), Gateway: mustAddr("2001:db8::1"), IPRange: prefix("2001:db8::100/120")},
		}})
		start := time.Now()
		one := l.attach(api.Attachment{ID: "one", NetNS: l.pin("one-" + driver), Names: []string{"one"}, Endpoints: []api.Endpoint{{Network: driver, IPv4: mustAddr("192.0.2.9")}}})
		two := l.attach(api.Attachment{ID: "two", NetNS: l.pin("two-" + driver), Endpoints: []api.Endpoint{{Network: driver}}})
		if took := time.Since(start); took > 1500*time.Millisecond {
			t.Errorf("%s took %v: addresses are probed for duplicates", driver, took)
		}
		for _, a := range []api.Attachment{one, two} {
			l.serve(a.NetNS, "tcp", ":80", a.ID)
		}
		if addrOf(one, 0) != "192.0.2.9" || !one.Interfaces[0].IPv6.IsValid() {
			t.Errorf("%s: %+v", driver, one.Interfaces)
		}
		l.expect(two.NetNS, "tcp", "192.0.2.9:80", "one")
		l.expect(two.NetNS, "tcp", addr6Of(one, 0)+":80", "one")
		l.expect(lan, "tcp", "192.0.2.9:80", "one")
		l.expect(lan, "tcp", addr6Of(one, 0)+":80", "one")
		for to, want := range map[string]string{"192.0.2.1:80": "192.0.2.9", "[2001:db8::1]:80": one.Interfaces[0].IPv6.Addr().String()} {
			if _, seen := l.call(one.NetNS, "tcp", to, 5*time.Second); seen != want {
				t.Errorf("%s: the LAN sees %q, want %s", driver, seen, want)
			}
		}
		if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
			t.Errorf("check: %v %v", p, err)
		}
		for _, id := range []string{"one", "two"} {
			must(t, l.Detach(t.Context(), id))
		}
		must(t, l.RemoveNetwork(t.Context(), driver))
	}
	// any other plugin, with options of its own
	l.network(api.Network{Name: "ptp", Driver: "ptp", Options: map[string]string{"ipMasq": "true"}, Subnets: []api.Subnet{{CIDR: prefix("10.7.0.0/24")}}})
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "ptp"}}})
	l.expect(pod.NetNS, "tcp", "192.0.2.1:80", "lan")
	_, err := l.CreateNetwork(t.Context(), api.Network{Name: "x", Driver: "nosuch"})
	wantError(t, err, errdefs.ErrNotFound, `plugin "nosuch" is not installed`)
	l.clean()
}

// A network that was made by hand publishes ports if its plugins do.
func TestHandMadeBridge(t *testing.T) {
	dir := pluginDir(t, "bridge", "host-local", "portmap")
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.plugins.dirs = []string{dir}
	lan := l.uplink()
	must(t, os.MkdirAll(filepath.Join(l.dir, "cni"), 0o755))
	must(t, os.WriteFile(filepath.Join(l.dir, "cni", "50-hand.conflist"), []byte(`{"cniVersion": "1.0.0", "name": "hand", "plugins": [
		{"type": "bridge", "bridge": "hand0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
		 "ipam": {"type": "host-local", "dataDir": "`+l.dir+`/leases", "subnet": "10.8.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}},
		{"type": "portmap", "capabilities": {"portMappings": true}}]}`), 0o600))
	n, err := l.Network("hand")
	if must(t, err); !n.ByHand() || n.Driver != "bridge" || len(n.Subnets) != 1 || n.IPv6 {
		t.Errorf("network %+v", n)
	}
	all, err := l.AllNetworks()
	if must(t, err); len(all) != 1 || all["hand"].Name != "hand" {
		t.Errorf("all networks %+v", all)
	}
	pod := l.attach(api.Attachment{ID: "pod", Names: []string{"pod"}, Endpoints: []api.Endpoint{{Network: "hand"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	l.serve(pod.NetNS, "tcp", ":80", "pod")
	l.expect("", "tcp", "127.0.0.1:8080", "pod")
	l.expect(lan, "tcp", "192.0.2.2:8080", "pod")
	must(t, l.Detach(t.Context(), "pod"))
	l.expect(lan, "tcp", "192.0.2.2:8080", "")
	run(t, "ip", "link", "del", "hand0")
	l.clean()
}
