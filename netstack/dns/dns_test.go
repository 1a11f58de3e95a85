package dns

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"podc.example/podc/api"
	"podc.example/podc/netstack"
	"podc.example/podc/netstack/internal/nettest"
)

// lab is a host with networks, pods and a server.
type lab struct {
	t      *testing.T
	dir    string
	stack  *netstack.Stack
	server *Server
}

func newLab(t *testing.T, networks ...api.Network) *lab {
	t.Helper()
	dir := t.TempDir()
	l := &lab{t: t, dir: dir, stack: netstack.Open(netstack.Config{RootID: "0a1b2c3d", Data: filepath.Join(dir, "data"), Run: filepath.Join(dir, "run")})}
	for _, n := range networks {
		_, err := l.stack.CreateNetwork(t.Context(), n)
		must(t, err)
	}
	l.server = l.newServer()
	t.Cleanup(func() { l.server.Close() })
	return l
}

func (l *lab) newServer() *Server {
	l.t.Helper()
	s, err := New(l.stack, slog.New(slog.DiscardHandler))
	must(l.t, err)
	s.hosts = &upstreams{conf: filepath.Join(l.dir, "resolv.conf"), resolved: filepath.Join(l.dir, "resolved.conf")}
	return s
}

func (l *lab) attach(a api.Attachment) api.Attachment {
	l.t.Helper()
	if a.NetNS == "" {
		a.NetNS = nettest.Pin(l.t, l.dir, a.ID)
	}
	a.Owner = a.ID
	got, err := l.stack.Attach(l.t.Context(), a)
	must(l.t, err)
	must(l.t, l.server.Serve(l.t.Context(), a.ID))
	return got
}

func (l *lab) detach(id string) {
	l.t.Helper()
	l.server.Stop(id)
	must(l.t, l.stack.Detach(l.t.Context(), id))
}

// ask sends a query from inside an attachment, as its programs would.
func (l *lab) ask(a api.Attachment, network, name string, typ uint16) *dns.Msg {
	l.t.Helper()
	var conn net.Conn
	must(l.t, nettest.In(a.NetNS, func() (err error) {
		conn, err = net.DialTimeout(network, "127.0.0.11:53", 2*time.Second)
		return err
	}))
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(4 * time.Second))
	c := &dns.Conn{Conn: conn}
	must(l.t, c.WriteMsg(new(dns.Msg).SetQuestion(dns.Fqdn(name), typ)))
	m, err := c.ReadMsg()
	if err != nil {
		l.t.Fatalf("%s asks for %s: %v", a.ID, name, err)
	}
	return m
}

// expect checks an answer: addresses or names separated by spaces, or the name of a code.
func (l *lab) expect(a api.Attachment, name string, typ uint16, want string) {
	l.t.Helper()
	for _, network := range []string{"udp4", "tcp4"} {
		if got := text(l.ask(a, network, name, typ)); got != want {
			l.t.Errorf("%s asks for %s %s by %s: %q, want %q", a.ID, dns.TypeToString[typ], name, network, got, want)
		}
	}
}

func text(m *dns.Msg) string {
	if m.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[m.Rcode]
	}
	var out []string
	for _, rr := range m.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			out = append(out, rr.A.String())
		case *dns.AAAA:
			out = append(out, rr.AAAA.String())
		case *dns.PTR:
			out = append(out, rr.Ptr)
		}
	}
	return strings.Join(out, " ")
}

