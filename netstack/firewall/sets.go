package firewall

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// The rules of podc are constant: what changes is elements of sets and maps, so that a packet costs the same whatever the
// number of pods, and no change ever has to look for a rule. testdata/table.nft shows the table as nft prints it.
//
//	bridges       the bridges of this root
//	internal      those of networks without a way out
//	same          bridge . bridge: traffic inside one network (bridge-nf-call-iptables sends it through here)
//
// and, for IPv4 and with a 6 at the end for IPv6:
//
//	subnets       the ranges of the networks whose published ports are translated
//	leaving       the ranges of those from which what leaves gets the host's address
//	routed        the bridges of networks that are reached as they are
//	published     protocol . port -> pod's address . port, on every address of the host
//	published_on  address . protocol . port -> the same, for one address
//	open          address . protocol . port of pods on routed networks

// layout names a chain without rules: its presence says that the table was built whole, by this version of the rules.
const layout = "layout_2"

// Families says of each family whether it is IPv6.
var Families = []bool{false, true}

// ByFamily is what a family has: four, or for IPv6 six.
func ByFamily[T any](v6 bool, four, six T) T {
	if v6 {
		return six
	}
	return four
}

var (
	typePort  = nftables.MustConcatSetType(nftables.TypeInetProto, nftables.TypeInetService)
	typeLinks = nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIFName)
)

// sets are the sets and maps of a table.
type sets struct {
	bridges, internal, same *nftables.Set
	v4, v6                  familySets
}

// familySets are those of one family.
type familySets struct{ subnets, leaving, routed, published, publishedOn, open *nftables.Set }

func (x *sets) of(v6 bool) *familySets { return ByFamily(v6, &x.v4, &x.v6) }

func setsOf(t *nftables.Table) sets {
	links := func(name string) *nftables.Set {
		return &nftables.Set{Table: t, Name: name, KeyType: nftables.TypeIFName, KeyByteOrder: binaryutil.NativeEndian}
	}
	family := func(addr nftables.SetDatatype, suffix string) familySets {
		on := nftables.MustConcatSetType(addr, nftables.TypeInetProto, nftables.TypeInetService)
		target := nftables.MustConcatSetType(addr, nftables.TypeInetService)
		return familySets{
			subnets:     &nftables.Set{Table: t, Name: "subnets" + suffix, KeyType: addr, Interval: true},
			leaving:     &nftables.Set{Table: t, Name: "leaving" + suffix, KeyType: addr, Interval: true},
			routed:      links("routed" + suffix),
			published:   &nftables.Set{Table: t, Name: "published" + suffix, IsMap: true, KeyType: typePort, DataType: target},
			publishedOn: &nftables.Set{Table: t, Name: "published_on" + suffix, IsMap: true, KeyType: on, DataType: target},
			open:        &nftables.Set{Table: t, Name: "open" + suffix, KeyType: on},
		}
	}
	x := sets{
		bridges: links("bridges"), internal: links("internal"),
		same: &nftables.Set{Table: t, Name: "same", KeyType: typeLinks},
		v4:   family(nftables.TypeIPAddr, ""), v6: family(nftables.TypeIP6Addr, "6"),
	}
	for i, set := range x.all() {
		set.ID = uint32(i + 1) // of this transaction; left to the library, it counts in a variable that no lock protects
	}
	return x
}

func (x sets) all() []*nftables.Set {
	list := []*nftables.Set{x.bridges, x.internal, x.same}
	for _, f := range []familySets{x.v4, x.v6} {
		list = append(list, f.subnets, f.leaving, f.routed, f.published, f.publishedOn, f.open)
	}
	return list
}

// elements are the contents of a table, by set name.
type elements map[string][]nftables.SetElement

func (e elements) add(set *nftables.Set, elems ...nftables.SetElement) {
	e[set.Name] = append(e[set.Name], elems...)
}

// addBridge adds what the table holds of a bridge.
func (e elements) addBridge(x sets, b Bridge) {
	name := ifnameKey(b.Name)
	e.add(x.bridges, nftables.SetElement{Key: name})
	if !b.Isolated {
		e.add(x.same, nftables.SetElement{Key: slices.Concat(name, name)})
	}
	if b.Internal {
		e.add(x.internal, nftables.SetElement{Key: name})
		return
	}
	for _, r := range b.Ranges {
		f := x.of(r.First.Is6())
		within := []nftables.SetElement{{Key: r.First.AsSlice()}}
		if r.Beyond.IsValid() {
			within = append(within, nftables.SetElement{Key: r.Beyond.AsSlice(), IntervalEnd: true})
		}
		if r.Routed {
			e.add(f.routed, nftables.SetElement{Key: name})
		} else {
			e.add(f.subnets, within...)
		}
		if r.Masquerades {
			e.add(f.leaving, within...)
		}
	}
}

// addPorts adds what the table holds of published ports.
func (e elements) addPorts(x sets, ports []Port) {
	for _, p := range ports {
		f, proto := x.of(p.IP.Is6()), pad(protoNumber(p.Protocol))
		if p.Open {
			e.add(f.open, nftables.SetElement{Key: slices.Concat(p.IP.AsSlice(), proto, portKey(p.Port))})
			continue
		}
		port := slices.Concat(proto, portKey(p.HostPort))
		target := slices.Concat(p.IP.AsSlice(), portKey(p.Port))
		if p.HostIP.IsValid() && !p.HostIP.IsUnspecified() {
			e.add(f.publishedOn, nftables.SetElement{Key: slices.Concat(p.HostIP.AsSlice(), port), Val: target})
		} else {
			e.add(f.published, nftables.SetElement{Key: port, Val: target})
		}
	}
}

func portKey(port uint16) []byte { return pad(byte(port>>8), byte(port)) }

// pad fills a field of a concatenation to a whole register.
func pad(b ...byte) []byte { return append(b, make([]byte, 4-len(b))...) }

func ifnameKey(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func protoNumber(p string) byte {
	if p == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// chunk bounds the elements of one netlink attribute, whose length is 16 bits.
const chunk = 256

// put queues elements of one kind of change.
func put(x sets, e elements, change func(*nftables.Set, []nftables.SetElement) error) error {
	for _, set := range x.all() {
		// A range is two elements, which must not be parted: chunk is even.
		for part := range slices.Chunk(e[set.Name], chunk) {
			if err := change(set, part); err != nil {
				return err
			}
		}
	}
	return nil
}

func hasKey(elems []nftables.SetElement, key []byte) bool {
	return slices.ContainsFunc(elems, func(e nftables.SetElement) bool { return slices.Equal(e.Key, key) })
}
