package firewall

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

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