// upstream serves one address to whatever it is asked; it counts the queries.
func (l *lab) upstream(addr string) *atomic.Int32 {
	l.t.Helper()
	asked := new(atomic.Int32)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, r *dns.Msg) {
		asked.Add(1)
		m := new(dns.Msg).SetReply(r)
		if strings.HasPrefix(r.Question[0].Name, "big.") {
			for i := range 200 {
				m.Answer = append(m.Answer, &dns.A{Hdr: header(r.Question[0].Name, dns.TypeA), A: net.IPv4(198, 51, 100, byte(i))})
			}
			if w.RemoteAddr().Network() == "udp" {
				m.Truncate(512)
			}
		} else {
			m.Answer = append(m.Answer, &dns.A{Hdr: header(r.Question[0].Name, dns.TypeA), A: net.ParseIP("198.51.100.7")})
		}
		w.WriteMsg(m)
	})
	pc, err := net.ListenPacket("udp4", addr)
	must(l.t, err)
	ln, err := net.Listen("tcp4", addr)
	must(l.t, err)
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: ln, Handler: handler}} {
		go s.ActivateAndServe()
		l.t.Cleanup(func() { s.Shutdown() })
	}
	return asked
}

func (l *lab) hostResolvers(servers ...string) {
	l.t.Helper()
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	must(l.t, os.WriteFile(filepath.Join(l.dir, "resolv.conf"), []byte(b.String()), 0o600))
}

func ip(a api.Attachment, i int) string { return a.Interfaces[i].IPv4.Addr().String() }

func on(networks ...string) []api.Endpoint {
	var out []api.Endpoint
	for _, n := range networks {
		out = append(out, api.Endpoint{Network: n})
	}
	return out
}

// Names have addresses of both families, each where there is one, and addresses of both lead back to names.
func TestNames6(t *testing.T) {
	if !nettest.OnHost(t) {
		return
	}
	l := newLab(t, api.Network{Name: "dual", IPv6: true}, api.Network{Name: "six", IPv6: true, NoIPv4: true}, api.Network{Name: "four"})
	l.upstream("127.0.0.2:53")
	l.hostResolvers("127.0.0.2")
	web := l.attach(api.Attachment{ID: "web", Names: []string{"web"}, Endpoints: on("dual", "six", "four")})
	one := l.attach(api.Attachment{ID: "one", Names: []string{"one"}, Endpoints: on("dual")})
	six := l.attach(api.Attachment{ID: "six", Names: []string{"six"}, Endpoints: on("six")})
	four := l.attach(api.Attachment{ID: "four", Names: []string{"four"}, Endpoints: on("four")})
	ip6 := func(a api.Attachment, i int) string { return a.Interfaces[i].IPv6.Addr().String() }
	reverse := func(address string) string {
		name, err := dns.ReverseAddr(address)
		must(t, err)
		return name
	}
	for _, c := range []struct {
		name string
		typ  uint16
		want string
	}{
		{"one", dns.TypeA, ip(one, 0)},
		{"one", dns.TypeAAAA, ip6(one, 0)},
		{"one", dns.TypeANY, ip(one, 0) + " " + ip6(one, 0)},
		{"six", dns.TypeA, ""},
		{"six", dns.TypeAAAA, ip6(six, 0)},
		{"four", dns.TypeA, ip(four, 0)},
		{"four", dns.TypeAAAA, ""},
		{reverse(ip6(one, 0)), dns.TypePTR, "one.dual."},
		{reverse(ip6(six, 0)), dns.TypePTR, "six.six."},
		{reverse(ip(four, 0)), dns.TypePTR, "four.four."},
		{strings.Replace(reverse(ip6(one, 0)), "3.0", "e.e", 1), dns.TypePTR, "NXDOMAIN"},
		{"1.ip6.arpa", dns.TypePTR, "198.51.100.7"}, // no address: asked outside
	} {
		l.expect(web, c.name, c.typ, c.want)
	}
	// replicas come in turn, in each family by itself
	l.attach(api.Attachment{ID: "again", Names: []string{"one"}, Endpoints: on("dual")})
	for _, typ := range []uint16{dns.TypeA, dns.TypeAAAA} {
		first := text(l.ask(web, "udp4", "one", typ))
		if second := text(l.ask(web, "udp4", "one", typ)); first == second || len(strings.Fields(second)) != 2 {
			t.Errorf("%q and then %q", first, second)
		}
	}
}

