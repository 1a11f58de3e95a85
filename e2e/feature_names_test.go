package e2e

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// lookup asks the pod's resolver for the addresses of a name, sorted; none if it is not known.
func (s *stack) lookup(service, name string) []string {
	s.t.Helper()
	out, err := s.try("exec", "-T", service, "/probe", "lookup", name)
	if err != nil && !strings.Contains(out, "no such host") {
		s.t.Errorf("lookup of %s in %s: %v: %s", name, service, err, out)
	}
	first, _, _ := strings.Cut(out, "\n")
	addresses := strings.Fields(strings.TrimPrefix(first, name))
	slices.Sort(addresses)
	return addresses
}

func TestNames(t *testing.T) {
	static := subnet24(1)
	s := newStack(t, fmt.Sprintf(`
services:
  web:
    image: localhost/podc-probe
    command: sleep
    scale: 3
    networks: {front: {aliases: [www, web.example.test]}}
  db:
    image: localhost/podc-probe
    command: sleep
    container_name: p-database
    networks: {back: {ipv4_address: %[1]s.77}, front: {aliases: [data]}}
  both: {image: localhost/podc-probe, command: sleep, networks: [front, back], links: ['db:store']}
  back: {image: localhost/podc-probe, command: sleep, networks: [back]}
  alone: {image: localhost/podc-probe, command: sleep}
  named:
    %[2]s
    networks: [front]
    hostname: box
    domainname: example.test
    dns: [192.0.2.53]
    dns_search: [a.test, b.test]
    dns_opt: ['timeout:1']
  shell: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, networks: [front]}
networks:
  front: {}
  back: {ipam: {config: [{subnet: %[1]s.0/24, ip_range: %[1]s.128/25, gateway: %[1]s.9, aux_addresses: {router: %[1]s.128}}]}}
`, static, "image: localhost/podc-busybox\n    command: sleep 1000\n    stop_signal: SIGKILL"))
	s.load("busybox", "probe")
	s.podc("up", "-d")

	s.behaves("of services, replicas, containers and aliases are found", func(s *stack) {
		rows := s.ps()
		for _, name := range []string{"db", "p-database", rows["p-database"].ID[:12], "DB", "db.", "p-database.p_back"} {
			if got := s.lookup("back", name); !slices.Equal(got, []string{static + ".77"}) {
				s.t.Errorf("%s is at %v", name, got)
			}
		}
		if got := s.lookup("both", "data"); len(got) != 1 || got[0] == static+".77" {
			s.t.Errorf("the alias on one network is at %v", got)
		}
		one := s.lookup("both", "p-web-2")
		if all := s.lookup("both", "web"); len(all) != 3 || len(one) != 1 || !slices.Contains(all, one[0]) {
			s.t.Errorf("web is at %v, p-web-2 at %v", all, one)
		}
		for _, alias := range []string{"www", "web.example.test"} {
			if got := s.lookup("both", alias); len(got) != 3 {
				s.t.Errorf("%s is at %v", alias, got)
			}
		}
	})
	s.behaves("of hosts are found, with their domain, but not those of one-offs", func(s *stack) {
		want := s.lookup("both", "named")
		s.podc("run", "-d", "named", "sleep", "1000")
		for _, name := range []string{"box", "BOX.example.test"} {
			if got := s.lookup("both", name); len(got) != 1 || !slices.Equal(got, want) {
				s.t.Errorf("%s is at %v, want %v", name, got, want)
			}
			if got := s.lookup("back", name); len(got) != 0 {
				s.t.Errorf("%s on another network is found at %v", name, got)
			}
		}
	})
	s.behaves("of links are for the linking service only", func(s *stack) {
		if got := s.lookup("both", "store"); !slices.Contains(got, static+".77") {
			s.t.Errorf("store is at %v", got)
		}
		if got := s.lookup("back", "store"); len(got) != 0 {
			s.t.Errorf("another service finds the link's name at %v", got)
		}
	})
	s.behaves("are only found on a shared network", func(s *stack) {
		if got := s.lookup("back", "web"); len(got) != 0 {
			s.t.Errorf("a service on another network is found at %v", got)
		}
		if got := s.lookup("back", "data"); len(got) != 0 {
			s.t.Errorf("an alias of another network is found at %v", got)
		}
		if got := s.lookup("alone", "db"); len(got) != 0 {
			s.t.Errorf("a service on another network is found at %v", got)
		}
		if got := s.lookup("back", "db"); !slices.Equal(got, []string{static + ".77"}) {
			s.t.Errorf("db is at %v, want only its address on the shared network", got)
		}
	})
	s.behaves("of several replicas come in turn", func(s *stack) {
		first := map[string]bool{}
		for range 30 {
			f := strings.Fields(s.sh("shell", "nslookup -type=a web 127.0.0.11 | sed -n 's/^Address: \\(.*\\)/\\1/p'"))
			if len(f) == 0 {
				s.t.Fatal("no answer")
			}
			if first[f[0]] = true; len(first) == 3 {
				return
			}
		}
		s.t.Errorf("the first of three addresses is always one of %v", first)
	})
	s.behaves("lead back from addresses", func(s *stack) {
		contains(s.t, s.sh("shell", "nslookup "+s.lookup("both", "p-web-1")[0]+" 127.0.0.11"), "p-web-1")
	})
	s.behaves("vanish with a stopped container and come back with it", func(s *stack) {
		s.podc("stop", "-t", "0", "db")
		if got := s.lookup("both", "db"); len(got) != 0 {
			s.t.Errorf("a stopped service is found at %v", got)
		}
		s.podc("start", "db")
		if got := s.lookup("both", "db"); len(got) == 0 {
			s.t.Error("a started service is not found")
		}
	})
	s.behaves("vanish with a replica that is scaled away", func(s *stack) {
		s.podc("up", "-d", "--scale", "web=1", "-t", "0")
		if got := s.lookup("both", "web"); len(got) != 1 {
			s.t.Errorf("one replica is found at %v", got)
		}
	})
	s.behaves("of a host are what it was given", func(s *stack) {
		s.says("named", "hostname", "box")
		s.says("named", "cat /etc/hostname", "box")
		s.says("named", "cat /proc/sys/kernel/domainname", "example.test")
		contains(s.t, s.sh("named", "cat /etc/hosts"), "box.example.test box", "127.0.0.1\tlocalhost")
		s.says("shell", "hostname", s.ps()["p-shell-1"].ID[:12])
	})
	s.behaves("are searched as dns_search and dns_opt say", func(s *stack) {
		contains(s.t, s.sh("named", "cat /etc/resolv.conf"), "nameserver 127.0.0.11\n", "search a.test b.test\n", "timeout:1")
	})
	s.behaves("static addresses and the rest of ipam are as asked for", func(s *stack) {
		address := s.exec("back", "/probe", "lookup", "back")
		var last int
		if _, err := fmt.Sscanf(strings.TrimPrefix(address, "back "+static+"."), "%d", &last); err != nil || last <= 128 {
			s.t.Errorf("%q is not within the ip_range or is reserved", address)
		}
		contains(s.t, s.podc("network", "inspect", "p_back"), static+".9")
	})
	s.behaves("a network is removed only when nothing uses it", func(s *stack) {
		contains(s.t, s.fails(1, "network", "rm", "p_back"), "p_back")
		s.podc("network", "inspect", "p_back")
	})
}

