package dns

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"podc.example/podc/api"
)

// ttl is that of every name of podc: none, since a pod may be replaced at any time.
const ttl = 0

// view is what one attachment may know.
type view struct {
	names     *names
	networks  []membership // in the order of its interfaces
	links     map[string]string
	upstreams func() []string // nil: it may not ask outside
}

// membership is one network of an attachment.
type membership struct {
	network string
	subnets []netip.Prefix
}

func (s *Server) viewOf(a api.Attachment) (view, error) {
	v := view{names: s.names, links: map[string]string{}}
	internal := true
	for _, i := range a.Interfaces {
		n, err := s.stack.Network(i.Network)
		if err != nil {
			return v, err
		}
		internal = internal && n.Internal
		if err := s.names.watch(i.Network); err != nil {
			return v, err
		}
		m := membership{network: i.Network}
		for _, p := range []netip.Prefix{i.IPv4, i.IPv6} {
			if p.IsValid() {
				m.subnets = append(m.subnets, p.Masked())
			}
		}
		v.networks = append(v.networks, m)
	}
	for alias, target := range a.Links {
		v.links[canonical(alias)] = canonical(target)
	}
	switch {
	case internal:
	case len(a.DNS) > 0:
		own := withPort(a.DNS)
		v.upstreams = func() []string { return own }
	default:
		v.upstreams = s.hosts.get
	}
	return v, nil
}

// question is a query that must be asked elsewhere.
type question struct {
	wire      []byte
	msg       *dns.Msg
	upstreams []string
}

// handle answers a query, or says what to ask. Both are nil for what deserves no answer.
func (v *view) handle(wire []byte, tcp bool) (answer []byte, ask *question) {
	req := new(dns.Msg)
	if err := req.Unpack(wire); err != nil {
		return malformed(wire), nil
	}
	if req.Response {
		return nil, nil
	}
	resp := new(dns.Msg).SetReply(req)
	resp.RecursionAvailable = true
	switch {
	case req.Opcode != dns.OpcodeQuery:
		resp.Rcode = dns.RcodeNotImplemented
	case len(req.Question) != 1:
		resp.Rcode = dns.RcodeFormatError
	case req.Question[0].Qclass != dns.ClassINET:
		resp.Rcode = dns.RcodeRefused
	case !v.local(req.Question[0], resp):
		if v.upstreams != nil {
			return nil, &question{append([]byte(nil), wire...), req, v.upstreams()}
		}
		resp.Rcode = dns.RcodeNameError
	}
	return pack(req, resp, tcp), nil
}

// malformed answers a query of which at least the header can be read.
func malformed(wire []byte) []byte {
	if len(wire) < 12 || wire[2]&0x80 != 0 {
		return nil
	}
	resp := new(dns.Msg)
	resp.Id = uint16(wire[0])<<8 | uint16(wire[1])
	resp.Response, resp.Rcode = true, dns.RcodeFormatError
	b, _ := resp.Pack()
	return b
}

// pack writes an answer in the size that the client takes.
func pack(req, resp *dns.Msg, tcp bool) []byte {
	size := dns.MinMsgSize
	if opt := req.IsEdns0(); opt != nil {
		size = max(size, int(opt.UDPSize()))
		resp.SetEdns0(4096, false)
	}
	if tcp {
		size = dns.MaxMsgSize
	}
	resp.Compress = true
	resp.Truncate(size)
	b, err := resp.Pack()
	if err != nil {
		return refusal(&question{msg: req})
	}
	return b
}

// refusal says that the server could not find out.
func refusal(q *question) []byte {
	b, _ := new(dns.Msg).SetRcode(q.msg, dns.RcodeServerFailure).Pack()
	return b
}

// local answers from podc's own names; false if they do not decide.
func (v *view) local(q dns.Question, resp *dns.Msg) bool {
	name := canonical(q.Name)
	if a, ok := reverseAddr(name); ok && q.Qtype == dns.TypePTR {
		return v.pointer(a, q, resp)
	}
	addrs, known := v.resolve(name, q.Qtype)
	if !known {
		return false
	}
	// A name of ours has no other records than these; that it has none of a family is no error.
	for _, a := range addrs {
		switch {
		case a.Is4() && (q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY):
			resp.Answer = append(resp.Answer, &dns.A{Hdr: header(q.Name, dns.TypeA), A: a.AsSlice()})
		case a.Is6() && (q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY):
			resp.Answer = append(resp.Answer, &dns.AAAA{Hdr: header(q.Name, dns.TypeAAAA), AAAA: a.AsSlice()})
		}
	}
	return true
}

// resolve looks a name up: links first, then on each network in order, also as "name.network"; false if
// nobody has it.
func (v *view) resolve(name string, qtype uint16) ([]netip.Addr, bool) {
	if target, ok := v.links[name]; ok {
		name = target
	}
	for _, m := range v.networks {
		if addrs, known := v.names.lookup(m.network, name, qtype); known {
			return addrs, true
		}
		if short, ok := strings.CutSuffix(name, "."+canonical(m.network)); ok {
			if addrs, known := v.names.lookup(m.network, short, qtype); known {
				return addrs, true
			}
		}
	}
	return nil, false
}

// pointer answers a reverse lookup. Addresses of the attachment's own networks are known here or nowhere.
func (v *view) pointer(a netip.Addr, q dns.Question, resp *dns.Msg) bool {
	for _, m := range v.networks {
		if !slices.ContainsFunc(m.subnets, func(p netip.Prefix) bool { return p.Contains(a) }) {
			continue
		}
		if name := v.names.reverse(m.network, a); name != "" {
			resp.Answer = append(resp.Answer, &dns.PTR{Hdr: header(q.Name, dns.TypePTR), Ptr: dns.Fqdn(name + "." + m.network)})
		} else {
			resp.Rcode = dns.RcodeNameError
		}
		return true
	}
	return false
}

func header(name string, typ uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET, Ttl: ttl}
}

// canonical is how names are compared: lower-case, without the last dot.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// reverseAddr reads "4.3.2.1.in-addr.arpa", and the same of IPv6.
func reverseAddr(name string) (netip.Addr, bool) {
	if nibbles, ok := strings.CutSuffix(name, ".ip6.arpa"); ok {
		return reverseAddr6(nibbles)
	}
	digits, ok := strings.CutSuffix(name, ".in-addr.arpa")
	parts := strings.Split(digits, ".")
	if !ok || len(parts) != 4 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(strings.Join([]string{parts[3], parts[2], parts[1], parts[0]}, "."))
	return a, err == nil
}

// reverseAddr6 reads the 32 digits of an address of IPv6, the last one first.
func reverseAddr6(nibbles string) (netip.Addr, bool) {
	digits := strings.Split(nibbles, ".")
	slices.Reverse(digits)
	var b [16]byte
	n, err := hex.Decode(b[:], []byte(strings.Join(digits, "")[:min(32, len(nibbles))]))
	return netip.AddrFrom16(b), err == nil && n == 16 && len(digits) == 32
}