func TestNames(t *testing.T) {
	if !nettest.OnHost(t) {
		return
	}
	l := newLab(t, api.Network{Name: "front"}, api.Network{Name: "back"}, api.Network{Name: "inside", Internal: true})
	asked := l.upstream("127.0.0.2:53")
	l.hostResolvers("127.0.0.2")
	web := l.attach(api.Attachment{ID: "web", Names: []string{"web", "Shop-Web-1"}, Endpoints: []api.Endpoint{
		{Network: "front", Aliases: []string{"www"}}, {Network: "inside", Aliases: []string{"app"}}}, Links: map[string]string{"Database": "db"}})
	db := l.attach(api.Attachment{ID: "db", Names: []string{"db"}, Endpoints: on("inside")})
	other := l.attach(api.Attachment{ID: "other", Names: []string{"other"}, Endpoints: on("back")})
	const outside = "198.51.100.7"
	for _, c := range []struct {
		a    api.Attachment
		name string
		typ  uint16
		want string
	}{
		{web, "web", dns.TypeA, ip(web, 0)},
		{web, "WWW", dns.TypeA, ip(web, 0)},
		{web, "shop-web-1.front", dns.TypeA, ip(web, 0)},
		{web, "web.inside", dns.TypeA, ip(web, 1)},
		{web, "db", dns.TypeA, ip(db, 0)},
		{web, "db", dns.TypeAAAA, ""},
		{web, "db", dns.TypeMX, ""},
		{web, "database", dns.TypeA, ip(db, 0)},
		{db, "web", dns.TypeA, ip(web, 1)},
		{db, "app", dns.TypeA, ip(web, 1)},
		{web, reverse(ip(db, 0)), dns.TypePTR, "db.inside."},
		{web, reverse(ip(web, 0)), dns.TypePTR, "web.front."},
		{web, reverse(web.Interfaces[0].Gateway.String()), dns.TypePTR, "NXDOMAIN"},
		// not on a shared network, not the other's link, not the other network's alias
		{other, "web", dns.TypeA, outside},
		{web, "other", dns.TypeA, outside},
		{db, "database", dns.TypeA, "NXDOMAIN"},
		{db, "www", dns.TypeA, "NXDOMAIN"},
		// the world
		{other, "example.com", dns.TypeA, outside},
		{web, "example.com", dns.TypeA, outside},
		{db, "example.com", dns.TypeA, "NXDOMAIN"},
	} {
		before := asked.Load()
		l.expect(c.a, c.name, c.typ, c.want)
		if forwarded := asked.Load() > before; forwarded != (c.want == outside) {
			t.Errorf("%s asks for %s: forwarded %t", c.a.ID, c.name, forwarded)
		}
	}
	l.detach("db")
	l.expect(web, "database", dns.TypeA, outside) // gone at once
	back := l.attach(api.Attachment{ID: "db", NetNS: db.NetNS, Names: []string{"db"}, Endpoints: on("inside")})
	l.expect(web, "database", dns.TypeA, ip(back, 0))
}

func reverse(a string) string {
	name, _ := dns.ReverseAddr(a)
	return name
}

func TestRoundRobin(t *testing.T) {
	if !nettest.OnHost(t) {
		return
	}
	l := newLab(t, api.Network{Name: "net"})
	var all []string
	var web api.Attachment
	for i := range 3 {
		web = l.attach(api.Attachment{ID: fmt.Sprint("web", i), Names: []string{"web"}, Endpoints: on("net")})
		all = append(all, ip(web, 0))
	}
	first := map[string]int{}
	for range 9 {
		l.ask(web, "udp4", "web", dns.TypeAAAA) // as libcs ask beside; it must not take a turn
		got := strings.Fields(text(l.ask(web, "udp4", "web", dns.TypeA)))
		first[got[0]]++
		slices.Sort(got)
		if !slices.Equal(got, all) {
			t.Errorf("answered %v, want %v", got, all)
		}
	}
	for _, a := range all {
		if first[a] != 3 {
			t.Errorf("first in the answers: %v", first)
		}
	}
}

