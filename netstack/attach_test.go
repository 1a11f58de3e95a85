package netstack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/lease"
)

func TestAttachTwiceAndDetachTwice(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "front"})
	want := api.Attachment{ID: "web", Owner: "shop-web-1", NetNS: l.pin("web"), Names: []string{"Web", "shop-web-1"},
		Endpoints: []api.Endpoint{{Network: "front", Aliases: []string{"www"}, MAC: "02:00:00:00:00:07"}},
		Ports:     []api.Port{{Container: 80, Protocol: "tcp"}, {HostPort: 9000, HostEnd: 9005, Container: 81, Protocol: "tcp"}}}
	first := l.attach(want)
	if first.Ports[0].HostPort == 0 || first.Ports[1].HostPort != 9000 || first.Interfaces[0].MAC != "02:00:00:00:00:07" {
		t.Errorf("attached as %+v", first)
	}
	again := l.attach(want)
	if fmt.Sprint(again) != fmt.Sprint(first) {
		t.Errorf("attached again as\n%+v\nwant\n%+v", again, first)
	}
	third := l.attach(first) // as a restart of the pod asks, with the ports it got
	if fmt.Sprint(third) != fmt.Sprint(first) {
		t.Errorf("restarted as\n%+v\nwant\n%+v", third, first)
	}
	var names NameRecord
	readJSON(t, l.nameFile("front", "web"), &names)
	if !slices.Equal(names.Names, []string{"web", "shop-web-1", "www"}) || names.IPv4 != first.Interfaces[0].IPv4.Addr() {
		t.Errorf("names %+v", names)
	}
	for range 2 {
		must(t, l.Detach(t.Context(), "web"))
		if _, err := l.Attachment("web"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after Detach: %v", err)
		}
	}
	l.clean()
}

func TestStaticAddresses(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net", Subnets: []api.Subnet{{CIDR: prefix("10.9.0.0/24"), IPRange: prefix("10.9.0.128/30"),
		Reserved: map[string]netip.Addr{"printer": mustAddr("10.9.0.129")}}}})
	static := l.attach(api.Attachment{ID: "static", Endpoints: []api.Endpoint{{Network: "net", IPv4: mustAddr("10.9.0.7")}}})
	if got := addrOf(static, 0); got != "10.9.0.7" {
		t.Errorf("static address is %s", got)
	}
	_, err := l.tryAttach(api.Attachment{ID: "second", Endpoints: []api.Endpoint{{Network: "net", IPv4: mustAddr("10.9.0.7")}}})
	wantError(t, err, errdefs.ErrConflict, `address 10.9.0.7 on network "net" is in use by "static"`)
	_, err = l.tryAttach(api.Attachment{ID: "third", Endpoints: []api.Endpoint{{Network: "net", IPv4: mustAddr("10.8.0.7")}}})
	wantError(t, err, errdefs.ErrInvalidArgument, "10.8.0.7")
	// 128, 130 and 131 are free: the reserved one is passed over
	for _, want := range []string{"10.9.0.128", "10.9.0.130", "10.9.0.131"} {
		if got := addrOf(l.attach(api.Attachment{ID: "pod" + want, Endpoints: []api.Endpoint{{Network: "net"}}}), 0); got != want {
			t.Errorf("address %s, want %s", got, want)
		}
	}
	_, err = l.tryAttach(api.Attachment{ID: "full", Endpoints: []api.Endpoint{{Network: "net"}}})
	wantError(t, err, errdefs.ErrResourceExhausted, "no free address")
	if strings.Contains(err.Error(), "plugin") {
		t.Errorf("%v: what podc does itself no plugin has done", err)
	}
	must(t, l.Detach(t.Context(), "pod10.9.0.130"))
	if got := addrOf(l.attach(api.Attachment{ID: "reuse", Endpoints: []api.Endpoint{{Network: "net"}}}), 0); got != "10.9.0.130" {
		t.Errorf("a freed address is not used again, but %s", got)
	}
	l.clean()
}

