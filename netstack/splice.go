package netstack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"podc.example/podc/api"
)

// What a program of this host sends to ::1 cannot be translated to a pod: the kernel has no route_localnet for IPv6, and drops
// the answers as forged. The same goes for IPv6 addresses of the host and a pod that has none. Such ports are spliced instead:
// a process of podc's takes the connections from the very sockets that reserve the ports, and makes them anew to the pod.

const (
	spliceBacklog = 512
	// spliceIdle is how long a flow of datagrams may be silent.
	spliceIdle = 90 * time.Second
	// spliceFlows bounds the flows of one port; datagrams of further ones are dropped.
	spliceFlows = 1024
	// spliceDial bounds the wait for a pod to accept.
	spliceDial = 30 * time.Second
)

// Splices are the places, in Reserve's answer to ports, of the sockets that must be spliced.
func Splices(ports []api.Port) []int {
	var list []int
	for i, p := range api.PerFamily(ports) {
		if p.HostIP.Is6() {
			list = append(list, i)
		}
	}
	return list
}

// Splice serves a socket of Reserve, which stands for the port at place i of the same list, until ctx ends. It takes the file over.
// The host's namespace must be the caller's. Of a pod that is attached anew, later connections go to its new address.
func (s *Stack) Splice(ctx context.Context, id string, ports []api.Port, i int, f *os.File) error {
	defer f.Close()
	port := api.PerFamily(ports)[i]
	target := func() (netip.AddrPort, error) {
		rec, err := s.records.load(id)
		if err != nil {
			return netip.AddrPort{}, err
		}
		return rec.target(port)
	}
	if port.Protocol == "udp" {
		pc, err := net.FilePacketConn(f)
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { pc.Close() })()
		return spliceDatagrams(ctx, pc.(*net.UDPConn), target)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	return spliceConnections(ctx, l, target)
}

// target is where a port leads: an address of IPv6 where the pod has one by which it is published.
func (r record) target(p api.Port) (netip.AddrPort, error) {
	var found netip.Addr
	better := func(a netip.Addr) {
		if a.IsValid() && (!found.IsValid() || a.Is6() && found.Is4()) {
			found = a
		}
	}
	for _, e := range r.Published {
		better(e.IP)
	}
	for i := range r.Interfaces {
		if iface := r.Interfaces[i]; r.Ways[i] != (way{}) {
			better(iface.IPv4.Addr())
			better(iface.IPv6.Addr())
		}
	}
	if !found.IsValid() {
		return netip.AddrPort{}, fmt.Errorf("%q has no address", r.Owner)
	}
	return netip.AddrPortFrom(found, p.Container), nil
}

func spliceConnections(ctx context.Context, l net.Listener, target func() (netip.AddrPort, error)) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // this process is short of descriptors: give it time to get some back
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		running.Go(func() { spliceConnection(ctx, c.(*net.TCPConn), target) })
	}
}

// spliceConnection joins a connection to one to the pod. An end of one direction is passed on, and leaves the other open.
func spliceConnection(ctx context.Context, c *net.TCPConn, target func() (netip.AddrPort, error)) {
	defer c.Close()
	to, err := target()
	if err != nil {
		c.SetLinger(0) // refused, as far as that can still be told
		return
	}
	conn, err := (&net.Dialer{Timeout: spliceDial}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		c.SetLinger(0)
		return
	}
	pod := conn.(*net.TCPConn)
	defer pod.Close()
	defer context.AfterFunc(ctx, func() { c.Close(); pod.Close() })()
	var back sync.WaitGroup
	back.Go(func() { pass(c, pod) })
	pass(pod, c)
	back.Wait()
}

func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
	}
	to.CloseWrite()
}

// flows are those of one port's datagrams, each with a socket of its own, so that answers find their way back.
type flows struct {
	mu  sync.Mutex
	all map[netip.AddrPort]*net.UDPConn
}

func spliceDatagrams(ctx context.Context, pc *net.UDPConn, target func() (netip.AddrPort, error)) error {
	f := &flows{all: map[netip.AddrPort]*net.UDPConn{}}
	var running sync.WaitGroup
	defer running.Wait()
	defer f.close()
	buf := make([]byte, 64<<10)
	for {
		n, from, err := pc.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			continue // a bounced answer
		}
		f.mu.Lock()
		conn := f.all[from]
		if conn == nil && len(f.all) < spliceFlows {
			if conn = f.open(target); conn != nil {
				f.all[from] = conn
				running.Go(func() { f.answer(pc, conn, from) })
			}
		}
		f.mu.Unlock()
		if conn != nil {
			conn.SetReadDeadline(time.Now().Add(spliceIdle))
			conn.Write(buf[:n])
		}
	}
}

func (f *flows) open(target func() (netip.AddrPort, error)) *net.UDPConn {
	to, err := target()
	if err != nil {
		return nil
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil
	}
	return conn
}

// answer passes what the pod sends back until the flow has been silent for a while.
func (f *flows) answer(pc *net.UDPConn, conn *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			break // silence, or the pod refuses: the next datagram begins anew
		}
		conn.SetReadDeadline(time.Now().Add(spliceIdle))
		pc.WriteToUDPAddrPort(buf[:n], to)
	}
	f.mu.Lock()
	delete(f.all, to)
	f.mu.Unlock()
	conn.Close()
}

func (f *flows) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.all {
		conn.Close()
	}
}