// A container may listen on port 53 of every address: it gets its own queries and podc gets those for 127.0.0.11.
func TestContainerOnPort53(t *testing.T) {
	if !nettest.OnHost(t) {
		return
	}
	l := newLab(t, api.Network{Name: "net"})
	pod := l.attach(api.Attachment{ID: "pod", Names: []string{"pod"}, Endpoints: on("net")})
	var pc net.PacketConn
	must(t, nettest.In(pod.NetNS, func() (err error) {
		pc, err = net.ListenPacket("udp4", "0.0.0.0:53")
		return err
	}))
	defer pc.Close()
	l.expect(pod, "pod", dns.TypeA, ip(pod, 0))
	// A second server, as after kill -9 of the first, takes the same ports; if a container has them, others.
	before, err := l.stack.Attachment("pod")
	must(t, err)
	l.server.Close()
	l.server = l.newServer()
	must(t, l.server.Serve(t.Context(), "pod"))
	l.expect(pod, "pod", dns.TypeA, ip(pod, 0))
	if after, _ := l.stack.Attachment("pod"); after.DNSPorts != before.DNSPorts {
		t.Errorf("ports changed from %v to %v", before.DNSPorts, after.DNSPorts)
	}
	l.server.Close()
	l.server = l.newServer()
	must(t, nettest.In(pod.NetNS, func() error {
		thief, err := net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", before.DNSPorts.UDP))
		if err == nil {
			t.Cleanup(func() { thief.Close() })
		}
		return err
	}))
	must(t, l.server.Serve(t.Context(), "pod"))
	l.expect(pod, "pod", dns.TypeA, ip(pod, 0))
	if after, _ := l.stack.Attachment("pod"); after.DNSPorts.UDP == before.DNSPorts.UDP {
		t.Error("the stolen port is still noted")
	}
}

func TestUpstreams(t *testing.T) {
	if !nettest.OnHost(t) {
		return
	}
	l := newLab(t, api.Network{Name: "net"})
	first, second, own := l.upstream("127.0.0.2:53"), l.upstream("127.0.0.3:53"), l.upstream("127.0.0.4:53")
	l.hostResolvers("127.0.0.2")
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: on("net")})
	special := l.attach(api.Attachment{ID: "special", Endpoints: on("net"), DNS: []string{"127.0.0.4"}})
	count := func(n *atomic.Int32, a api.Attachment, name, want string) {
		t.Helper()
		before := n.Load()
		l.expect(a, name, dns.TypeA, want)
		if got := n.Load() - before; got != 2 {
			t.Errorf("%s asks for %s: %d queries arrived, want 2", a.ID, name, got)
		}
	}
	count(first, pod, "example.com", "198.51.100.7")
	count(own, special, "example.com", "198.51.100.7")
	l.hostResolvers("127.0.0.3") // changes are followed
	count(second, pod, "example.com", "198.51.100.7")
	must(t, os.WriteFile(filepath.Join(l.dir, "resolved.conf"), []byte("nameserver 127.0.0.2\n"), 0o600))
	l.hostResolvers("127.0.0.53") // the stub of systemd-resolved is passed by
	count(first, pod, "example.com", "198.51.100.7")
	l.hostResolvers("127.0.0.9", "127.0.0.3") // the first does not answer
	count(second, pod, "example.com", "198.51.100.7")
	l.hostResolvers("127.0.0.9")
	l.expect(pod, "example.com", dns.TypeA, "SERVFAIL")
	l.hostResolvers("127.0.0.3")
	if m := l.ask(pod, "udp4", "big.example.com", dns.TypeA); !m.Truncated {
		t.Error("a large answer by UDP is not marked as cut")
	}
	if m := l.ask(pod, "tcp4", "big.example.com", dns.TypeA); len(m.Answer) != 200 {
		t.Errorf("%d answers by TCP", len(m.Answer))
	}
}