func TestPortConflicts(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net"})
	l.serve("", "tcp", "127.0.0.1:7000", "host")
	l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	tcp := func(port, end uint16) api.Port {
		return api.Port{HostPort: port, HostEnd: end, Container: 1, Protocol: "tcp"}
	}
	err := l.CheckPorts(t.Context(), []api.PortClaim{
		{Owner: "a", Port: tcp(8080, 0)}, {Owner: "b", Port: tcp(7000, 0)}, {Owner: "c", Port: tcp(7100, 0)}, {Owner: "d", Port: tcp(7100, 0)}, {Owner: "e", Port: tcp(7100, 7101)}, {Owner: "f", Port: tcp(7100, 7101)},
		{Owner: "g", Port: api.Port{HostPort: 8080, Container: 1, Protocol: "udp"}}, {Owner: "h", Port: api.Port{HostIP: mustAddr("203.0.113.9"), HostPort: 1234, Container: 1, Protocol: "tcp"}},
	}, nil)
	for _, want := range []string{
		`port of "a": port 0.0.0.0:8080/tcp is published by "web"`,
		fmt.Sprintf(`port of "b": port 0.0.0.0:7000/tcp is in use by process %s (pid %d)`, comm(t), os.Getpid()),
		`port of "d": port 0.0.0.0:7100/tcp is published by "c"`,
		`port of "f": no port of 7100-7101/tcp is free`,
		`port of "h": no interface of this host has address 203.0.113.9`,
	} {
		wantError(t, err, errdefs.ErrConflict, want)
	}
	if n := len(strings.Split(err.Error(), "\n")); n != 5 {
		t.Errorf("%d errors: %v", n, err)
	}
	must(t, l.CheckPorts(t.Context(), []api.PortClaim{{Owner: "web", Port: tcp(8080, 0)}}, nil))
	must(t, l.CheckPorts(t.Context(), []api.PortClaim{{Owner: "new", Port: tcp(8080, 0)}}, func(o string) bool { return o == "web" }))
	_, err = l.tryAttach(api.Attachment{ID: "late", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{tcp(8080, 0)}})
	wantError(t, err, errdefs.ErrConflict, `published by "web"`)
	if _, err := l.Attachment("late"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused attachment left a record: %v", err)
	}
	l.clean()
}

func TestReserve(t *testing.T) {
	if !onHost(t) {
		return
	}
	ports := []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}, {HostPort: 8080, Container: 80, Protocol: "udp"}}
	files, err := Reserve(ports)
	must(t, err)
	if _, err := net.Listen("tcp4", ":8080"); err == nil {
		t.Error("a program can listen on a reserved port")
	}
	if _, err := net.ListenPacket("udp4", "127.0.0.1:8080"); err == nil {
		t.Error("a program can bind a reserved UDP port")
	}
	if _, err := Reserve(ports[:1]); !errdefs.IsConflict(err) {
		t.Errorf("reserved twice: %v", err)
	}
	for _, f := range files {
		f.Close()
	}
	ln, err := net.Listen("tcp4", ":8080")
	must(t, err)
	ln.Close()
}

// Internal networks publish nothing, and say so.
func TestInternalPublishesNothing(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "inside", Internal: true})
	a := l.attach(api.Attachment{ID: "db", Endpoints: []api.Endpoint{{Network: "inside"}}, Ports: []api.Port{{HostPort: 5432, Container: 5432, Protocol: "tcp"}}})
	if len(a.Ports) != 0 || len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], `5432/tcp of "db"`) {
		t.Errorf("attached as %+v", a)
	}
	if gw, ok := l.HostGateway(a); !ok || gw != a.Interfaces[0].Gateway {
		t.Errorf("host gateway %v %v", gw, ok)
	}
	l.clean()
}