// upstream is a name server on the host's loopback that knows one name, external.test, and counts what it is asked.
func upstream(t *testing.T, address string) (asked func() int) {
	t.Helper()
	questions := make(chan string, 100)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		questions <- q.Question[0].Name
		m := new(dns.Msg).SetReply(q)
		if q.Question[0].Name == "external.test." && q.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR("external.test. 60 IN A 198.51.100.7")
			m.Answer = append(m.Answer, rr)
		} else {
			m.Rcode = dns.RcodeNameError
		}
		w.WriteMsg(m)
	})
	packets, err := net.ListenPacket("udp", address+":53")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: packets, Handler: handler}
	go server.ActivateAndServe()
	t.Cleanup(func() { server.Shutdown() })
	return func() int { return len(questions) }
}

func TestForwardedNames(t *testing.T) {
	const server = "127.0.53.1"
	asked := upstream(t, server)
	s := newStack(t, `
services:
  out: {image: localhost/podc-probe, command: sleep, dns: [`+server+`]}
  inner: {image: localhost/podc-probe, command: sleep, dns: [`+server+`], networks: [inside]}
  both: {image: localhost/podc-probe, command: sleep, dns: [`+server+`], networks: [inside, default]}
networks: {inside: {internal: true}}
`)
	s.load("probe")
	s.podc("up", "-d")
	s.behaves("come from the upstream servers", func(s *stack) {
		for _, service := range []string{"out", "both"} {
			if got := s.lookup(service, "external.test"); !slices.Equal(got, []string{"198.51.100.7"}) {
				s.t.Errorf("%s finds external.test at %v", service, got)
			}
		}
		if got := s.lookup("out", "unknown.test"); len(got) != 0 {
			s.t.Errorf("unknown.test is at %v", got)
		}
	})
	s.behaves("are never asked for by an internal network", func(s *stack) {
		before := asked()
		start := time.Now()
		if got := s.lookup("inner", "external.test"); len(got) != 0 {
			s.t.Errorf("external.test is at %v", got)
		}
		if d := time.Since(start); d > 4*time.Second {
			s.t.Errorf("the refusal took %s", d)
		}
		if asked() != before {
			s.t.Error("the upstream was asked")
		}
		if got := s.lookup("inner", "both"); len(got) != 1 {
			s.t.Errorf("a name of its own is found at %v", got)
		}
	})
}

