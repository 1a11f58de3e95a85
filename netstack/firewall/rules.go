package firewall

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// buildTable queues the whole table, replacing the one that is there in the same transaction.
func buildTable(c *nftables.Conn, t *nftables.Table, e elements) error {
	c.AddTable(t) // so that deleting never fails
	c.DelTable(t)
	c.AddTable(t)
	x := setsOf(t)
	for _, set := range x.all() {
		if err := c.AddSet(set, nil); err != nil {
			return err
		}
	}
	if err := put(x, e, c.SetAddElements); err != nil {
		return err
	}
	addRules(c, t, x)
	c.AddChain(&nftables.Chain{Name: layout, Table: t})
	return nil
}

// addRules queues the chains and their rules.
func addRules(c *nftables.Conn, t *nftables.Table, x sets) {
	base := func(name string, typ nftables.ChainType, hook *nftables.ChainHook, prio nftables.ChainPriority) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Name: name, Table: t, Type: typ, Hooknum: hook, Priority: nftables.ChainPriorityRef(prio)})
	}
	rule := func(chain *nftables.Chain, parts ...[]expr.Any) {
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: slices.Concat(parts...)})
	}
	publish := c.AddChain(&nftables.Chain{Name: "publish", Table: t})
	for _, v6 := range Families {
		f := x.of(v6)
		rule(publish, isFamily(v6), dnatOn(f.publishedOn, v6))
		rule(publish, isFamily(v6), toLocalAddress(), dnatAny(f.published, v6))
	}

	// The translation of 127.0.0.1 needs route_localnet on the bridges: then nothing but this keeps pods from the host's
	// loopback services.
	raw := base("raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, *nftables.ChainPriorityRaw)
	rule(raw, iif(x.bridges), loopback(16, expr.CmpOpEq), verdict(expr.VerdictDrop))

	// A packet for 127.0.0.1 that comes from a wire is forged: it must not reach what is published for this host only. The
	// kernel itself sees to ::1.
	pre := base("prerouting", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest)
	rule(pre, loopback(16, expr.CmpOpNeq), toPublish())
	rule(pre, isFamily(true), toPublish())
	// What is sent to ::1 cannot leave by another interface: see splice.go.
	out := base("output", nftables.ChainTypeNAT, nftables.ChainHookOutput, *nftables.ChainPriorityNATDest)
	rule(out, isFamily(false), toPublish())
	rule(out, notToLoopback6(), toPublish())

	// Answers must come back through here: for the host's 127.0.0.1, for pods that called a published port (of their own, of
	// a neighbour on the same bridge), and for all that leaves.
	post := base("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource)
	rule(post, oif(x.bridges, false), loopback(12, expr.CmpOpEq), masquerade())
	for _, v6 := range Families {
		rule(post, oif(x.bridges, false), from(x.of(v6).subnets, v6), translated(), masquerade())
		rule(post, oif(x.bridges, true), from(x.of(v6).leaving, v6), masquerade())
	}

	fwd := base("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, *nftables.ChainPriorityFilter)
	rule(fwd, ongoing(), verdict(expr.VerdictAccept))
	rule(fwd, between(x.same), verdict(expr.VerdictAccept))
	rule(fwd, iif(x.internal), verdict(expr.VerdictDrop))
	rule(fwd, oif(x.internal, false), verdict(expr.VerdictDrop))
	rule(fwd, oif(x.bridges, false), translated(), verdict(expr.VerdictAccept))
	for _, v6 := range Families {
		rule(fwd, oif(x.of(v6).routed, false), isPing(v6), verdict(expr.VerdictAccept))
		rule(fwd, isFamily(v6), toOpen(x.of(v6).open, v6), verdict(expr.VerdictAccept))
	}
	rule(fwd, oif(x.bridges, false), verdict(expr.VerdictDrop))
}

// The pieces that rules are put together from. Registers 1, 9 and 10 are the first three 32-bit fields of a concatenation
// (register 1 is 16 bytes wide and covers 8 to 11); 1 and 2 those of two interface names.

func isFamily(v6 bool) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{nfproto(v6)}},
	}
}