// A UDP flow that began before the port was published goes to the pod afterwards.
func TestOldFlowIsForgotten(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	lan := l.uplink()
	l.network(api.Network{Name: "net"})
	first := l.attach(api.Attachment{ID: "one", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 5353, Container: 53, Protocol: "udp"}}})
	l.serve(first.NetNS, "udp", ":53", "one")
	var c net.Conn
	must(t, kernel.InNetNS(lan, func() (err error) { c, err = net.Dial("udp4", "192.0.2.2:5353"); return err }))
	defer c.Close()
	ask := func() string {
		c.SetDeadline(time.Now().Add(time.Second))
		c.Write([]byte("x"))
		line, _ := bufio.NewReader(c).ReadString(' ')
		return strings.TrimSpace(line)
	}
	if got := ask(); got != "one" {
		t.Fatalf("answered by %q", got)
	}
	must(t, l.Detach(t.Context(), "one"))
	second := l.attach(api.Attachment{ID: "two", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 5353, Container: 53, Protocol: "udp"}}})
	l.serve(second.NetNS, "udp", ":53", "two")
	if got := ask(); got != "two" {
		t.Errorf("the old flow is answered by %q", got)
	}
	l.clean()
}

// Whatever point an Attach is killed at, GC cleans up after it: every prefix of its effects is tried.
func TestKillPoints(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "one"})
	l.network(api.Network{Name: "two"})
	ctx := t.Context()
	dead := func(string) bool { return false }
	a := api.Attachment{ID: "web", Owner: "web", NetNS: l.pin("web"), Names: []string{"web"},
		Endpoints: []api.Endpoint{{Network: "one"}, {Network: "two"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}}
	ns, err := kernel.NetNSAt(a.NetNS)
	must(t, err)
	var networks []api.Network
	steps := []func(*record) error{
		func(r *record) error {
			return l.plugins.addEndpoint(ctx, r, 0, networks[0], reachOf(r.Endpoints, networks))
		},
		func(r *record) error {
			return l.plugins.addEndpoint(ctx, r, 1, networks[1], reachOf(r.Endpoints, networks))
		},
		func(r *record) error { return l.setPublished(ctx, r, elementsOf(*r, networks)) },
		func(r *record) error { return l.names.write(r.Attachment) },
	}
	for n := range len(steps) + 1 {
		rec, all, err := l.intend(ctx, a, ns)
		must(t, err)
		networks = all
		for _, step := range steps[:n] {
			must(t, step(&rec))
		}
		if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
			t.Errorf("step %d: an attachment under way is a problem: %v %v", n, p, err)
		}
		if p, err := l.Check(ctx, dead); err != nil || len(p) != 1 {
			t.Errorf("step %d: check of a dead one: %v %v", n, p, err)
		}
		if n%2 == 0 { // half of the time another Attach comes first
			l.attach(a)
		}
		must(t, l.GC(ctx, dead))
		if p, err := l.Check(ctx, dead); err != nil || len(p) > 0 {
			t.Errorf("step %d: after GC: %v %v", n, p, err)
		}
	}
	l.clean()
}

