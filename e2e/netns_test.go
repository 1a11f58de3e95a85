package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The main thread, whose namespaces count as those of the process, is for the main goroutine alone: see onThread.
func init() { runtime.LockOSThread() }

// farAway is the address of a host beyond this one, in 198.51.100.0/24, which is for documentation. It says "far away" to who
// connects, and knows no way back but to this host itself.
func farAway(t *testing.T) string {
	t.Helper()
	link, first := fmt.Sprintf("podc-far%d", os.Getpid()), os.Getpid()%64*4 // beside other test processes
	var l net.Listener
	insideNewNetns(t, func() (err error) {
		l, err = farEnd(link, fmt.Sprintf("198.51.100.%d", first+2))
		return err
	})
	if l == nil {
		t.FailNow()
	}
	t.Cleanup(func() { l.Close() }) // which ends the namespace, and the link with it
	near, err := netlink.LinkByName(link)
	if err == nil {
		err = errors.Join(addAddress(near, fmt.Sprintf("198.51.100.%d/30", first+1)), netlink.LinkSetUp(near))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netlink.LinkDel(near) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(c, "far away")
			c.Close()
		}
	}()
	return l.Addr().String()
}

// farEnd links this thread's namespace to that of the process and listens there.
func farEnd(link, address string) (net.Listener, error) {
	host, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", os.Getpid()))
	if err != nil {
		return nil, err
	}
	defer host.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: link, PeerNamespace: netlink.NsFd(int(host.Fd()))}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, err
	}
	if err := errors.Join(addAddress(veth, address+"/30"), netlink.LinkSetUp(veth)); err != nil {
		return nil, err
	}
	return net.Listen("tcp", address+":0")
}

func addAddress(l netlink.Link, address string) error {
	a, err := netlink.ParseAddr(address)
	if err != nil {
		return err
	}
	return netlink.AddrAdd(l, a)
}

// withRoute does something while the namespace has a default route over the network of one of its addresses, by way of that
// network's first address.
func withRoute(address string, do func() error) error {
	gateway := net.ParseIP(address).To4()
	gateway[3] = 1
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: gateway}
	if err := netlink.RouteAdd(route); err != nil {
		return err
	}
	return errors.Join(do(), netlink.RouteDel(route))
}

// insideNetns runs f on a thread in the network namespace at path.
func insideNetns(t *testing.T, path string, f func() error) {
	t.Helper()
	ns, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	onThread(t, func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// insideNewNetns runs f on a thread in a network namespace that lasts as long as something of it is held.
func insideNewNetns(t *testing.T, f func() error) {
	t.Helper()
	onThread(t, func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it.
func onThread(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread must serve nothing else
		done <- f()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// members maps the processes of the stack to the times of their starts: those in its cgroups, and those whose arguments name
// its folders.
func (s *stack) members() map[int]string {
	pids := map[int]string{}
	for pid, args := range commandLines() {
		if strings.Contains(strings.Join(args, " "), filepath.Dir(s.root)) {
			pids[pid] = startOf(pid)
		}
	}
	groups := things{}
	cgroups(s, groups)
	for group := range groups {
		filepath.WalkDir(strings.TrimPrefix(group, "cgroup "), func(path string, _ os.DirEntry, _ error) error {
			if filepath.Base(path) == "cgroup.procs" {
				b, _ := os.ReadFile(path)
				for f := range strings.FieldsSeq(string(b)) {
					if pid, err := strconv.Atoi(f); err == nil {
						pids[pid] = startOf(pid)
					}
				}
			}
			return nil
		})
	}
	return pids
}

// startOf tells a process from a later one of the same number; "" if there is none, or one that only its parent has to know
// about.
func startOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	name := strings.LastIndex(string(b), ")") // which may itself have blanks and brackets
	if f := strings.Fields(string(b[name+1:])); len(f) > 19 && f[0] != "Z" {
		return f[19]
	}
	return ""
}

func netnsOf(pid int) string {
	name, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	return name
}

// holdersOf lists the processes in any of the network namespaces, and the mounts that keep them.
func holdersOf(spaces map[string]bool) []string {
	var holders []string
	for pid := range commandLines() {
		if space := netnsOf(pid); spaces[space] {
			holders = append(holders, fmt.Sprintf("%s, by process %d", space, pid))
		}
		mounts, _ := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); spaces[f[3]] {
				holders = append(holders, fmt.Sprintf("%s, by mount %s of process %d", f[3], f[4], pid))
			}
		}
	}
	return holders
}

// traces lists firewall rules and sockets, of whomever, that mention the stack's root.
func (s *stack) traces() []string {
	var list []string
	if rules, err := exec.Command("nft", "list", "ruleset").Output(); err == nil {
		for line := range strings.Lines(string(rules)) {
			if strings.Contains(line, s.id()) {
				list = append(list, "nft "+strings.TrimSpace(line))
			}
		}
	}
	sockets, _ := os.ReadFile("/proc/net/unix")
	for line := range strings.Lines(string(sockets)) {
		if strings.Contains(line, s.id()) || strings.Contains(line, filepath.Dir(s.root)) {
			list = append(list, "socket "+strings.TrimSpace(line))
		}
	}
	return list
}
