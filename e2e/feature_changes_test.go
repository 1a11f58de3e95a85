package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What one service gives up another may take, in the same up.
func TestChangesOfAProject(t *testing.T) {
	one, two := freePort(t), freePort(t)
	net := subnet24(20)
	base := func(services string) string {
		return "x-probe: &probe {image: localhost/podc-probe, stop_signal: SIGKILL}\nservices:\n" + services +
			fmt.Sprintf("networks: {default: {ipam: {config: [{subnet: %s.0/24}]}}}\n", net)
	}
	s := newStack(t, base(fmt.Sprintf(`
  a: {<<: *probe, hostname: a, ports: ['%d:8080'], networks: {default: {ipv4_address: %s.50}}, container_name: first}
  b: {<<: *probe, hostname: b, ports: ['%d:8080'], networks: {default: {ipv4_address: %s.51}}}
`, one, net, two, net)))
	s.load("probe")
	s.podc("up", "-d")
	s.behaves("ports and addresses are swapped", func(s *stack) {
		s.write("compose.yaml", base(fmt.Sprintf(`
  a: {<<: *probe, hostname: a, ports: ['%d:8080'], networks: {default: {ipv4_address: %s.51}}, container_name: first}
  b: {<<: *probe, hostname: b, ports: ['%d:8080'], networks: {default: {ipv4_address: %s.50}}}
`, two, net, one, net)))
		s.podc("up", "-d")
		s.answers(fmt.Sprintf("127.0.0.1:%d", one), "host: b")
		s.answers(fmt.Sprintf("127.0.0.1:%d", two), "host: a")
		if got := s.lookup("a", "b"); len(got) != 1 || got[0] != net+".50" {
			s.t.Errorf("b is at %v", got)
		}
	})
	s.behaves("a name is handed over", func(s *stack) {
		s.write("compose.yaml", base(fmt.Sprintf(`
  a: {<<: *probe, hostname: a, ports: ['%d:8080']}
  b: {<<: *probe, hostname: b, ports: ['%d:8080'], container_name: first}
`, two, one)))
		s.podc("up", "-d")
		rows := s.ps()
		if rows["first"].Service != "b" || rows["p-a-1"].Service != "a" || len(rows) != 2 {
			s.t.Errorf("it is %v", rows)
		}
	})
	s.behaves("a port moves from a service that goes to one that comes", func(s *stack) {
		s.write("compose.yaml", base(fmt.Sprintf(`
  b: {<<: *probe, hostname: b, ports: ['%d:8080'], container_name: first}
  c: {<<: *probe, hostname: c, ports: ['%d:8080']}
`, one, two)))
		contains(s.t, s.fails(1, "up", "-d"), fmt.Sprint(two), "p-a-1")
		s.podc("up", "-d", "--remove-orphans")
		s.answers(fmt.Sprintf("127.0.0.1:%d", two), "host: c")
	})
	s.behaves("a range grows and shrinks with the replicas", func(s *stack) {
		first := freePorts(s.t, 4)
		text := func(replicas int) string {
			return base(fmt.Sprintf("  c: {<<: *probe, scale: %d, ports: ['%d-%d:8080']}\n", replicas, first, first+3))
		}
		for _, replicas := range []int{2, 4, 1, 3} {
			s.write("compose.yaml", text(replicas))
			s.podc("up", "-d", "--remove-orphans")
			open := 0
			for _, r := range s.ps() {
				for _, p := range r.Publishers {
					if p.PublishedPort >= first && p.PublishedPort <= first+3 {
						s.answers(fmt.Sprintf("127.0.0.1:%d", p.PublishedPort), "host: ")
						open++
					}
				}
			}
			if open != replicas {
				s.t.Errorf("%d replicas have %d ports", replicas, open)
			}
		}
		s.write("compose.yaml", text(5))
		s.fails(1, "up", "-d")
		if rows := s.ps(); len(rows) != 3 {
			s.t.Errorf("refused, but it is %v", rows)
		}
		s.write("compose.yaml", text(1))
	})
	s.behaves("a subnet is changed under running containers", func(s *stack) {
		s.write("compose.yaml", strings.ReplaceAll(base("  c: {<<: *probe}\n"), net+".0/24", subnet24(21)+".0/24"))
		s.podc("up", "-d")
		if got := s.lookup("c", "c"); len(got) != 1 || !strings.HasPrefix(got[0], subnet24(21)+".") {
			s.t.Errorf("c is at %v", got)
		}
	})
	s.behaves("down of one service leaves the others", func(s *stack) {
		s.write("compose.yaml", base("  c: {<<: *probe}\n  d: {<<: *probe}\n"))
		s.podc("up", "-d")
		s.podc("down", "d")
		if rows := s.ps(); len(rows) != 1 || rows["p-c-1"].State != "running" {
			s.t.Errorf("it is %v", rows)
		}
	})
	s.behaves("replicas beyond a fixed name or port are refused", func(s *stack) {
		for want, service := range map[string]string{
			"container_name": "{<<: *probe, container_name: only, scale: 2}",
			"ports":          fmt.Sprintf("{<<: *probe, scale: 2, ports: ['%d:8080']}", one),
		} {
			s.write("compose.yaml", base("  c: "+service+"\n"))
			contains(s.t, s.fails(1, "up", "-d"), want)
		}
		s.write("compose.yaml", base(fmt.Sprintf("  c: {<<: *probe, ports: ['%d:8080']}\n", one)))
		contains(s.t, s.fails(1, "up", "-d", "--scale", "c=2"), fmt.Sprint(one))
	})
}

func TestInterruptedUp(t *testing.T) {
	s := newStack(t, `
services:
  slow: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, healthcheck: {test: 'false', interval: 100ms, retries: 10000}}
  after: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, depends_on: {slow: {condition: service_healthy}}}
`)
	s.load("busybox")
	s.behaves("ends with code 130, leaves what runs running, and can be taken up again", func(s *stack) {
		up := s.begin("up", "-d")
		up.prints("p-slow-1 Waiting")
		start := time.Now()
		up.interrupt()
		up.ends(130)
		if d := time.Since(start); d > 5*time.Second {
			s.t.Errorf("it took %s", d)
		}
		if rows := s.ps(); rows["p-slow-1"].State != "running" || rows["p-after-1"].State == "running" {
			s.t.Errorf("it is %v", rows)
		}
		s.write("compose.yaml", "services: {slow: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}, after: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}}")
		s.podc("up", "-d")
		if rows := s.ps(); rows["p-after-1"].State != "running" {
			s.t.Errorf("it is %v", rows)
		}
	})
	s.behaves("of a stop leaves the project in order", func(s *stack) {
		s.write("compose.yaml", "services: {slow: {image: localhost/podc-probe, command: stubborn, stop_grace_period: 1h}}")
		s.load("probe")
		s.podc("up", "-d", "--remove-orphans")
		stop := s.begin("stop")
		stop.prints("p-slow-1 Stopping")
		stop.interrupt()
		stop.ends(130)
		s.podc("stop", "-t", "0")
		s.ended("slow", 137)
	})
}
