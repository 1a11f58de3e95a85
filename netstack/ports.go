package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
)

// A published port is answered by the kernel's translation: nobody listens on it. It is reserved against the host's own
// programs by a socket that is bound and does not listen (Reserve), which the caller hands to a process that lives as long
// as the pod. Without it everything works, but a program may take the port and never be reached.

// CheckPorts reports, before anything is made, which of the wanted ports cannot be had: because two of them collide, because
// an attachment of this root has them, or because a program on the host has. Errors are joined and each is ErrConflict. leaving,
// which may be nil, names owners that will be gone by then; an owner never collides with its own attachment.
func (s *Stack) CheckPorts(ctx context.Context, want []api.PortClaim, leaving func(owner string) bool) error {
	recs, err := s.records.all()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, w := range want {
		wanted[w.Owner] = true
	}
	// What a leaving or recreated pod holds is neither a conflict nor worth a look at the host: its reservation is there.
	var stay, freed []api.PortClaim
	for _, h := range holders(recs) {
		if wanted[h.Owner] || leaving != nil && leaving(h.Owner) {
			freed = append(freed, h)
		} else {
			stay = append(stay, h)
		}
	}
	var errs []error
	for _, w := range fixedFirst(want) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		got, err := choose(w.Port, stay, freed)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot publish a port of %q: %w", w.Owner, err))
			continue
		}
		w.Port.HostPort = got
		stay = append(stay, w)
	}
	return errors.Join(errs...)
}

// fixedFirst puts claims of one port before those of a range, which can step aside.
func fixedFirst(want []api.PortClaim) []api.PortClaim {
	out := make([]api.PortClaim, 0, len(want))
	for _, ranged := range []bool{false, true} {
		for _, w := range want {
			if w.Port.HostPort != 0 && (w.Port.HostEnd > w.Port.HostPort) == ranged {
				out = append(out, w)
			}
		}
	}
	return out
}

// holders are the ports that are published, each with who has it.
func holders(recs []record) []api.PortClaim {
	var out []api.PortClaim
	for _, r := range recs {
		for _, p := range r.Ports {
			out = append(out, api.PortClaim{Owner: r.Owner, Port: p})
		}
	}
	return out
}

// choosePorts completes the ports of an attachment: the net lock is held and others' ports are in recs. The warnings name ports
// that cannot be published.
func choosePorts(a api.Attachment, r reach, recs []record) (out []api.Port, warnings []string, err error) {
	held := holders(recs)
	var lost []string
	for _, p := range a.Ports {
		p, ok := r.complete(p)
		if !ok {
			lost = append(lost, fmt.Sprintf("%d/%s", p.Container, p.Protocol))
			continue
		}
		got, err := choose(p, held, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot publish a port of %q: %w", a.Owner, err)
		}
		p.HostPort, p.HostEnd = got, 0
		out = append(out, p)
		held = append(held, api.PortClaim{Owner: a.Owner, Port: p})
	}
	if len(lost) > 0 {
		warnings = []string{fmt.Sprintf("ports %s of %q are not published: it is on no bridge network with a way out and addresses of that family",
			strings.Join(lost, ", "), a.Owner)}
	}
	return out, warnings, nil
}

// choose returns the host port for p: the one asked for, the first free one of a range, or an ephemeral one.
func choose(p api.Port, held, freed []api.PortClaim) (uint16, error) {
	if p.HostPort == 0 {
		return chooseEphemeral(p, held)
	}
	var first error
	for port := int(p.HostPort); port <= max(int(p.HostPort), int(p.HostEnd)); port++ {
		err := available(p, uint16(port), held, freed)
		if err == nil {
			return uint16(port), nil
		}
		if first == nil {
			first = err
		}
	}
	if p.HostEnd > p.HostPort {
		return 0, fault.New(errdefs.ErrConflict, "no port of %d-%d/%s is free: %v", p.HostPort, p.HostEnd, p.Protocol, first)
	}
	return 0, first
}

// chooseEphemeral lets the kernel choose, and again if another attachment has that port without a reservation.
func chooseEphemeral(p api.Port, held []api.PortClaim) (uint16, error) {
	for range 200 {
		ip := p.HostIPs()[0]
		port, err := bindOnce(ip, 0, p.Protocol)
		if err != nil {
			return 0, bindError(err, ip, 0, p.Protocol)
		}
		if _, is := heldBy(p, port, held); !is && (!p.Dual || available(p, port, nil, nil) == nil) {
			return port, nil
		}
	}
	return 0, fault.New(errdefs.ErrResourceExhausted, "no ephemeral port is free")
}