func TestIsolationBetweenNetworks(t *testing.T) {
	s := newStack(t, `
services:
  a: {image: localhost/podc-busybox, command: nc -ll -p 80 -e cat, stop_signal: SIGKILL, networks: [a]}
  b: {image: localhost/podc-busybox, command: nc -ll -p 80 -e cat, stop_signal: SIGKILL, networks: [b]}
  inner: {image: localhost/podc-busybox, command: nc -ll -p 80 -e cat, stop_signal: SIGKILL, networks: [inside]}
  both: {image: localhost/podc-busybox, command: nc -ll -p 80 -e cat, stop_signal: SIGKILL, networks: [a, inside]}
networks: {a: {}, b: {}, inside: {internal: true}}
`)
	s.load("busybox")
	s.podc("up", "-d")
	address := map[string]string{}
	for _, service := range []string{"a", "b", "inner"} {
		address[service] = s.sh(service, "hostname -i")
	}
	s.behaves("pods reach each other on a shared network", func(s *stack) {
		for _, to := range []string{"a", "inner"} {
			s.exec("both", "nc", "-w", "2", address[to], "80", "-e", "true")
		}
	})
	s.behaves("pods do not reach other networks", func(s *stack) {
		for from, to := range map[string]string{"a": "b", "b": "a", "inner": "a"} {
			s.refused(from, address[to], 80)
		}
		s.refused("a", address["inner"], 80)
	})
	s.behaves("a pod on several networks has an interface for each, and one default route", func(s *stack) {
		s.says("both", "ip -o link | grep -c eth", "2")
		s.says("both", "ip route | grep -c default", "1")
	})
}

func TestNetworkModes(t *testing.T) {
	s := newStack(t, `
services:
  none: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: none}
  host: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: host}
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, environment: {A: '1'}}
  side: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: 'service:web'}
`)
	s.load("busybox", "probe")
	s.podc("up", "-d")
	s.behaves("none has nothing but loopback", func(s *stack) {
		s.says("none", "ls /sys/class/net", "lo")
		s.says("none", "ip -o addr show lo | grep -c 127.0.0.1", "1")
	})
	s.behaves("host is the host's", func(s *stack) {
		if own, err := os.Hostname(); err == nil {
			s.says("host", "hostname", own)
		}
		port := listener(s.t, "127.0.0.1:0")
		s.exec("host", "nc", "-w", "2", "127.0.0.1", fmt.Sprint(port), "-e", "true")
	})
	shared := func(s *stack) {
		s.t.Helper()
		s.exec("side", "nc", "-w", "2", "127.0.0.1", "8080", "-e", "true")
		s.says("side", "hostname -i", s.lookup("web", "web")[0])
		s.says("side", "nslookup -type=a web | grep -c 'Address: '", "1")
	}
	s.behaves("service:x shares loopback, names and addresses with x", shared)
	s.behaves("service:x follows when x is restarted", func(s *stack) {
		pid := s.pid("p-side-1")
		s.podc("restart", "-t", "0", "web")
		if s.pid("p-side-1") == pid {
			s.t.Error("the sharer kept the old namespace")
		}
		shared(s)
	})
	s.behaves("service:x follows when x is recreated", func(s *stack) {
		s.write("compose.yaml", `
services:
  web: {image: localhost/podc-probe, stop_signal: SIGKILL, environment: {A: '2'}}
  side: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: 'service:web'}
`)
		s.podc("up", "-d")
		shared(s)
	})
	s.behaves("service:x follows when x has died and is started again", func(s *stack) {
		kill(s.t, s.pid("p-web-1"))
		eventually(s.t, 10*time.Second, func() error {
			if state := s.ps()["p-web-1"].State; state != "exited" {
				return fmt.Errorf("web is %s", state)
			}
			return nil
		})
		s.podc("up", "-d")
		shared(s)
	})
}
