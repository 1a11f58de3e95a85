package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// outside is another machine: a network namespace that a cable joins to the host. In ranges that are for documentation, it has
// the addresses there4 and there6, the host has here4 and here6 on it.
type outside struct {
	t                      *testing.T
	ns                     *os.File
	link                   string // the host's end
	here4, there4          string
	here6, there6          string
	listening4, listening6 int // ports on which it says who it sees
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("needs root and the real machine")
	}
	n := os.Getpid() % 64 * 4 // beside other test processes
	o := &outside{t: t, link: fmt.Sprintf("podc-out%d", os.Getpid()),
		here4: fmt.Sprintf("203.0.113.%d", n+1), there4: fmt.Sprintf("203.0.113.%d", n+2),
		here6: fmt.Sprintf("2001:db8:%x::1", n+1), there6: fmt.Sprintf("2001:db8:%x::2", n+1)}
	insideNewNetns(t, func() (err error) {
		if o.ns, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return err
		}
		host, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))
		if err != nil {
			return err
		}
		defer host.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "eth0"
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: o.link, PeerNamespace: netlink.NsFd(int(host.Fd()))}
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		if err := plug(veth, o.there4+"/30", o.there6+"/64"); err != nil {
			return err
		}
		for port, network := range map[*int]string{&o.listening4: "tcp4", &o.listening6: "tcp6"} {
			l, err := net.Listen(network, ":0")
			if err != nil {
				return err
			}
			t.Cleanup(func() { l.Close() })
			*port = l.Addr().(*net.TCPAddr).Port
			go tellPeers(l)
		}
		return nil
	})
	if t.Failed() {
		t.FailNow()
	}
	t.Cleanup(func() { o.ns.Close() })
	near, err := netlink.LinkByName(o.link)
	if err == nil {
		err = plug(near, o.here4+"/30", o.here6+"/64")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(near) })
	return o
}

// plug gives a link its addresses, without the second that the kernel takes to look for duplicates.
func plug(l netlink.Link, addresses ...string) error {
	errs := []error{netlink.LinkSetUp(l)}
	for _, address := range addresses {
		a, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		errs = append(errs, netlink.AddrAdd(l, a))
	}
	return errors.Join(errs...)
}

// tellPeers tells everybody who connects from which address that was.
func tellPeers(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		fmt.Fprintln(c, host)
		c.Close()
	}
}

// get fetches a page from an address of the host.
func (o *outside) get(address string) (page string, err error) {
	onThread(o.t, func() error {
		if err := unix.Setns(int(o.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		page, err = fetch(address)
		return nil
	})
	return page, err
}

// fetch gets a page with no more than a socket, which is made by the calling thread.
func fetch(address string) (string, error) {
	c, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(c, "GET / HTTP/1.0\r\n\r\n")
	b, err := io.ReadAll(bufio.NewReader(c))
	return string(b), err
}

// reaches checks that a page is served to the machine outside.
func (o *outside) reaches(address, text string) {
	o.t.Helper()
	page, err := o.get(address)
	if err != nil || !strings.Contains(page, text) {
		o.t.Errorf("outside, %s answers %q %v, want %q", address, page, err, text)
	}
}

// isRefused checks that nothing answers the machine outside.
func (o *outside) isRefused(address string) {
	o.t.Helper()
	if page, err := o.get(address); err == nil {
		o.t.Errorf("outside, %s answers %q", address, page)
	}
}