// Check finds one planted problem of each kind, and GC removes them.
func TestCheckFindsEverything(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	n := l.network(api.Network{Name: "net"})
	pod := l.attach(api.Attachment{ID: "pod", Names: []string{"pod"}, Endpoints: []api.Endpoint{{Network: "net"}},
		Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	ctx := t.Context()
	plants := map[string]func(){
		"link v0a1b2c3dzzzzzz": func() { addLink(t, "v0a1b2c3dzzzzzz", "podc 0a1b2c3d eth0 of ghost") },
		"link any-name":        func() { addLink(t, "any-name", "podc 0a1b2c3d network ghost") },
		"lease " + n.Subnets[0].CIDR.Addr().Next().Next().Next().String(): func() {
			must(t, l.leases("net").Give(n.Subnets[0].CIDR.Addr().Next().Next().Next(), lease.Holder{ID: "ghost", Interface: "eth0"}))
		},
		"lease " + addrOf(pod, 0): func() { must(t, os.Remove(filepath.Join(string(l.leases("net")), addrOf(pod, 0)))) },
		"names ghost.json":        func() { must(t, os.WriteFile(l.nameFile("net", "ghost"), []byte("{}"), 0o600)) },
		"names pod":               func() { must(t, os.Remove(l.nameFile("net", "pod"))) },
		"file " + filepath.Join(l.cniCacheDir(), "results", "net-ghost-eth0"): func() {
			must(t, os.WriteFile(filepath.Join(l.cniCacheDir(), "results", "net-ghost-eth0"), nil, 0o600))
		},
		"file " + filepath.Join(l.attachmentsDir(), ".tmp-ghost.json-123"): func() {
			must(t, os.WriteFile(filepath.Join(l.attachmentsDir(), ".tmp-ghost.json-123"), nil, 0o600))
		},
		"lease " + n.Subnets[0].CIDR.Addr().Next().Next().Next().Next().String(): func() {
			must(t, os.WriteFile(filepath.Join(string(l.leases("net")), n.Subnets[0].CIDR.Addr().Next().Next().Next().Next().String()), nil, 0o600))
		},
		"record broken":                     func() { must(t, os.WriteFile(l.recordPath("broken"), []byte("{"), 0o600)) },
		"rule nftables table podc-0a1b2c3d": func() { run(t, "nft", "flush", "chain", "inet", "podc-0a1b2c3d", "forward") },
	}
	for want, plant := range plants {
		plant()
		p, err := l.Check(ctx, nil)
		if err != nil || len(p) != 1 || p[0].Kind+" "+p[0].Object != want {
			t.Errorf("planted %q, found %v %v", want, p, err)
		}
		must(t, l.GC(ctx, func(id string) bool { return id == "pod" })) // what a damaged record is of might run
		if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
			t.Errorf("after GC of %q: %v %v", want, p, err)
		}
	}
	l.serve(pod.NetNS, "tcp", ":80", "pod")
	l.expect("", "tcp", "127.0.0.1:8080", "pod")
	l.clean()
}

// The namespace and its links may be gone before Detach: everything else is still undone.
func TestDetachAfterTheNamespaceVanished(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net"})
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	run(t, "umount", pod.NetNS)
	exec.Command("ip", "link", "del", pod.Interfaces[0].HostIf).Run() // unless the kernel is quicker, which removes it with its peer
	if p, _ := l.Check(t.Context(), nil); len(p) != 2 {
		t.Errorf("check: %v", p)
	}
	must(t, l.Detach(t.Context(), "pod"))
	if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
		t.Errorf("check after Detach: %v %v", p, err)
	}
	l.clean()
}

// A reboot that keeps /run forgets attachments and leases, keeps networks, and the next Attach makes bridge and rules.
// What a plugin answered once is not needed to undo it.
func TestDetachWithADamagedResult(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "front"})
	l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "front"}}})
	must(t, os.WriteFile(l.cachedResult("front", "web", "eth0"), []byte("{"), 0o600))
	must(t, l.Detach(t.Context(), "web"))
	l.clean()
}

func TestReboot(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	n := l.network(api.Network{Name: "net"})
	a := api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}}
	old := l.attach(a)
	run(t, "ip", "link", "del", old.Interfaces[0].HostIf)
	run(t, "ip", "link", "del", n.Bridge)
	run(t, "nft", "flush", "ruleset")
	must(t, errors.Join(os.Remove(l.runPath("boot_id")), os.Symlink("another-boot", l.runPath("boot_id"))))
	l.Stack = Open(l.cfg)
	if all, err := l.Attachments(); err != nil || len(all) != 0 {
		t.Errorf("after a reboot: %v %v", all, err)
	}
	a.NetNS = l.pin("pod-2")
	l.attach(a)
	l.serve(a.NetNS, "tcp", ":80", "pod")
	l.expect("", "tcp", "127.0.0.1:8080", "pod")
	if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
		t.Errorf("check: %v %v", p, err)
	}
	l.clean()
}

