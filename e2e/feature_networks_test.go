package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// interfaces are those of a service, by name: its addresses without those of the link and the loopback.
func (s *stack) interfaces(service string) map[string][]string {
	s.t.Helper()
	found := map[string][]string{}
	for line := range strings.Lines(s.sh(service, "ip -o addr show scope global")) {
		if f := strings.Fields(line); len(f) > 3 && !strings.HasPrefix(f[3], "169.254.") {
			found[f[1]] = append(found[f[1]], f[3])
		}
	}
	return found
}

// A running container joins and leaves networks, by hand and as the compose file changes.
func TestNetworksOfARunningContainer(t *testing.T) {
	subnet := subnet24(3)
	published := freePort(t)
	compose := func(network string) string {
		return fmt.Sprintf(`
services:
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, hostname: web, networks: {front: {aliases: [www]}}, ports: ['%[1]d:8080']}
  db: {image: localhost/podc-probe, command: sleep, networks: [back]}
  shell: {%[2]s, networks: {front: {ipv4_address: %[3]s.77}}}
networks:
  front: %[4]s
  back: {enable_ipv6: true}
`, published, sleeper, subnet, network)
	}
	const ipam = `{ipam: {config: [{subnet: %s.0/24}]}%s}`
	s := newStack(t, compose(fmt.Sprintf(ipam, subnet, "")))
	s.load("busybox", "probe")
	s.podc("up", "-d")
	before := s.ids()
	page := fmt.Sprintf("127.0.0.1:%d", published)

	s.behaves("connect gives it what the flags ask for", func(s *stack) {
		s.podc("network", "connect", "--alias", "store", "--link-local-ip", "169.254.3.3", "--gw-priority", "-1",
			"--driver-opt", "com.docker.network.endpoint.ifname=back0", "p_back", "p-shell-1")
		if got := s.interfaces("shell"); len(got["back0"]) != 2 || !slices.Equal(got["eth0"], []string{subnet + ".77/24"}) {
			s.t.Errorf("interfaces %v", got)
		}
		contains(s.t, s.sh("shell", "ip addr show back0"), "169.254.3.3/16")
		for _, name := range []string{"store", "p-shell-1"} {
			if got := s.lookup("db", name); len(got) != 2 {
				s.t.Errorf("%s is at %v", name, got)
			}
		}
		contains(s.t, s.sh("shell", "nslookup db 127.0.0.11"), "db")
		contains(s.t, s.sh("shell", "cat /etc/hosts"), s.lookup("db", "store")[0])
		contains(s.t, s.fails(1, "network", "connect", "p_back", "p-shell-1"), "connected to network", "already")
	})
	s.behaves("a connection lasts over a restart, and no plan minds it", func(s *stack) {
		if steps := s.plan(); len(steps) > 0 {
			s.t.Errorf("steps %v", steps)
		}
		s.podc("restart", "-t", "0", "shell")
		if got := s.interfaces("shell"); len(got["back0"]) != 2 {
			s.t.Errorf("interfaces %v", got)
		}
	})
	s.behaves("disconnect takes it away", func(s *stack) {
		s.podc("network", "disconnect", "p_back", "p-shell-1")
		if got := s.interfaces("shell"); len(got) != 1 || len(got["eth0"]) != 1 {
			s.t.Errorf("interfaces %v", got)
		}
		if got := s.lookup("db", "store"); len(got) != 0 {
			s.t.Errorf("store is at %v", got)
		}
		contains(s.t, s.fails(1, "network", "disconnect", "p_back", "p-shell-1"), "not connected")
		s.podc("network", "disconnect", "-f", "p_back", "p-shell-1")
		s.podc("network", "disconnect", "--force", "p_back", "nobody")
	})
	s.behaves("addresses are asked for by --ip and --ip6", func(s *stack) {
		s.podc("network", "create", "--ipv6", "--subnet", "fd5e:7::/64", "--subnet", subnet24(4)+".0/24", "--gateway", subnet24(4)+".9", "--aux-address", "x="+subnet24(4)+".1", "extra")
		defer s.podc("network", "rm", "extra")
		s.podc("network", "connect", "--ip", subnet24(4)+".5", "--ip6", "fd5e:7::5", "extra", s.ps()["p-shell-1"].ID[:12])
		if got := s.interfaces("shell")["eth1"]; !slices.Equal(got, []string{subnet24(4) + ".5/24", "fd5e:7::5/64"}) {
			s.t.Errorf("addresses %v", got)
		}
		contains(s.t, s.fails(1, "network", "connect", "--ip", subnet24(4)+".5", "extra", "p-db-1"), "in use by")
		s.podc("network", "disconnect", "extra", "p-shell-1")
	})
	s.behaves("a network may have IPv6 only, and must be possible", func(s *stack) {
		s.podc("network", "create", "--ipv6", "--ipv4=false", "six")
		defer s.podc("network", "rm", "six")
		s.podc("network", "connect", "six", "p-shell-1")
		if got := s.interfaces("shell")["eth1"]; len(got) != 1 || !strings.HasPrefix(got[0], "fd") {
			s.t.Errorf("addresses %v", got)
		}
		s.podc("network", "disconnect", "six", "p-shell-1")
		contains(s.t, s.fails(1, "network", "create", "--subnet", "fd5e:9::/64", "other"), "IPv6 to be enabled")
		contains(s.t, s.fails(1, "network", "create", "-d", "nosuch", "other"), "not installed")
	})
	s.behaves("a network of the model that it has lost is joined by up", func(s *stack) {
		s.podc("network", "disconnect", "p_front", "p-web-1")
		if _, err := fetch(page); err == nil {
			s.t.Error("the published port answers without a network")
		}
		s.podc("up", "-d")
		s.answers(page, "host: web")
		s.onlyChanged(before)
	})
	s.behaves("a network that changed is made anew under running containers", func(s *stack) {
		web := s.interfaces("shell")
		s.write("compose.yaml", compose(fmt.Sprintf(ipam, subnet, `, labels: {changed: "yes"}, enable_ipv6: true`)))
		s.podc("up", "-d")
		s.onlyChanged(before)
		s.answers(page, "host: web")
		if got := s.interfaces("shell")["eth0"]; len(got) != 2 || got[0] != web["eth0"][0] {
			s.t.Errorf("addresses %v, were %v", got, web)
		}
		s.sh("shell", "nslookup www 127.0.0.11")
		if steps := s.plan(); len(steps) > 0 {
			s.t.Errorf("steps %v", steps)
		}
	})
}

