package netstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// dump repeats a netlink dump that a change in the meantime made inconsistent.
func dump[T any](f func() ([]T, error)) (all []T, err error) {
	for range 20 {
		if all, err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// linkByName returns an interface, nil if there is none.
func linkByName(name string) (netlink.Link, error) {
	if name == "" {
		return nil, nil
	}
	link, err := netlink.LinkByName(name)
	if isGone(err) {
		return nil, nil
	}
	return link, err
}

func linkExists(name string) bool {
	link, err := linkByName(name)
	return err == nil && link != nil
}

func isGone(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.As(err, new(netlink.LinkNotFoundError))
}

func hasAddrs(l netlink.Link, want []netip.Prefix) bool {
	family := netlink.FAMILY_V4
	if slices.ContainsFunc(want, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		family = netlink.FAMILY_ALL
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(l, family) })
	for _, w := range want {
		if err != nil || !slices.ContainsFunc(addrs, func(a netlink.Addr) bool { return a.IPNet.String() == w.String() }) {
			return false
		}
	}
	return true
}

func listRoutes(family, table int) ([]netlink.Route, error) {
	return dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
}

// uplinkMTU returns the MTU of the link that has the default route, or 1500.
func uplinkMTU() int {
	routes, err := listRoutes(netlink.FAMILY_ALL, unix.RT_TABLE_MAIN)
	if err != nil {
		return 1500
	}
	best, mtu := -1, 1500
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP != nil && !r.Dst.IP.IsUnspecified() || best >= 0 && r.Priority >= best {
			continue
		}
		if l, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			best, mtu = r.Priority, l.Attrs().MTU
		}
	}
	return mtu
}

// address is a, usable at once.
func address(a netip.Prefix) *netlink.Addr {
	out := &netlink.Addr{IPNet: ipNet(a)}
	if a.Addr().Is6() {
		out.Flags = unix.IFA_F_NODAD
	}
	return out
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	p, ok := prefixWithHost(*n)
	return p.Masked(), ok
}

func prefixWithHost(n net.IPNet) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	p := netip.PrefixFrom(a.Unmap(), ones)
	return p, ok && p.IsValid()
}

// carrierDeadline bounds the wait for interfaces to come up. Nothing is wrong when it passes, only a first packet may be lost.
const carrierDeadline = 2 * time.Second

// awaitCarrier returns when interfaces carry packets. The kernel brings a link up a little after both ends are: a packet sent
// before is dropped, and its sender, mostly a question for a hardware address, tries again a whole second later.
func awaitCarrier(ctx context.Context, h *netlink.Handle, names ...string) error {
	// Newer kernels finish bringing a link up before they answer a question about it.
	if up, err := allUp(h, names); up || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, carrierDeadline)
	defer cancel()
	changes := make(chan netlink.LinkUpdate, 64)
	if err := netlink.LinkSubscribe(changes, ctx.Done()); err != nil {
		return err
	}
	defer func() {
		go func() {
			for range changes {
			}
		}()
	}() // it ends when the subscription has noticed
	for {
		if up, err := allUp(h, names); up || err != nil {
			return err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return nil
		}
	}
}

func allUp(h *netlink.Handle, names []string) (bool, error) {
	for _, name := range names {
		l, err := h.LinkByName(name)
		if err != nil {
			return false, err
		}
		if s := l.Attrs().OperState; s != netlink.OperUp && s != netlink.OperUnknown {
			return false, nil
		}
	}
	return true, nil
}

// linkRemover removes interfaces of the host. The kernel takes some 10 to 20 ms to forget one, nearly all of it waiting, and
// the same for many at once: so those that are asked for while a removal is under way go together in the next one. The
// zero value is ready.
type linkRemover struct {
	mu      sync.Mutex
	busy    bool     // somebody is removing
	waiting *removal // the next batch, nil if none waits
}

// removal is a batch; done is closed when it was removed, err says how.
type removal struct {
	links []netlink.Link
	done  chan struct{}
	err   error
}

// remove removes an interface and returns when it is gone; that it is so already is no error.
func (l *linkRemover) remove(link netlink.Link) error {
	l.mu.Lock()
	if l.waiting == nil {
		l.waiting = &removal{done: make(chan struct{})}
	}
	mine := l.waiting
	mine.links = append(mine.links, link)
	lead := !l.busy
	l.busy = true
	l.mu.Unlock()
	if lead {
		go l.lead()
	}
	<-mine.done
	return mine.err
}

// lead removes batches until none waits.
func (l *linkRemover) lead() {
	for {
		l.mu.Lock()
		batch := l.waiting
		l.waiting = nil
		if batch == nil {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		batch.err = removeLinks(batch.links)
		close(batch.done)
	}
}

// removeLinks removes interfaces with one request: several are put into a group of their own first.
func removeLinks(links []netlink.Link) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	// The group must hold nothing but what is being removed; people number theirs from 1.
	group := 0x70000000 | os.Getpid()
	var errs []error
	for _, link := range links { // by their numbers, which are not used again, and not by their names
		if len(links) == 1 {
			err = h.LinkDel(link)
		} else {
			err = h.LinkSetGroup(link, group)
		}
		if err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("cannot remove interface %s: %w", link.Attrs().Name, err))
		}
	}
	if len(links) > 1 {
		if err := removeGroup(group); err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("cannot remove %d interfaces: %w", len(links), err))
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes all interfaces of a group.
func removeGroup(group int) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(uint32(group))))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