// Fifty at once from one process, through several Stacks as if from several, on two networks each.
func TestConcurrentAttach(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "one"})
	l.network(api.Network{Name: "two"})
	const pods = 50
	for i := range pods {
		l.pin(fmt.Sprint(i))
	}
	start := time.Now()
	got := l.atOnce(pods, func(s *Stack, i int) (api.Attachment, error) {
		return s.Attach(context.Background(), api.Attachment{ID: fmt.Sprint(i), Owner: fmt.Sprint(i), NetNS: filepath.Join(l.dir, fmt.Sprint("ns-", i)),
			Names: []string{"pod"}, Endpoints: []api.Endpoint{{Network: "one"}, {Network: "two"}},
			Ports: []api.Port{{HostPort: 9000, HostEnd: 9100, Container: 80, Protocol: "tcp"}, {Container: 81, Protocol: "tcp"}}})
	})
	t.Logf("%d attached to two networks in %v", pods, time.Since(start))
	ports, addrs := map[uint16]bool{}, map[string]bool{}
	for _, a := range got {
		for _, p := range a.Ports {
			ports[p.HostPort] = true
		}
		for i := range a.Interfaces {
			addrs[addrOf(a, i)] = true
		}
	}
	if len(ports) != 2*pods || len(addrs) != 2*pods {
		t.Errorf("%d ports and %d addresses", len(ports), len(addrs))
	}
	if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
		t.Errorf("check: %v %v", p, err)
	}
	start = time.Now()
	l.atOnce(pods, func(s *Stack, i int) (api.Attachment, error) {
		return api.Attachment{}, s.Detach(context.Background(), fmt.Sprint(i))
	})
	t.Logf("%d detached in %v", pods, time.Since(start))
	l.clean()
}

// atOnce runs n calls on five Stacks of the same root.
func (l *lab) atOnce(n int, f func(s *Stack, i int) (api.Attachment, error)) []api.Attachment {
	out := make([]api.Attachment, n)
	var wg sync.WaitGroup
	stacks := [5]*Stack{}
	for i := range stacks {
		stacks[i] = Open(l.cfg)
	}
	for i := range n {
		wg.Go(func() {
			var err error
			if out[i], err = f(stacks[i%5], i); err != nil {
				l.t.Error(err)
			}
		})
	}
	wg.Wait()
	return out
}

// Several processes at once attach, detach and repair; see TestMain for what the others do.
func TestConcurrentProcesses(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "one"})
	const procs, each = 4, 6
	var cmds []*exec.Cmd
	for p := range procs {
		var paths []string
		for i := range each {
			paths = append(paths, l.pin(fmt.Sprintf("%d-%d", p, i)))
		}
		cmd := exec.Command(os.Args[0], append([]string{fmt.Sprint(p), l.dir}, paths...)...)
		cmd.Env = append(os.Environ(), workerMark+"=1")
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		cmds = append(cmds, cmd)
	}
	for _, c := range cmds {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	all, err := l.Attachments()
	must(t, err)
	if len(all) != procs*each {
		t.Errorf("%d attachments", len(all))
	}
	if p, err := l.Check(t.Context(), nil); len(p) > 0 || err != nil {
		t.Errorf("check: %v %v", p, err)
	}
	l.clean()
}

// A process is killed at any moment of attaching, detaching and repairing; the next one cleans up after it.
func TestKillSweep(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "one"})
	paths := []string{l.pin("a"), l.pin("b"), l.pin("c")}
	cut := 0
	for ms := 2; ms <= 120; ms += 4 {
		cmd := exec.Command(os.Args[0], append([]string{"w", l.dir}, paths...)...)
		cmd.Env = append(os.Environ(), workerMark+"=1")
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		out.Read(make([]byte, 1)) // it begins
		timer := time.AfterFunc(time.Duration(ms)*time.Millisecond, func() { cmd.Process.Kill() })
		if cmd.Wait() != nil {
			cut++
		}
		timer.Stop()
		must(t, l.GC(t.Context(), func(string) bool { return false }))
		if p, err := l.Check(t.Context(), func(string) bool { return false }); len(p) > 0 || err != nil {
			t.Fatalf("killed after %d ms: %v %v", ms, p, err)
		}
	}
	t.Logf("%d processes were killed at work", cut)
	l.clean()
}

