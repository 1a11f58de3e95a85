package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
)

// Rebuild makes bridges and rules from state: what is missing is made, the table is replaced in one transaction, and the pods'
// interfaces are put back into their bridges. It is for repair and for after a flush; connections go on.
func (s *Stack) Rebuild(ctx context.Context) error {
	unlock, err := s.lockToUndo(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	networks, err := s.Networks()
	if err != nil {
		return err
	}
	return s.rebuildAll(ctx, networks)
}

// Heal is Rebuild where it is needed: it returns what was wrong, "" if nothing was. A bridge that nobody is attached to may be
// missing, since the next attachment makes it.
func (s *Stack) Heal(ctx context.Context) (fault string, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	networks, err := s.Networks()
	if err != nil {
		return "", err
	}
	if fault, err = s.bridgeFault(networks); err != nil {
		return "", err
	}
	bridges := bridgesOf(networks)
	if fault == "" {
		fault, err = s.firewall.Fault(bridges)
	}
	if err == nil {
		err = s.firewall.MakeWay(bridges)
	}
	if err != nil || fault == "" {
		return "", err
	}
	return fault, s.rebuildAll(ctx, networks)
}

// bridgeFault names a bridge that does not stand although pods are attached to it.
func (s *Stack) bridgeFault(networks map[string]api.Network) (string, error) {
	recs, err := s.records.all()
	if err != nil {
		return "", err
	}
	seen := map[string]bool{}
	for _, r := range recs {
		for _, e := range r.Endpoints {
			n := networks[e.Network]
			if n.Bridge == "" || seen[n.Name] {
				continue
			}
			seen[n.Name] = true
			if _, stands := s.links.bridgeStands(n); !stands {
				return fmt.Sprintf("bridge %s of network %q is missing, down or without its address", n.Bridge, n.Name), nil
			}
		}
	}
	return "", nil
}

// rebuildAll needs the net lock.
func (s *Stack) rebuildAll(ctx context.Context, networks map[string]api.Network) error {
	var errs []error
	for _, n := range networks {
		if isBridge(n) {
			errs = append(errs, s.links.ensureBridge(n))
		}
	}
	return errors.Join(append(errs, s.firewall.Rebuild(bridgesOf(networks)), s.replug(ctx, networks))...)
}

// replug puts the host's ends of the attachments back into bridges that were made anew.
func (s *Stack) replug(ctx context.Context, networks map[string]api.Network) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	recs, err := s.records.all()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range recs {
		for _, iface := range r.Interfaces {
			n := networks[iface.Network]
			port, err := linkByName(iface.HostIf)
			// Check reports one that is gone; those that a plugin made are told by the record alone.
			if err == nil && port != nil && n.Bridge != "" && (r.Exec || s.links.ownsVeth(port, r.ID, iface.Name, true)) {
				err = plug(ctx, h, port, n.Bridge)
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func plug(ctx context.Context, h *netlink.Handle, port netlink.Link, bridge string) error {
	b, err := h.LinkByName(bridge)
	if err != nil || port.Attrs().MasterIndex == b.Attrs().Index {
		return err
	}
	return errors.Join(h.LinkSetMaster(port, b), h.LinkSetHairpin(port, true), h.LinkSetUp(port), awaitCarrier(ctx, h, port.Attrs().Name, bridge))
}

// Others may take away what podc has made: a firewall's reload flushes every table of the host, a tool for interfaces takes
// an address or a bridge away. The kernel tells; see Watch. What podc changes itself, dozens of times a second when many
// pods start, is kept away by filters inside the kernel, so that a watcher sleeps on.

// Watch tells, through a channel of capacity 1, that something may have been taken away of this root's network, which Heal
// then finds out. It ends with ctx. What happens after it has returned is not missed.
func (s *Stack) Watch(ctx context.Context) (<-chan struct{}, error) {
	changed := make(chan struct{}, 1)
	rules, err := listen(unix.NETLINK_NETFILTER, rulesFilter(), unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, fmt.Errorf("cannot watch nftables: %w", err)
	}
	links, err := listen(unix.NETLINK_ROUTE, linksFilter(), unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		rules.Close()
		return nil, fmt.Errorf("cannot watch interfaces: %w", err)
	}
	context.AfterFunc(ctx, func() { rules.Close(); links.Close() })
	tell := func() {
		select {
		case changed <- struct{}{}:
		default: // it is to look anyway
		}
	}
	go follow(rules, func([]byte) bool { return true }, tell)
	go follow(links, s.links.concernsBridge, tell)
	return changed, nil
}

// follow reads messages until the socket is closed. Those that the kernel had to drop count as telling.
func follow(socket *os.File, concerns func(msg []byte) bool, tell func()) {
	buf := make([]byte, 8<<10) // what does not fit is not needed, or counts as telling
	for {
		n, err := socket.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS) || err == nil && concerns(buf[:n]):
			tell()
		case err != nil:
			return
		}
	}
}

// concernsBridge reports whether a message of the kernel's about interfaces or addresses is about a bridge that may be this
// root's.
func (hl *hostLinks) concernsBridge(msg []byte) bool {
	if len(msg) < unix.SizeofNlMsghdr+unix.SizeofIfInfomsg {
		return false
	}
	body := msg[unix.SizeofNlMsghdr:]
	// Both kinds of message have the interface's index here.
	index := int(int32(binary.NativeEndian.Uint32(body[4:])))
	if binary.NativeEndian.Uint16(msg[4:]) == unix.RTM_DELADDR {
		link, err := netlink.LinkByIndex(index)
		return err == nil && link.Type() == "bridge"
	}
	attrs, err := nl.ParseRouteAttr(body[unix.SizeofIfInfomsg:])
	if err != nil {
		return true
	}
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFLA_IFNAME:
			if strings.HasPrefix(nl.BytesToString(a.Value), "b"+hl.root) {
				return true
			}
		case unix.IFLA_LINKINFO:
			if kindOf(a.Value) == "bridge" {
				return true
			}
		}
	}
	return false
}