// heldBy says who holds a port of the host that p cannot have beside.
func heldBy(p api.Port, port uint16, held []api.PortClaim) (owner string, is bool) {
	i := slices.IndexFunc(held, func(h api.PortClaim) bool {
		return h.Port.HostPort == port && h.Port.Protocol == p.Protocol && api.AddrsMeet(h.Port.HostIP, p.HostIP)
	})
	if i < 0 {
		return "", false
	}
	return held[i].Owner, true
}

// available says why a port cannot be published, naming who has it.
func available(p api.Port, port uint16, held, freed []api.PortClaim) error {
	if owner, is := heldBy(p, port, held); is {
		return fault.New(errdefs.ErrConflict, "port %s is published by %q", addrPort(p.HostIP, port, p.Protocol), owner)
	}
	if _, is := heldBy(p, port, freed); is {
		return nil
	}
	for _, ip := range p.HostIPs() {
		if _, err := bindOnce(ip, port, p.Protocol); err != nil {
			return bindError(err, ip, port, p.Protocol)
		}
	}
	return nil
}

func bindError(err error, ip netip.Addr, port uint16, protocol string) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fault.New(errdefs.ErrConflict, "port %s is in use by %s", addrPort(ip, port, protocol), socketOwner(ip, port, protocol))
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fault.New(errdefs.ErrConflict, "no interface of this host has address %s", ip)
	}
	return fmt.Errorf("port %s: %w", addrPort(ip, port, protocol), err)
}

// socketOwner names the process that has a port of the host, as well as it can be found out.
func socketOwner(ip netip.Addr, port uint16, protocol string) string {
	for _, table := range []string{protocol, protocol + "6"} {
		for _, s := range kernel.Sockets(table) {
			bothFamilies := s.Addr.Addr() == netip.IPv6Unspecified() // unless it is asked not to, which nobody is told
			if s.Addr.Port() != port || !bothFamilies && !api.AddrsMeet(s.Addr.Addr(), ip) {
				continue
			}
			if pid := s.Holder(); pid != 0 {
				return fmt.Sprintf("process %s (pid %d)", kernel.Comm(pid), pid)
			}
		}
	}
	return "another program (a reservation that does not listen, or a process that cannot be seen)"
}

// bindOnce binds a port and lets it go again; it returns which one it was.
func bindOnce(ip netip.Addr, port uint16, protocol string) (uint16, error) {
	fd, got, err := bind(ip, port, protocol)
	if err == nil {
		unix.Close(fd)
	}
	return got, err
}

// bind opens a socket that holds a port without listening. Connections that an earlier listener left in TIME_WAIT are no
// obstacle, but once bound the port is not shared.
func bind(ip netip.Addr, port uint16, protocol string) (fd int, got uint16, err error) {
	kind := unix.SOCK_STREAM
	if protocol == "udp" {
		kind = unix.SOCK_DGRAM
	}
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(port), Addr: ip.As16()})
	if ip.Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: ip.As4()}
	}
	fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, 0, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if ip.Is6() { // beside sockets of IPv4
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fd, 0, err
		}
	}
	err = unix.Bind(fd, sa)
	if errors.Is(err, unix.EADDRINUSE) && kind == unix.SOCK_STREAM {
		if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err == nil {
			err = unix.Bind(fd, sa)
		}
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 0)
		}
	}
	if err != nil {
		return fd, 0, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return fd, 0, err
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		return fd, uint16(bound.Port), nil
	case *unix.SockaddrInet6:
		return fd, uint16(bound.Port), nil
	}
	return fd, 0, unix.EAFNOSUPPORT
}

// Reserve binds the published ports of an attachment (completed) in the caller's namespace and returns one socket for each of
// their addresses. Whoever inherits them keeps the host's programs off these ports; closing them is all the undoing there is.
// Those that Splices names listen, so that whoever splices them finds the connections that came before.
func Reserve(ports []api.Port) ([]*os.File, error) {
	var files []*os.File
	for _, p := range api.PerFamily(ports) {
		ip := p.HostIPs()[0]
		fd, _, err := bind(ip, p.HostPort, p.Protocol)
		if err == nil && ip.Is6() && p.Protocol == "tcp" {
			err = unix.Listen(fd, spliceBacklog)
		}
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("cannot reserve: %w", bindError(err, ip, p.HostPort, p.Protocol))
		}
		files = append(files, os.NewFile(uintptr(fd), "port "+addrPort(ip, p.HostPort, p.Protocol)))
	}
	return files, nil
}

// addrPort formats the host's side of a published port for messages.
func addrPort(ip netip.Addr, port uint16, proto string) string {
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(ip, port), proto)
}