const workerMark = "PODC_NETSTACK_TEST_WORKER"

func TestMain(m *testing.M) {
	if os.Getenv(workerMark) != "" {
		if err := worker(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// worker attaches each namespace twice, with a detach and a repair between.
func worker(name, dir string, paths []string) error {
	s := Open(Config{RootID: "0a1b2c3d", Data: filepath.Join(dir, "data"), Run: filepath.Join(dir, "run")})
	ctx := context.Background()
	fmt.Println("begin")
	for i, ns := range paths {
		a := api.Attachment{ID: fmt.Sprintf("%s-%d", name, i), Owner: name, NetNS: ns, Names: []string{name}, Endpoints: []api.Endpoint{{Network: "one"}},
			Ports: []api.Port{{HostPort: 9000, HostEnd: 9100, Container: 80, Protocol: "tcp"}}}
		for round := range 2 {
			if _, err := s.Attach(ctx, a); err != nil {
				return err
			}
			if round == 0 {
				if err := errors.Join(s.Detach(ctx, a.ID), s.GC(ctx, nil)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Two roots on one kernel choose different subnets, publish side by side, and repair leaves the other alone.
func TestTwoRoots(t *testing.T) {
	if !onHost(t) {
		return
	}
	a, b := newLab(t, "aaaaaaaa"), newLab(t, "bbbbbbbb")
	var wg sync.WaitGroup
	for _, l := range []*lab{a, b} {
		for i := range 4 {
			wg.Go(func() {
				if _, err := l.CreateNetwork(context.Background(), api.Network{Name: fmt.Sprint("net", i)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	seen := map[netip.Prefix]bool{}
	for _, l := range []*lab{a, b} {
		all, err := l.Networks()
		must(t, err)
		for _, n := range all {
			seen[n.Subnets[0].CIDR] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d subnets for 8 networks", len(seen))
	}
	pa := a.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net0"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	pb := b.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net0"}}, Ports: []api.Port{{HostPort: 8081, Container: 80, Protocol: "tcp"}}})
	a.serve(pa.NetNS, "tcp", ":80", "a")
	b.serve(pb.NetNS, "tcp", ":80", "b")
	reach := func() {
		t.Helper()
		a.expect("", "tcp", "127.0.0.1:8080", "a")
		a.expect("", "tcp", "127.0.0.1:8081", "b")
		a.expect(pa.NetNS, "tcp", pa.Interfaces[0].Gateway.String()+":8081", "b")
		a.expect(pa.NetNS, "tcp", addrOf(pb, 0)+":80", "")
		b.expect(pb.NetNS, "tcp", addrOf(pa, 0)+":80", "")
	}
	reach()
	before := b.nft()
	must(t, a.Rebuild(t.Context()))
	must(t, a.GC(t.Context(), func(string) bool { return true }))
	if b.nft() != before {
		t.Error("repair of one root changed the other")
	}
	reach()
	a.clean()
	b.expect("", "tcp", "127.0.0.1:8081", "b")
	b.clean()
}

func addLink(t *testing.T, name, alias string) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	must(t, netlink.LinkAdd(bridge))
	must(t, netlink.LinkSetAlias(bridge, alias))
}

func wantError(t *testing.T, err, class error, text string) {
	t.Helper()
	if !errors.Is(err, class) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %q, want class %q and text %q", err, class, text)
	}
}

func comm(t *testing.T) string {
	b, err := os.ReadFile("/proc/self/comm")
	must(t, err)
	return strings.TrimSpace(string(b))
}
