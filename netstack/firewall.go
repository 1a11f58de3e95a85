package netstack

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
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

// firewall is what podc has the kernel do with the packets of one root: a table of its own, and what the firewalls of others must
// know. It follows from what is on record of networks and attachments.
type firewall struct {
	root    string
	lists   *conflists
	records *records
	conn    *nftables.Conn // used under the net lock only, see nft
}

// table is podc's own table of this root; nothing else is ever changed but what dockerchain.go says.
func (fw *firewall) table() *nftables.Table {
	return &nftables.Table{Name: "podc-" + fw.root, Family: nftables.TableFamilyINet}
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

func (x *sets) of(v6 bool) *familySets {
	if v6 {
		return &x.v6
	}
	return &x.v4
}

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

// addNetwork adds what the table holds of a network.
func (e elements) addNetwork(x sets, n Network) {
	name := ifnameKey(n.Bridge)
	e.add(x.bridges, nftables.SetElement{Key: name})
	if !isolated(n) {
		e.add(x.same, nftables.SetElement{Key: slices.Concat(name, name)})
	}
	if n.Internal {
		e.add(x.internal, nftables.SetElement{Key: name})
		return
	}
	for _, sub := range n.Subnets {
		v6 := sub.CIDR.Addr().Is6()
		f := x.of(v6)
		start := nftables.SetElement{Key: sub.CIDR.Masked().Addr().AsSlice()}
		// The kernel wants the first address beyond; where there is none, the range has no end.
		within := []nftables.SetElement{start}
		if beyond := lastAddr(sub.CIDR).Next(); beyond.IsValid() {
			within = append(within, nftables.SetElement{Key: beyond.AsSlice(), IntervalEnd: true})
		}
		if routed(n, v6) {
			e.add(f.routed, nftables.SetElement{Key: name})
		} else {
			e.add(f.subnets, within...)
		}
		if masquerades(n, v6) {
			e.add(f.leaving, within...)
		}
	}
}

// addPorts adds what the table holds of published ports.
func (e elements) addPorts(x sets, ports []published) {
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

// nft runs f with this process's connection to nftables, under the net lock. The connection is kept, since closing one waits
// until the kernel has freed what was deleted through it; after an error it is dropped, since answers may be left in it.
func (fw *firewall) nft(f func(c *nftables.Conn) error) (err error) {
	if fw.conn == nil {
		if fw.conn, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(bigBuffers)); err != nil {
			return fmt.Errorf("cannot talk to nftables: %w", err)
		}
	}
	if err = f(fw.conn); err != nil {
		fw.conn.CloseLasting()
		fw.conn = nil
	}
	return err
}

// bigBuffers makes room for a transaction that rebuilds a table of some thousand elements: it is one message.
func bigBuffers(c *netlink.Conn) error {
	return errors.Join(c.SetWriteBuffer(8<<20), c.SetReadBuffer(8<<20))
}

// ensureTable makes sure that the table is there and holds n. The net lock is held.
func (fw *firewall) ensureTable(n Network) error {
	x := setsOf(fw.table())
	built, holds := false, false
	err := fw.nft(func(c *nftables.Conn) error {
		if built = hasChain(c, fw.table(), layout); !built {
			return nil
		}
		elems, err := c.GetSetElements(x.bridges)
		holds = hasKey(elems, ifnameKey(n.Bridge))
		return err
	})
	if err != nil || !built {
		err = fw.rebuild()
	} else if !holds {
		e := elements{}
		e.addNetwork(x, n)
		err = fw.change(x, e, true)
	}
	if err != nil {
		return err
	}
	return fw.nft(fw.makeWay)
}

// change adds or removes elements in one transaction; if the kernel refuses it, since the table is not what it should be,
// the table is built anew.
func (fw *firewall) change(x sets, e elements, add bool) error {
	err := fw.nft(func(c *nftables.Conn) error {
		how := c.SetAddElements
		if !add {
			how = c.SetDeleteElements
		}
		if err := put(x, e, how); err != nil {
			return err
		}
		return c.Flush()
	})
	if err != nil {
		return fw.rebuild()
	}
	return nil
}

// dropFromTable removes n from the table, or the table with the last bridge. rest are the networks that stay.
func (fw *firewall) dropFromTable(n Network, rest map[string]Network) error {
	x, e := setsOf(fw.table()), elements{}
	e.addNetwork(x, n)
	err := fw.nft(func(c *nftables.Conn) error {
		if bridges(rest) == 0 || !hasChain(c, fw.table(), layout) {
			return fw.rebuildFor(c, rest)
		}
		if err := put(x, e, c.SetDeleteElements); err != nil {
			return err
		}
		return c.Flush()
	})
	if err != nil {
		err = fw.nft(func(c *nftables.Conn) error { return fw.rebuildFor(c, rest) })
	}
	return errors.Join(err, fw.nft(func(c *nftables.Conn) error { return fw.makeWayFor(c, rest) }))
}

func bridges(networks map[string]Network) (n int) {
	for _, x := range networks {
		if isBridge(x) {
			n++
		}
	}
	return n
}

func (fw *firewall) dropTable(c *nftables.Conn) error {
	t := fw.table()
	c.AddTable(t)
	c.DelTable(t)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot remove nftables table %s: %w", t.Name, err)
	}
	return nil
}

