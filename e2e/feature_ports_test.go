package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestPublishedPorts(t *testing.T) {
	host := hostAddress(t)
	all, local, datagrams, ranged := freePort(t), freePort(t), freePort(t), freePorts(t, 3)
	s := newStack(t, fmt.Sprintf(`
services:
  web:
    image: localhost/podc-probe
    stop_signal: SIGKILL
    networks: [front]
    hostname: web
    ports: ['%[1]d:8080', '127.0.0.1:%[2]d:8080', '8080', {target: 8080, host_ip: %[5]s, published: '%[2]d'}]
  udp: {image: localhost/podc-probe, command: [listen, udp, ':9000'], hostname: udp, stop_signal: SIGKILL, networks: [front], ports: ['%[3]d:9000/udp']}
  many: {image: localhost/podc-probe, stop_signal: SIGKILL, scale: 3, ports: ['%[4]d-%[6]d:8080']}
  near: {%[7]s, networks: [front]}
  asker: {image: localhost/podc-probe, command: sleep, networks: [front]}
  far: {%[7]s}
  inner: {%[7]s, networks: [inside]}
networks: {front: {}, inside: {internal: true}}
`, all, local, datagrams, ranged, host, ranged+2, sleeper))
	s.load("busybox", "probe")
	s.podc("up", "-d")
	rows := s.ps()

	s.behaves("answer on every address of the host", func(s *stack) {
		for _, address := range []string{"127.0.0.1", host} {
			s.answers(fmt.Sprintf("%s:%d", address, all), "host: web")
			s.answers(fmt.Sprintf("%s:%d", address, local), "host: web")
			s.echoes(fmt.Sprintf("%s:%d", address, datagrams))
		}
	})
	s.behaves("answer other pods, on the same network and on another", func(s *stack) {
		for _, service := range []string{"near", "far"} {
			contains(s.t, s.sh(service, fmt.Sprintf(`printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 %s %d`, host, all)), "host: web")
		}
		for _, service := range []string{"asker", "many"} {
			contains(s.t, s.exec(service, "/probe", "send", "udp", fmt.Sprintf("%s:%d", host, datagrams), "hello"), "udp: hello")
		}
	})
	s.behaves("answer the pod that publishes them", func(s *stack) {
		contains(s.t, s.exec("web", "/probe", "get", fmt.Sprintf("http://%s:%d/", host, all)), "host: web")
		contains(s.t, s.exec("udp", "/probe", "send", "udp", fmt.Sprintf("%s:%d", host, datagrams), "hello"), "udp: hello")
	})
	s.behaves("do not answer an internal network", func(s *stack) {
		s.refused("inner", host, all)
	})
	s.behaves("on loopback do not answer pods", func(s *stack) {
		// The address is that of the pod itself.
		s.refused("near", "127.0.0.1", all)
	})
	s.behaves("of a range go to the replicas, one each, in order", func(s *stack) {
		hosts, rows := map[string]bool{}, s.ps()
		for i := range 3 {
			page, err := get(ranged+i, "/")
			if err != nil {
				s.t.Error(err)
			}
			hosts[page] = true
			if r := rows[fmt.Sprintf("p-many-%d", i+1)]; len(r.Publishers) == 0 || r.Publishers[0].PublishedPort != ranged+i {
				s.t.Errorf("replica %d has %v", i+1, r.Publishers)
			}
		}
		if len(hosts) != 3 {
			s.t.Errorf("three ports, but these answers: %v", hosts)
		}
	})
	s.behaves("that are ephemeral are chosen and shown", func(s *stack) {
		var ephemeral int
		for _, p := range rows["p-web-1"].Publishers {
			if p.PublishedPort != all && p.PublishedPort != local {
				ephemeral = p.PublishedPort
			}
		}
		page, err := get(ephemeral, "/")
		if err != nil {
			s.t.Fatalf("port %d of %+v: %v", ephemeral, rows["p-web-1"].Publishers, err)
		}
		contains(s.t, page, "host: web")
	})
	s.behaves("keep their ephemeral numbers when nothing changes", func(s *stack) {
		s.podc("up", "-d")
		if before, after := fmt.Sprint(rows["p-web-1"].Publishers), fmt.Sprint(s.ps()["p-web-1"].Publishers); before != after {
			s.t.Errorf("from %s to %s", before, after)
		}
	})
	s.behaves("answer again after a restart", func(s *stack) {
		s.podc("restart", "web")
		s.answers(fmt.Sprintf("127.0.0.1:%d", all), "host: web")
	})
	s.behaves("are free again once the pod is stopped", func(s *stack) {
		s.podc("stop", "web")
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", all))
		if err != nil {
			s.t.Fatal(err)
		}
		defer l.Close()
		out := s.fails(1, "start", "web")
		contains(s.t, out, strconv.Itoa(all), "e2e.test")
		if state := s.ps()["p-web-1"].State; state == "running" {
			s.t.Errorf("web is %s", state)
		}
	})
}

// answers checks that a GET of / at an address of the host has text in it.
func (s *stack) answers(address, text string) {
	s.t.Helper()
	var page string
	eventually(s.t, 10*time.Second, func() error { // the program may not listen yet
		client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + address + "/")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		page = string(b)
		return err
	})
	contains(s.t, page, text)
}

// echoes checks that a datagram to an address of the host comes back.
func (s *stack) echoes(address string) {
	s.t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 100)
	eventually(s.t, 10*time.Second, func() error {
		c.SetDeadline(time.Now().Add(time.Second))
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		n, err := c.Read(buf)
		if got := string(buf[:n]); err == nil && !strings.HasSuffix(got, ": hello") {
			s.t.Errorf("%s answers %q", address, got)
		}
		return err
	})
}

// refused checks that a connection from a service does not come about.
func (s *stack) refused(service, address string, port int) {
	s.t.Helper()
	if out, err := s.try("exec", "-T", service, "nc", "-w", "1", address, strconv.Itoa(port), "-e", "true"); err == nil {
		s.t.Errorf("%s reaches %s:%d: %s", service, address, port, out)
	}
}

func TestServicesOfTheHost(t *testing.T) {
	host := hostAddress(t)
	open, closed := listener(t, "0.0.0.0:0"), listener(t, "127.0.0.1:0")
	s := newStack(t, fmt.Sprintf(`
services:
  a: {%[1]s, extra_hosts: ['host.docker.internal:host-gateway', 'fixed=192.0.2.77']}
  inner: {%[1]s, networks: [inside]}
networks: {inside: {internal: true}}
`, sleeper))
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("are reached by way of host-gateway", func(s *stack) {
		s.exec("a", "nc", "-w", "2", "host.docker.internal", strconv.Itoa(open), "-e", "true")
	})
	s.behaves("on loopback are not reached", func(s *stack) {
		gateway := s.sh("a", "ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'")
		for _, address := range []string{"127.0.0.1", gateway, host} {
			s.refused("a", address, closed)
		}
	})
	s.behaves("are not reached from an internal network", func(s *stack) {
		s.refused("inner", host, open)
		s.says("inner", "ip route | grep -c default || true", "0")
	})
	s.behaves("extra hosts are in /etc/hosts", func(s *stack) {
		s.says("a", "sed -n 's/[[:space:]]*fixed$//p' /etc/hosts", "192.0.2.77")
	})
}

// listener accepts connections on the host until the test ends, and returns its port.
func listener(t *testing.T, address string) int {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}
