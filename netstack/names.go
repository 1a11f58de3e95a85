package netstack

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// DNSAddr is what resolv.conf of a pod says.
var DNSAddr = netip.MustParseAddr("127.0.0.11")

// redirectTable is the table in the pod's namespace that leads queries for DNSAddr:53 to where the resolver listens. A socket
// on port 53 itself would keep every container from listening on 0.0.0.0:53.
const redirectTable = "podc-dns"

// redirect replaces the redirect in the current namespace, in one transaction.
func redirect(ports api.DNSPorts) error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return err
	}
	defer c.CloseLasting()
	t := &nftables.Table{Name: redirectTable, Family: nftables.TableFamilyIPv4}
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	chain := c.AddChain(&nftables.Chain{Name: "output", Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest})
	addr := DNSAddr.As4()
	for proto, port := range map[byte]uint16{unix.IPPROTO_UDP: ports.UDP, unix.IPPROTO_TCP: ports.TCP} {
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
			&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4, DestRegister: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr[:]},
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
			&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 53}},
			&expr.Immediate{Register: 1, Data: addr[:]},
			&expr.Immediate{Register: 2, Data: []byte{byte(port >> 8), byte(port)}},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
		}})
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot redirect DNS: %w", err)
	}
	return nil
}

// pickDNSPorts chooses ports above those that the kernel hands out by itself, so that a container hardly ever has them.
func pickDNSPorts() api.DNSPorts {
	p := func() uint16 { return uint16(61000 + rand.N(65536-61000)) }
	return api.DNSPorts{UDP: p(), TCP: p()}
}

// DNSSockets are the open sockets of one attachment's resolver, inside its namespace.
type DNSSockets struct {
	UDP *net.UDPConn
	TCP *net.TCPListener
}

// Close closes both sockets.
func (d DNSSockets) Close() {
	if d.UDP != nil {
		d.UDP.Close()
	}
	if d.TCP != nil {
		d.TCP.Close()
	}
}

// ListenDNS opens the sockets of an attachment's resolver and leads the namespace's queries to them; from here on they wait
// there. The ports are those of the record, so that a new resolver takes the place of one that died; if a container took one
// of them meanwhile, another is opened and noted.
func (s *Stack) ListenDNS(ctx context.Context, id string) (DNSSockets, error) {
	r, err := s.records.load(id)
	if err != nil {
		return DNSSockets{}, fmt.Errorf("cannot serve names to attachment %s: %w", id, err)
	}
	var d DNSSockets
	err = kernel.InNetNS(r.NetNS, func() error {
		var err error
		if d, err = listenDNS(r.DNSPorts); err != nil {
			return err
		}
		return redirect(d.ports())
	})
	if err == nil && d.ports() != r.DNSPorts {
		err = s.records.noteDNSPorts(ctx, id, d.ports())
	}
	if err != nil {
		d.Close()
		return DNSSockets{}, fmt.Errorf("cannot serve names to %q: %w", r.Owner, err)
	}
	return d, nil
}

func listenDNS(p api.DNSPorts) (DNSSockets, error) {
	var d DNSSockets
	addr := DNSAddr.AsSlice()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: addr, Port: int(p.UDP)})
	if err != nil {
		udp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: addr})
	}
	if err != nil {
		return d, err
	}
	d.UDP = udp
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: addr, Port: int(p.TCP)})
	if err != nil {
		tcp, err = net.ListenTCP("tcp4", &net.TCPAddr{IP: addr})
	}
	if err != nil {
		udp.Close()
		return DNSSockets{}, err
	}
	d.TCP = tcp
	return d, nil
}

func (d DNSSockets) ports() api.DNSPorts {
	return api.DNSPorts{UDP: uint16(d.UDP.LocalAddr().(*net.UDPAddr).Port), TCP: uint16(d.TCP.Addr().(*net.TCPAddr).Port)}
}

// NameRecord says which names one attachment has on one network. It is the file <NamesDir>/<network>/<attachment>.json,
// replaced in one step, so that a resolver holds nothing that it could lose. Names are lower-case; the first is the one that
// a reverse lookup answers.
type NameRecord struct {
	Names []string   `json:"names"`
	IPv4  netip.Addr `json:"ipv4,omitzero"`
	IPv6  netip.Addr `json:"ipv6,omitzero"`
}

// nameFiles are the records of names.
type nameFiles struct{ files }

// write makes the names of a resolvable.
func (nf nameFiles) write(a api.Attachment) error {
	for i, iface := range a.Interfaces {
		names := cleanNames(a.Names, a.Endpoints[i].Aliases)
		if len(names) == 0 || len(iface.Addrs()) == 0 {
			continue
		}
		if err := os.MkdirAll(nf.namesDir(iface.Network), 0o700); err != nil {
			return err
		}
		rec := NameRecord{Names: names, IPv4: iface.IPv4.Addr(), IPv6: iface.IPv6.Addr()}
		if err := disk.WriteJSON(nf.nameFile(iface.Network, a.ID), rec, disk.Volatile); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether the names of an attachment on a network are on record.
func (nf nameFiles) has(network, id string) bool {
	var rec NameRecord
	return disk.ReadJSON(nf.nameFile(network, id), &rec) == nil && len(rec.Names) > 0
}

// remove makes the names of a unresolvable.
func (nf nameFiles) remove(a api.Attachment) error {
	var errs []error
	for _, e := range a.Endpoints {
		errs = append(errs, os.RemoveAll(nf.nameFile(e.Network, a.ID)))
	}
	return errors.Join(errs...)
}

// cleanNames joins lists of names as queries will spell them, without repetition, in order.
func cleanNames(lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for _, n := range list {
			n = strings.ToLower(strings.TrimSuffix(n, "."))
			if n != "" && !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}
