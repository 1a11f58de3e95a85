package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestDualStack(t *testing.T) {
	o := newOutside(t)
	host := hostAddress(t)
	all, loop, datagrams, only := freePort(t), freePort(t), freePort(t), freePort(t)
	const probe = "image: localhost/podc-probe, stop_signal: SIGKILL"
	s := newStack(t, fmt.Sprintf(`
services:
  web: {%[1]s, hostname: web, networks: [dual, inside], ports: ['%[2]d:8080', '[::1]:%[3]d:8080']}
  udp: {%[1]s, hostname: udp, command: [listen, udp, ':9000'], networks: [dual], ports: ['%[4]d:9000/udp']}
  six: {%[1]s, hostname: six, networks: {only: {ipv6_address: 'fd5e:1:2:%[5]x::7'}}, ports: ['%[6]d:8080']}
  near: {%[1]s, command: sleep, networks: [dual]}
  far: {%[1]s, command: sleep, networks: [other, only]}
  inner: {%[1]s, command: sleep, networks: [inside]}
  apart: {%[7]s, networks: [other]}
  shell: {%[7]s, networks: {dual: {link_local_ips: [169.254.9.9, 'fe80::9'], interface_name: lan0, driver_opts: {com.docker.network.endpoint.sysctls: net.ipv4.conf.IFNAME.log_martians=1}}}}
networks:
  dual: {enable_ipv6: true}
  other: {enable_ipv6: true}
  only: {enable_ipv6: true, enable_ipv4: false, ipam: {config: [{subnet: 'fd5e:1:2:%[5]x::/64', ip_range: 'fd5e:1:2:%[5]x::100/120', gateway: 'fd5e:1:2:%[5]x::ff'}]}}
  inside: {enable_ipv6: true, internal: true}
`, probe, all, loop, datagrams, all, only, sleeper))
	s.load("busybox", "probe")
	s.podc("up", "-d")
	port := func(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

	s.behaves("published ports answer on every address of the host, in both families", func(s *stack) {
		for _, address := range []string{"127.0.0.1", "::1", host, o.here4, o.here6} {
			s.answers(port(address, all), "host: web")
			s.echoes(port(address, datagrams))
		}
		s.answers(port("::1", loop), "host: web")
		s.answers(port("::1", only), "host: six")
	})
	s.behaves("published ports answer other machines, in both families", func(s *stack) {
		o.reaches(port(o.here4, all), "host: web")
		o.reaches(port(o.here6, all), "host: web")
		o.reaches(port(o.here6, only), "host: six")
		o.isRefused(port(o.here4, only))
		o.isRefused(port(o.here6, loop))
	})
	s.behaves("published ports answer pods, that of the port too, in both families", func(s *stack) {
		for _, service := range []string{"near", "far", "web"} {
			for _, address := range []string{o.here4, o.here6} {
				contains(s.t, s.exec(service, "/probe", "get", "http://"+port(address, all)+"/"), "host: web")
				contains(s.t, s.exec("udp", "/probe", "send", "udp", port(address, datagrams), "hello"), "udp: hello")
			}
		}
	})
	s.behaves("names lead to addresses of both families", func(s *stack) {
		addresses := s.lookup("near", "web")
		if len(addresses) != 2 || strings.Contains(addresses[0], ":") || !strings.HasPrefix(addresses[1], "fd") {
			s.t.Errorf("web is at %v", addresses)
		}
		if got := s.lookup("far", "six"); !slices.Equal(got, []string{fmt.Sprintf("fd5e:1:2:%x::7", all)}) {
			s.t.Errorf("six is at %v", got)
		}
		for _, address := range addresses {
			contains(s.t, s.exec("near", "/probe", "get", "http://"+port(address, 8080)+"/"), "host: web")
			contains(s.t, s.sh("shell", "nslookup "+address+" 127.0.0.11"), "p-web-1")
		}
		contains(s.t, s.sh("shell", "cat /etc/hosts"), s.lookup("near", "shell")[0]+"\t", s.lookup("near", "shell")[1]+"\t")
	})
	s.behaves("addresses come from the given range", func(s *stack) {
		far := netip.MustParseAddr(s.lookup("six", "far")[0])
		if !netip.MustParsePrefix(fmt.Sprintf("fd5e:1:2:%x::100/120", all)).Contains(far) {
			s.t.Errorf("far is at %v", far)
		}
	})
	s.behaves("the way out leads by the host's addresses", func(s *stack) {
		contains(s.t, s.exec("near", "/probe", "send", "tcp", port(o.there4, o.listening4), ""), o.here4)
		contains(s.t, s.exec("near", "/probe", "send", "tcp", port(o.there6, o.listening6), ""), o.here6)
		contains(s.t, s.exec("six", "/probe", "send", "tcp", port(o.there6, o.listening6), ""), o.here6)
	})
	s.behaves("an internal network is closed in both families", func(s *stack) {
		for _, address := range []string{port(o.there4, o.listening4), port(o.there6, o.listening6), port(o.here6, all), port(o.here4, all)} {
			if out, err := s.try("exec", "-T", "inner", "/probe", "send", "tcp", address, ""); err == nil {
				s.t.Errorf("inner reaches %s: %s", address, out)
			}
		}
		for _, address := range s.lookup("inner", "web") {
			contains(s.t, s.exec("inner", "/probe", "get", "http://"+port(address, 8080)+"/"), "host: web")
		}
	})
	s.behaves("pods of other networks are not reached", func(s *stack) {
		for _, address := range s.lookup("near", "web") {
			s.exec("shell", "nc", "-w", "2", address, "8080", "-e", "true")
			s.refused("apart", address, 8080)
		}
	})
	s.behaves("an interface has the name, addresses and settings that were asked for", func(s *stack) {
		contains(s.t, s.sh("shell", "ip addr show lan0"), "169.254.9.9/16", "fe80::9/64")
		s.says("shell", "cat /proc/sys/net/ipv4/conf/lan0/log_martians", "1")
	})
	s.behaves("a plan finds nothing to do", func(s *stack) {
		if steps := s.plan(); len(steps) > 0 {
			s.t.Errorf("steps %v", steps)
		}
	})
	s.behaves("[::1] answers again after the monitor was killed", func(s *stack) {
		for _, pid := range pidsWith("podc-monitor", "monitor", s.run) {
			kill(s.t, pid)
		}
		s.answers(port("::1", all), "host: web")
	})
}

// With nobody typing anything, the network heals after a firewall was loaded anew, and after its bridge was removed. The stack
// has a host of its own, so that the flush is nobody else's.
func TestTheNetworkHealsItself(t *testing.T) {
	ns := hostOfItsOwn(t)
	s := newStack(t, `
services:
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, hostname: web, networks: [dual], ports: ['8080:8080']}
networks: {dual: {enable_ipv6: true, driver_opts: {com.docker.network.bridge.name: podc-heal0}}}
`)
	s.wrap = []string{"nsenter", "--net=" + ns}
	s.load("probe")
	s.podc("up", "-d")
	page := func(address string) error { _, err := fetchInside(t, ns, address); return err }
	for _, loss := range [][]string{{"nft", "flush", "ruleset"}, {"ip", "link", "del", "podc-heal0"}, {"nft", "flush", "ruleset"}} {
		for _, address := range []string{"127.0.0.1:8080", "[::1]:8080"} {
			eventually(t, 5*time.Second, func() error { return page(address) })
		}
		out, err := exec.Command("nsenter", append([]string{"--net=" + ns}, loss...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", loss, err, out)
		}
		eventually(t, 5*time.Second, func() error { return page("127.0.0.1:8080") })
	}
	if out, err := s.try("system", "check"); err != nil {
		t.Errorf("system check: %v\n%s", err, out)
	}
}

// hostOfItsOwn pins a network namespace that has nothing but its loopback.
func hostOfItsOwn(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("needs root and the real machine")
	}
	path := filepath.Join(t.TempDir(), "net")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	insideNewNetns(t, func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err == nil {
			err = unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}
		return err
	})
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	return path
}