// lan is a segment with a machine on it, in a namespace of its own, and the host's interface to it.
func lan(t *testing.T, subnet string) (parent string, machine *os.File, port int) {
	t.Helper()
	parent = fmt.Sprintf("podc-lan%d", os.Getpid()%10000)
	insideNewNetns(t, func() (err error) {
		if machine, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		host, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))
		if err != nil {
			return err
		}
		defer host.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth0"
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: parent, PeerNamespace: netlink.NsFd(int(host.Fd()))}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		if err := plug(veth, subnet+".1/24", "fd5e:8::1/64"); err != nil {
			return err
		}
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		port = l.Addr().(*net.TCPAddr).Port
		go tellPeers(l)
		return nil
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { machine.Close() })
	near, err := netlink.LinkByName(parent)
	if err == nil {
		err = netlink.LinkSetUp(near)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(near) })
	return parent, machine, port
}

// Services of a macvlan network are machines of the LAN.
func TestMacvlan(t *testing.T) {
	needPlugins(t, "macvlan", "host-local")
	subnet := subnet24(5)
	parent, machine, port := lan(t, subnet)
	s := newStack(t, fmt.Sprintf(`
services:
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, hostname: web, networks: {lan: {ipv4_address: %[1]s.77, ipv6_address: 'fd5e:8::77', mac_address: '02:11:22:33:44:55'}}}
  near: {image: localhost/podc-probe, command: sleep, networks: [lan, own]}
networks:
  lan:
    driver: macvlan
    enable_ipv6: true
    driver_opts: {parent: %[2]s, macvlan_mode: bridge}
    ipam: {config: [{subnet: %[1]s.0/24, gateway: %[1]s.1, ip_range: %[1]s.128/25}, {subnet: 'fd5e:8::/64', gateway: 'fd5e:8::1'}]}
  own: {}
`, subnet, parent))
	s.load("probe")
	s.podc("up", "-d")
	for _, address := range []string{subnet + ".77:8080", "[fd5e:8::77]:8080"} {
		eventually(t, 10*time.Second, func() error {
			page, err := fetchInside(t, fmt.Sprintf("/proc/self/fd/%d", machine.Fd()), address)
			if err == nil && !strings.Contains(page, "host: web") {
				err = fmt.Errorf("it answers %q", page)
			}
			return err
		})
	}
	contains(t, s.exec("web", "/probe", "send", "tcp", fmt.Sprintf("%s.1:%d", subnet, port), ""), subnet+".77")
	contains(t, s.exec("web", "/probe", "send", "tcp", fmt.Sprintf("[fd5e:8::1]:%d", port), ""), "fd5e:8::77")
	if got := s.lookup("near", "web"); !slices.Equal(got, []string{subnet + ".77", "fd5e:8::77"}) {
		t.Errorf("web is at %v", got)
	}
	contains(t, s.exec("near", "/probe", "get", "http://web:8080/"), "host: web")
	if steps := s.plan(); len(steps) > 0 {
		t.Errorf("steps %v", steps)
	}
}