// kindOf reads the kind of an interface from the attribute about it.
func kindOf(info []byte) string {
	attrs, _ := nl.ParseRouteAttr(info)
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_INFO_KIND {
			return nl.BytesToString(a.Value)
		}
	}
	return ""
}

// listen opens a socket that gets the messages of groups that pass a filter.
func listen(protocol int, filter []unix.SockFilter, groups ...int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	// The filter first, or what the groups say meanwhile would come through.
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}
	for _, g := range groups {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// lowByte is where the low byte of a native 32- or 16-bit word lies within it.
func lowByte(size uint32) uint32 {
	one := uint16(1)
	if *(*byte)(unsafe.Pointer(&one)) == 1 {
		return 0
	}
	return size - 1
}

// The instructions of filters. A filter sees the first message of what is sent, from its header on.
func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: offset}
}

func jumpIf(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
}

func give(length uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: length}
}

// rulesFilter keeps away changes of elements, which are podc's own in its own tables. A transaction is sent in one piece; one
// that takes tables, chains or rules away begins with those.
func rulesFilter() []unix.SockFilter {
	return []unix.SockFilter{
		load(4 + lowByte(2)), // the message's type; the high byte is nftables' number
		jumpIf(unix.BPF_JEQ, unix.NFT_MSG_NEWSETELEM, 3, 0),
		jumpIf(unix.BPF_JEQ, unix.NFT_MSG_DELSETELEM, 2, 0),
		jumpIf(unix.BPF_JEQ, unix.NFT_MSG_NEWGEN, 1, 0),
		give(^uint32(0)),
		give(0),
	}
}

// linksFilter lets through that an interface or an address goes, and that an interface is taken down.
func linksFilter() []unix.SockFilter {
	flags, change := 24+lowByte(4), 28+lowByte(4) // of ifinfomsg; IFF_UP is the lowest bit
	return []unix.SockFilter{
		load(4 + lowByte(2)),
		jumpIf(unix.BPF_JEQ, unix.RTM_DELLINK, 6, 0),
		jumpIf(unix.BPF_JEQ, unix.RTM_DELADDR, 5, 0),
		jumpIf(unix.BPF_JEQ, unix.RTM_NEWLINK, 0, 5),
		load(change),
		jumpIf(unix.BPF_JSET, unix.IFF_UP, 0, 3),
		load(flags),
		jumpIf(unix.BPF_JSET, unix.IFF_UP, 1, 0),
		give(^uint32(0)),
		give(0),
	}
}