// rebuild makes the table from state, in one transaction. The net lock is held.
func (fw *firewall) rebuild() error {
	all, err := fw.lists.Networks()
	if err != nil {
		return err
	}
	return fw.nft(func(c *nftables.Conn) error { return fw.rebuildFor(c, all) })
}

func (fw *firewall) rebuildFor(c *nftables.Conn, networks map[string]Network) error {
	if bridges(networks) == 0 {
		return fw.dropTable(c)
	}
	e, err := fw.wantedElements(networks)
	if err != nil {
		return err
	}
	t := fw.table()
	if err := buildTable(c, t, e); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot build nftables table %s: %w", t.Name, err)
	}
	return nil
}

// wantedElements is what the table should hold according to networks and records.
func (fw *firewall) wantedElements(networks map[string]Network) (elements, error) {
	recs, err := fw.records.all()
	if err != nil {
		return nil, err
	}
	e, x := elements{}, setsOf(fw.table())
	for _, n := range networks {
		if isBridge(n) {
			e.addNetwork(x, n)
		}
	}
	for _, r := range recs {
		if !r.Going {
			e.addPorts(x, r.Published)
		}
	}
	return e, nil
}

func hasKey(elems []nftables.SetElement, key []byte) bool {
	return slices.ContainsFunc(elems, func(e nftables.SetElement) bool { return slices.Equal(e.Key, key) })
}

// hasChain asks for one chain: the cheapest question whether a table is there.
func hasChain(c *nftables.Conn, t *nftables.Table, name string) bool {
	_, err := c.ListChain(t, name)
	return err == nil
}

// addrPort formats the host's side of a published port for messages.
func addrPort(ip netip.Addr, port uint16, proto string) string {
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(ip, port), proto)
}

// rulesOf is the number of rules in each chain, see addRules.
var rulesOf = map[string]int{layout: 0, "publish": 4, "raw": 1, "prerouting": 2, "output": 2, "postrouting": 5, "forward": 10}

// tableFault says what is wrong with the table, "" if nothing is.
func (fw *firewall) tableFault(c *nftables.Conn, networks map[string]Network) string {
	t := fw.table()
	_, err := c.ListTableOfFamily(t.Name, t.Family)
	switch exists := err == nil; {
	case bridges(networks) == 0 && exists:
		return "it exists without a network"
	case bridges(networks) == 0:
		return ""
	case !exists:
		return "it is missing"
	}
	want, err := fw.wantedElements(networks)
	if err != nil {
		return err.Error()
	}
	for chain, n := range rulesOf {
		if rules, err := c.GetRules(t, &nftables.Chain{Name: chain, Table: t}); err != nil || len(rules) != n {
			return fmt.Sprintf("chain %s does not hold its %d rules", chain, n)
		}
	}
	for _, set := range setsOf(t).all() {
		got, err := c.GetSetElements(set)
		if err != nil || !sameElements(got, want[set.Name]) {
			return fmt.Sprintf("the elements of %s are not those of the attachments and networks", set.Name)
		}
	}
	return ""
}

func sameElements(a, b []nftables.SetElement) bool {
	keys := func(elems []nftables.SetElement) []string {
		var out []string
		for _, e := range elems {
			out = append(out, fmt.Sprintf("%x %x %t", e.Key, e.Val, e.IntervalEnd))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(keys(a), keys(b))
}

// changePorts adds or removes published ports. The net lock is held and the records say already how it shall be.
func (fw *firewall) changePorts(ports []published, add bool) error {
	built := false
	err := fw.nft(func(c *nftables.Conn) error { built = hasChain(c, fw.table(), layout); return nil })
	if err == nil && built {
		x, e := setsOf(fw.table()), elements{}
		e.addPorts(x, ports)
		err = fw.change(x, e, add)
	} else {
		err = fw.rebuild()
	}
	if err != nil {
		return fmt.Errorf("cannot change published ports: %w", err)
	}
	return forgetFlows(ports)
}