// A network that was made by hand is used as an external one, and never changed or removed.
func TestNetworkMadeByHand(t *testing.T) {
	needPlugins(t, "bridge", "host-local", "portmap")
	ns := hostOfItsOwn(t) // plugins leave their bridge and empty chains behind
	s := newStack(t, `
services:
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, hostname: web, networks: [hand], ports: ['8080:8080']}
  near: {image: localhost/podc-probe, command: sleep, networks: [hand]}
networks: {hand: {external: true}}
`)
	s.wrap = []string{"nsenter", "--net=" + ns}
	s.load("probe")
	contains(t, s.fails(1, "up", "-d"), "external", "hand")
	conf := filepath.Join(s.dir, "cni")
	list, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "name": "hand", "plugins": []any{
		map[string]any{"type": "bridge", "bridge": "hand0", "isGateway": true, "ipMasq": true, "ipam": map[string]any{
			"type": "host-local", "dataDir": filepath.Join(s.dir, "leases"), "subnet": subnet24(6) + ".0/24", "routes": []any{map[string]any{"dst": "0.0.0.0/0"}}}},
		map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	s.write("cni/10-hand.conflist", string(list))
	s.env = append(s.env, "NETCONFPATH="+conf)
	s.podc("up", "-d")
	eventually(t, 10*time.Second, func() error { _, err := fetchInside(t, ns, "127.0.0.1:8080"); return err })
	contains(t, s.exec("near", "/probe", "get", "http://web:8080/"), "host: web")
	contains(t, s.podc("network", "ls"), "hand")
	contains(t, s.fails(1, "network", "rm", "hand"), "made by hand")
	s.down("-t", "0")
	contains(t, s.podc("network", "inspect", "hand"), subnet24(6))
}

// With PODC_CNI_EXEC the plugins are executed for podc's own networks too, by every process of podc; see netstack's
// TestBothPathsAreEqual for all that must be equal.
func TestExecutedPlugins(t *testing.T) {
	needPlugins(t, "bridge", "host-local", "portmap")
	ns := hostOfItsOwn(t) // plugins leave their empty chains behind
	s := newStack(t, `
services:
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, hostname: web, networks: [dual], ports: ['8080:8080'], restart: always}
  near: {image: localhost/podc-probe, command: sleep, networks: [dual]}
networks: {dual: {enable_ipv6: true}}
`)
	s.wrap = []string{"nsenter", "--net=" + ns}
	s.load("probe")
	s.env = append(s.env, "PODC_CNI_EXEC=1")
	s.podc("up", "-d")
	rules := func() string {
		out, err := exec.Command("nsenter", "--net="+ns, "iptables", "-t", "nat", "-S").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	check := func() {
		t.Helper()
		eventually(t, 10*time.Second, func() error { _, err := fetchInside(t, ns, "127.0.0.1:8080"); return err })
		for _, address := range s.lookup("near", "web") {
			contains(t, s.exec("near", "/probe", "get", "http://"+net.JoinHostPort(address, "8080")+"/"), "host: web")
		}
	}
	check()
	contains(t, rules(), "--dport 8080")
	pid := s.pid("p-web-1")
	kill(t, pid) // the monitor restarts it
	eventually(t, commandDeadline, func() error {
		if s.pid("p-web-1") == pid || s.ps()["p-web-1"].State != "running" {
			return errors.New("not restarted yet")
		}
		return nil
	})
	check()
	s.podc("stop", "-t", "0")
	if left := rules(); strings.Contains(left, "--dport 8080") {
		t.Errorf("rules are left:\n%s", left)
	}
}

// fetchInside gets a page from within a network namespace.
func fetchInside(t *testing.T, ns, address string) (page string, err error) {
	t.Helper()
	insideNetns(t, ns, func() error { page, err = fetch(address); return nil })
	return page, err
}

// Proxies of docker's configuration are in the environment of every container, but for those that say something else.
func TestProxies(t *testing.T) {
	s := newStack(t, fmt.Sprintf(`
services:
  a: {%[1]s}
  b: {%[1]s, environment: {HTTP_PROXY: own}}
`, sleeper), "docker/config.json", `{"proxies": {"default": {"httpProxy": "http://proxy.test:3128", "noProxy": "localhost"}}}`)
	s.env = append(s.env, "DOCKER_CONFIG="+filepath.Join(s.dir, "docker"))
	s.load("busybox")
	s.podc("up", "-d")
	s.says("a", `echo $HTTP_PROXY $http_proxy $NO_PROXY`, "http://proxy.test:3128 http://proxy.test:3128 localhost")
	s.says("b", `echo $HTTP_PROXY $http_proxy`, "own http://proxy.test:3128")
	s.write("docker/config.json", `{}`)
	if steps := s.plan(); len(steps) > 0 {
		t.Errorf("a changed proxy recreates: %v", steps)
	}
	s.podc("up", "-d", "--force-recreate")
	s.says("a", `echo "[$HTTP_PROXY]"`, "[]")
}

func needPlugins(t *testing.T, plugins ...string) {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("needs root and the real machine")
	}
	for _, dir := range []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"} {
		missing := slices.ContainsFunc(plugins, func(p string) bool { _, err := os.Stat(filepath.Join(dir, p)); return err != nil })
		if !missing {
			return
		}
	}
	t.Skipf("needs the CNI plugins %s", strings.Join(plugins, ", "))
}