// Stop leaves no socket in the namespace, also with a connection open and a query on its way.
func TestStopClosesEverything(t *testing.T) {
	if !nettest.OnHost(t) {
		return
	}
	l := newLab(t, api.Network{Name: "net"})
	silent, err := net.ListenPacket("udp4", "127.0.0.2:53")
	must(t, err)
	defer silent.Close()
	l.hostResolvers("127.0.0.2")
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: on("net")})
	must(t, nettest.In(pod.NetNS, func() error {
		for range 2 * maxConns {
			c, err := net.Dial("tcp4", "127.0.0.11:53")
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
		}
		c, err := net.Dial("udp4", "127.0.0.11:53")
		if err != nil {
			return err
		}
		b, _ := new(dns.Msg).SetQuestion("example.com.", dns.TypeA).Pack()
		_, err = c.Write(b)
		return err
	}))
	silent.ReadFrom(make([]byte, 512)) // it is on its way
	start := time.Now()
	l.server.Stop("pod")
	if d := time.Since(start); d > time.Second {
		t.Errorf("Stop took %v", d)
	}
	must(t, nettest.In(pod.NetNS, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/udp")
		if err == nil && strings.Contains(string(b), ": 0B00007F") {
			err = fmt.Errorf("sockets are left:\n%s", b)
		}
		return err
	}))
}

// Names are right at every moment while pods come and go.
func TestNamesAreFresh(t *testing.T) {
	dir := t.TempDir()
	n, err := openNames(dir)
	must(t, err)
	defer n.close()
	must(t, n.watch("net"))
	for i := range 500 {
		file := filepath.Join(dir, "net", "a.json")
		tmp := filepath.Join(dir, "net", ".tmp-a")
		must(t, os.WriteFile(tmp, fmt.Appendf(nil, `{"names":["web"],"ipv4":"10.0.%d.%d"}`, i/250, i%250), 0o600))
		must(t, os.Rename(tmp, file))
		if got, _ := n.lookup("net", "web", dns.TypeA); len(got) != 1 || got[0] != netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i % 250)}) {
			t.Fatalf("round %d: %v", i, got)
		}
		must(t, os.Remove(file))
		if got, _ := n.lookup("net", "web", dns.TypeA); got != nil {
			t.Fatalf("round %d: still %v", i, got)
		}
	}
	must(t, os.RemoveAll(filepath.Join(dir, "net")))
	if got, _ := n.lookup("net", "web", dns.TypeA); got != nil {
		t.Error(got)
	}
	must(t, n.watch("net")) // a network of the same name again
	must(t, os.WriteFile(filepath.Join(dir, "net", "b.json"), []byte(`{"names":["web"],"ipv4":"10.0.0.1"}`), 0o600))
	if got, _ := n.lookup("net", "web", dns.TypeA); len(got) != 1 {
		t.Error(got)
	}
}

func FuzzHandle(f *testing.F) {
	n, err := openNames(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	v := view{names: n, networks: []membership{{"net", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}}, links: map[string]string{}}
	for _, q := range []string{"web.", "1.0.0.10.in-addr.arpa.", "example.com."} {
		b, _ := new(dns.Msg).SetQuestion(q, dns.TypePTR).SetEdns0(1232, true).Pack()
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, tcp := range []bool{false, true} {
			answer, ask := v.handle(wire, tcp)
			if ask != nil {
				t.Fatal("forwarded from an internal network")
			}
			if answer == nil {
				continue
			}
			m := new(dns.Msg)
			if err := m.Unpack(answer); err != nil {
				t.Fatalf("answer does not decode: %v", err)
			}
			if m.Id != uint16(wire[0])<<8|uint16(wire[1]) || !m.Response {
				t.Fatal("answer to another query")
			}
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
