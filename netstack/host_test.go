package netstack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/internal/nettest"
)

// onHost runs the calling test in namespaces of its own; see nettest.
func onHost(t *testing.T) bool {
	t.Helper()
	if *update {
		return nettest.OnHost(t, "-update")
	}
	return nettest.OnHost(t)
}

// lab is a host with a Stack and pods.
type lab struct {
	t   *testing.T
	dir string
	*Stack
	cfg Config
}

func newLab(t *testing.T, rootID string) *lab {
	t.Helper()
	dir := t.TempDir()
	cfg := Config{RootID: rootID, Data: filepath.Join(dir, "data"), Run: filepath.Join(dir, "run"), Host: Host{ConfDirs: []string{filepath.Join(dir, "cni")}}}
	return &lab{t: t, dir: dir, Stack: Open(cfg), cfg: cfg}
}

func (l *lab) pin(name string) string {
	l.t.Helper()
	return nettest.Pin(l.t, l.dir, name)
}

// attach attaches a new pod, named as its id.
func (l *lab) attach(a api.Attachment) api.Attachment {
	l.t.Helper()
	got, err := l.tryAttach(a)
	must(l.t, err)
	return got
}

func (l *lab) tryAttach(a api.Attachment) (api.Attachment, error) {
	l.t.Helper()
	if a.NetNS == "" {
		a.NetNS = l.pin(a.ID)
	}
	if a.Owner == "" {
		a.Owner = a.ID
	}
	return l.Attach(l.t.Context(), a)
}

func (l *lab) network(n api.Network) api.Network {
	l.t.Helper()
	got, err := l.CreateNetwork(l.t.Context(), n)
	must(l.t, err)
	return got
}

// clean fails the test unless everything of the lab can be removed and then nothing is left.
func (l *lab) clean() {
	l.t.Helper()
	ctx := context.Background()
	must(l.t, l.GC(ctx, func(string) bool { return false }))
	all, err := l.Networks()
	must(l.t, err)
	for name := range all {
		must(l.t, l.RemoveNetwork(ctx, name))
	}
	if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
		l.t.Errorf("after cleaning: %v %v", p, err)
	}
	links, err := netlink.LinkList()
	must(l.t, err)
	for _, i := range links {
		if strings.Contains(i.Attrs().Name, l.links.root) {
			l.t.Errorf("interface %s is left", i.Attrs().Name)
		}
	}
	if out, _ := exec.Command("nft", "list", "tables").CombinedOutput(); strings.Contains(string(out), l.firewall.Name()) {
		l.t.Errorf("table is left: %s", out)
	}
	for _, dir := range []string{"attachments", "leases", "names", "cni"} {
		filepath.WalkDir(l.runPath(dir), func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				l.t.Errorf("left: %s", path)
			}
			return nil
		})
	}
}

// uplink gives the host an interface to a LAN and its default route; it returns the namespace of the LAN's other machine,
// which is 192.0.2.1 and 2001:db8::1, and routes everything to the host.
func (l *lab) uplink() string {
	l.t.Helper()
	lan := l.pin("lan")
	f, err := os.Open(lan)
	must(l.t, err)
	defer f.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "uplink"
	must(l.t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "uplink", PeerNamespace: netlink.NsFd(int(f.Fd()))}))
	end := func(addr, gw string) error {
		link, err := netlink.LinkByName("uplink")
		if err != nil {
			return err
		}
		a, _ := netlink.ParseAddr(addr)
		return errors.Join(netlink.AddrAdd(link, a), netlink.LinkSetUp(link),
			netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gw)}))
	}
	both := func(host, peer string) error {
		return errors.Join(ipv6Sysctls("uplink", true), end("192.0.2."+host+"/24", "192.0.2."+peer), end("2001:db8::"+host+"/64", "2001:db8::"+peer))
	}
	must(l.t, both("2", "1"))
	must(l.t, kernel.InNetNS(lan, func() error { return errors.Join(bringUpLoopback(), both("1", "2")) }))
	return lan
}

// serve answers "<name> <address of the client>" to whoever connects or sends to a port inside a namespace ("" is the host).
func (l *lab) serve(ns, network, addr, name string) {
	l.t.Helper()
	must(l.t, nettest.In(ns, func() error {
		if network == "udp" {
			pc, err := net.ListenPacket("udp", addr)
			if err != nil {
				return err
			}
			l.t.Cleanup(func() { pc.Close() })
			go serveUDP(pc, name)
			return nil
		}
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return err
		}
		l.t.Cleanup(func() { ln.Close() })
		go serveTCP(ln, name)
		return nil
	}))
}

func serveTCP(ln net.Listener, name string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		fmt.Fprintf(c, "%s %s\n", name, c.RemoteAddr())
		c.Close()
	}
}

func serveUDP(pc net.PacketConn, name string) {
	buf := make([]byte, 100)
	for {
		_, from, err := pc.ReadFrom(buf)
		if err != nil {
			return
		}
		fmt.Fprintf(writerTo{pc, from}, "%s %s\n", name, from)
	}
}

type writerTo struct {
	pc net.PacketConn
	to net.Addr
}

func (w writerTo) Write(p []byte) (int, error) { return w.pc.WriteTo(p, w.to) }

// call returns who answers at an address, and how it saw us; "" if nobody does.
func (l *lab) call(ns, network, addr string, patience time.Duration) (name, seen string) {
	l.t.Helper()
	var c net.Conn
	err := nettest.In(ns, func() (err error) {
		c, err = net.DialTimeout(network, addr, patience)
		return err
	})
	if err != nil {
		return "", ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(700 * time.Millisecond))
	if network == "udp" {
		c.Write([]byte("hello"))
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", ""
	}
	name, seen, _ = strings.Cut(strings.TrimSpace(line), " ")
	host, _, _ := net.SplitHostPort(seen)
	return name, host
}

// expect checks who answers.
func (l *lab) expect(ns, network, addr, want string) {
	l.t.Helper()
	patience := 5 * time.Second
	if want == "" {
		patience = 500 * time.Millisecond
	}
	got, _ := l.call(ns, network, addr, patience)
	if got != want {
		from := "the host"
		if ns != "" {
			from = filepath.Base(ns)
		}
		l.t.Errorf("%s %s from %s: answered by %q, want %q", network, addr, from, got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func addrOf(a api.Attachment, i int) string { return a.Interfaces[i].IPv4.Addr().String() }

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	must(t, disk.ReadJSON(path, v))
}