func nfproto(v6 bool) byte { return ByFamily[byte](v6, unix.NFPROTO_IPV4, unix.NFPROTO_IPV6) }

// Where addresses lie in the header of a packet.
func source(v6 bool) *expr.Payload      { return address(v6, ByFamily[uint32](v6, 12, 8)) }
func destination(v6 bool) *expr.Payload { return address(v6, ByFamily[uint32](v6, 16, 24)) }

func address(v6 bool, offset uint32) *expr.Payload {
	return &expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: ByFamily[uint32](v6, 4, 16), DestRegister: 1}
}

// loopback compares the address at offset of the IPv4 header (12 source, 16 destination) with 127.0.0.0/8.
func loopback(offset uint32, op expr.CmpOp) []expr.Any {
	return append(isFamily(false),
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 1, DestRegister: 1},
		&expr.Cmp{Op: op, Register: 1, Data: []byte{127}})
}

// notToLoopback6 matches packets of IPv6 that are not for ::1.
func notToLoopback6() []expr.Any {
	return append(isFamily(true), destination(true), &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: netip.IPv6Loopback().AsSlice()})
}

// isPing matches questions whether somebody is there.
func isPing(v6 bool) []expr.Any {
	proto, kind := ByFamily[byte](v6, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6), ByFamily[byte](v6, 8, 128)
	return append(isFamily(v6),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1, DestRegister: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{kind}})
}

func iif(set *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1}, lookup(set, false)}
}

func oif(set *nftables.Set, not bool) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1}, lookup(set, not)}
}

func between(set *nftables.Set) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 2},
		lookup(set, false),
	}
}

func from(set *nftables.Set, v6 bool) []expr.Any {
	return append(isFamily(v6), source(v6), lookup(set, false))
}

func lookup(set *nftables.Set, not bool) expr.Any {
	return &expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID, Invert: not}
}

// toLocalAddress matches packets for any address of this host.
func toLocalAddress() []expr.Any {
	return []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: native32(unix.RTN_LOCAL)},
	}
}

// second and third are the 32-bit registers behind an address in register 1.
func second(v6 bool) uint32 { return ByFamily[uint32](v6, 9, 12) }
func third(v6 bool) uint32  { return second(v6) + 1 }

// dnatAny translates by protocol . port.
func dnatAny(m *nftables.Set, v6 bool) []expr.Any {
	return append([]expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: 9},
	}, dnat(m, v6)...)
}

// dnatOn translates by address . protocol . port.
func dnatOn(m *nftables.Set, v6 bool) []expr.Any { return append(addressAndPort(v6), dnat(m, v6)...) }

// dnat translates to what m has for the registers from the first on.
func dnat(m *nftables.Set, v6 bool) []expr.Any {
	return []expr.Any{
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: m.Name, SetID: m.ID},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(nfproto(v6)), RegAddrMin: 1, RegProtoMin: second(v6)},
	}
}

// addressAndPort loads address . protocol . port of the destination.
func addressAndPort(v6 bool) []expr.Any {
	return []expr.Any{
		destination(v6),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: second(v6)},
		&expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2, DestRegister: third(v6)},
	}
}

// toOpen matches packets for a set of address . protocol . port.
func toOpen(set *nftables.Set, v6 bool) []expr.Any {
	return append(addressAndPort(v6), lookup(set, false))
}

// ctBits matches connections that have one of the bits in a word of conntrack.
func ctBits(key expr.CtKey, bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: key, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: native32(bits), Xor: native32(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: native32(0)},
	}
}

// ongoing matches packets of connections that were let through before.
func ongoing() []expr.Any {
	return ctBits(expr.CtKeySTATE, expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED)
}

// translated matches connections that came through a published port (IPS_DST_NAT).
func translated() []expr.Any { return ctBits(expr.CtKeySTATUS, 1<<5) }

func masquerade() []expr.Any { return []expr.Any{&expr.Masq{}} }

func verdict(k expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: k}} }

func toPublish() []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: "publish"}}
}

func native32(v uint32) []byte {
	b := make([]byte, 4)
	binary.NativeEndian.PutUint32(b, v)
	return b
}