// A bridge that a file names and that podc did not make is used and left; anything else of that name is left, and refused before
// anything is made.
func TestBridgesOfOthers(t *testing.T) {
	taken, bridge, subnet := fmt.Sprintf("pxv%d", os.Getpid()), fmt.Sprintf("pxb%d", os.Getpid()), subnet24(30)
	compose := func(link string) string {
		return fmt.Sprintf("services: {web: {%s, networks: [n]}}\nnetworks: {n: {driver_opts: {com.docker.network.bridge.name: %s}}}\n", sleeper, link)
	}
	s := newStack(t, compose(taken))
	s.load("busybox")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = taken
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: taken + "p"}
	attrs.Name = bridge
	lent := &netlink.Bridge{LinkAttrs: attrs}
	if err := errors.Join(netlink.LinkAdd(veth), netlink.LinkAdd(lent)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(veth); netlink.LinkDel(lent) })
	if err := addAddress(lent, subnet+".1/24"); err != nil {
		t.Fatal(err)
	}
	contains(t, s.fails(1, "up", "-d"), "interface "+taken+" exists", "left alone")
	if made := s.podc("network", "ls", "-q"); strings.Contains(made, "p_n") || len(s.ps()) > 0 {
		t.Errorf("made before the refusal: %s %v", made, s.ps())
	}
	s.write("compose.yaml", compose(bridge))
	s.podc("up", "-d")
	if got := s.interfaces("web")["eth0"]; !slices.Equal(got, []string{subnet + ".2/24"}) {
		t.Errorf("addresses %v", got)
	}
	s.down("-t", "0")
	for _, name := range []string{taken, bridge} {
		if _, err := netlink.LinkByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if addrs, err := netlink.AddrList(lent, netlink.FAMILY_V4); err != nil || len(addrs) != 1 {
		t.Errorf("its addresses are %v %v", addrs, err)
	}
}

// network_mode bridge is a network of the project, and options that docker knows are no obstacle.
func TestNetworkModeBridge(t *testing.T) {
	s := newStack(t, fmt.Sprintf(`
services:
  a: {%[1]s, network_mode: bridge}
  b: {%[1]s, network_mode: bridge}
  c: {%[1]s, networks: [n]}
networks: {n: {driver_opts: {com.docker.network.enable_ipv6: "true", com.docker.network.bridge.inhibit_ipv4: "false"}}}
`, sleeper))
	s.load("busybox")
	out, err := s.try("up", "-d")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	contains(t, out, "inhibit_ipv4: ignored")
	contains(t, s.sh("a", "nslookup b 127.0.0.11"), strings.Split(s.interfaces("b")["eth0"][0], "/")[0])
	if got := s.interfaces("c")["eth0"]; len(got) != 2 {
		t.Errorf("addresses of c: %v", got)
	}
	if steps := s.plan(); len(steps) > 0 {
		t.Errorf("steps %v", steps)
	}
}

// An address that a service names is given to nobody else, whoever starts first, runs or not; what cannot be had is refused before
// anything is made.
func TestStaticAddressesAreKeptFree(t *testing.T) {
	subnet := subnet24(31)
	compose := func(more string) string {
		return strings.NewReplacer("SLEEPER", sleeper, "NET", subnet).Replace(`
services:
  any: {SLEEPER, networks: [n]}
  web: {SLEEPER, networks: {n: {ipv4_address: NET.2}}, depends_on: [any]}
  later: {SLEEPER, networks: {n: {ipv4_address: NET.3}}, profiles: [later]}
` + more + `
networks: {n: {ipam: {config: [{subnet: NET.0/29}]}}}
`)
	}
	s := newStack(t, compose(""))
	s.load("busybox")
	s.podc("up", "-d")
	if got := s.interfaces("any")["eth0"]; !slices.Equal(got, []string{subnet + ".4/29"}) {
		t.Errorf("any has %v", got)
	}
	if steps := s.plan(); len(steps) > 0 {
		t.Errorf("steps %v", steps)
	}
	s.podc("stop", "-t", "0", "web")
	contains(t, s.fails(1, "up", "-d", "--no-recreate", "--scale", "any=4", "any"), "no free address")
	s.podc("up", "-d", "--scale", "any=1") // the second may be the one that has none
	s.podc("up", "-d", "--scale", "any=2")
	if got := s.interfaces("web")["eth0"]; !slices.Equal(got, []string{subnet + ".2/29"}) {
		t.Errorf("web has %v", got)
	}
	s.write("compose.yaml", compose("  x: {"+sleeper+", networks: {n: {ipv4_address: "+subnet+".4}}}"))
	before := s.ids()
	contains(t, s.fails(1, "up", "-d"), subnet+".4", `in use by "p-any-1"`)
	contains(t, s.fails(1, "plan"), `in use by "p-any-1"`)
	if after := s.ids(); !maps.Equal(after, before) {
		t.Errorf("containers were %v, are %v", before, after)
	}
	s.write("compose.yaml", compose("  x: {"+sleeper+", networks: {n: {ipv4_address: "+subnet+".9}}}"))
	contains(t, s.fails(1, "up", "-d"), subnet+".9")
	// By hand, and of a container that does not run.
	s.write("compose.yaml", compose(""))
	s.podc("up", "-d", "--scale", "any=1")
	s.podc("network", "create", "--subnet", subnet24(32)+".0/29", "extra")
	s.podc("network", "connect", "--ip", subnet24(32)+".2", "extra", "p-web-1")
	s.podc("stop", "-t", "0", "web")
	s.podc("network", "connect", "extra", "p-any-1")
	if got := s.interfaces("any")["eth1"]; !slices.Equal(got, []string{subnet24(32) + ".3/29"}) {
		t.Errorf("any has %v", got)
	}
	s.podc("--profile", "later", "up", "-d")
	contains(t, s.fails(1, "network", "connect", "--ip", subnet24(32)+".2", "extra", "p-later-1"), `"p-web-1"`)
	s.down("-t", "0", "--remove-orphans")
	s.podc("network", "rm", "extra")
}
