// Package firewall is what podc has the kernel do with the packets of one root: it translates published ports and addresses that leave,
// keeps networks apart, and has the firewalls of others let through what it lets through. It knows bridges and ports, no networks' files and
// no pods.
package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
)

// Bridge is what the firewall must know of a network.
type Bridge struct {
	Name       string
	Borrowed   bool // somebody else made it
	Internal   bool // nothing leaves it, and nothing comes in
	Isolated   bool // its pods may not talk to each other
	IPv4, IPv6 bool // the families that it has
	Ranges     []Range
}

func (b Bridge) has(v6 bool) bool { return ByFamily(v6, b.IPv4, b.IPv6) }

// Range is one subnet of a bridge.
type Range struct {
	First, Beyond netip.Addr // Beyond is the first address after it; none where it reaches to the end of its family
	Routed        bool       // its addresses are reached from outside as they are
	Masquerades   bool       // what leaves has the host's address
}

// Port is one published port, by one family.
type Port struct {
	HostIP   netip.Addr `json:"host_ip,omitzero"`
	HostPort uint16     `json:"host_port"`
	Protocol string     `json:"protocol"`
	IP       netip.Addr `json:"ip"` // of the pod
	Port     uint16     `json:"port"`
	Open     bool       `json:"open,omitempty"` // only let through to IP, on a routed bridge: the host's side does not count
}

// Firewall is that of one root. It has no state of its own but follows from the bridges and ports that are on record, and can be
// built anew from them at any time. Its methods are called under the net lock, but for Blockers.
type Firewall struct {
	root    string
	bridges func() ([]Bridge, error)
	ports   func() ([]Port, error)
	conn    *nftables.Conn // see nft
}

// New returns the firewall of a root; bridges and ports say what is on record.
func New(root string, bridges func() ([]Bridge, error), ports func() ([]Port, error)) *Firewall {
	return &Firewall{root: root, bridges: bridges, ports: ports}
}

// Name is that of podc's own table of this root.
func (fw *Firewall) Name() string { return "podc-" + fw.root }

// table is podc's own table of this root; nothing else is ever changed but what dockerchain.go says.
func (fw *Firewall) table() *nftables.Table {
	return &nftables.Table{Name: fw.Name(), Family: nftables.TableFamilyINet}
}

// nft runs f with this process's connection to nftables. The connection is kept, since closing one waits
// until the kernel has freed what was deleted through it; after an error it is dropped, since answers may be left in it.
func (fw *Firewall) nft(f func(c *nftables.Conn) error) (err error) {
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

// Hold makes sure that the table is there and holds b, which is on record.
func (fw *Firewall) Hold(b Bridge) error {
	x := setsOf(fw.table())
	built, holds := false, false
	err := fw.nft(func(c *nftables.Conn) error {
		if built = hasChain(c, fw.table(), layout); !built {
			return nil
		}
		elems, err := c.GetSetElements(x.bridges)
		holds = hasKey(elems, ifnameKey(b.Name))
		return err
	})
	if err != nil || !built {
		err = fw.rebuild()
	} else if !holds {
		e := elements{}
		e.addBridge(x, b)
		err = fw.change(x, e, true)
	}
	if err != nil {
		return err
	}
	return fw.nft(fw.makeWay)
}

// change adds or removes elements in one transaction; if the kernel refuses it, since the table is not what it should be,
// the table is built anew.
func (fw *Firewall) change(x sets, e elements, add bool) error {
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

// Drop removes b from the table, or the table with the last bridge. rest are the bridges that stay.
func (fw *Firewall) Drop(b Bridge, rest []Bridge) error {
	x, e := setsOf(fw.table()), elements{}
	e.addBridge(x, b)
	err := fw.nft(func(c *nftables.Conn) error {
		if len(rest) == 0 || !hasChain(c, fw.table(), layout) {
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

func (fw *Firewall) dropTable(c *nftables.Conn) error {
	t := fw.table()
	c.AddTable(t)
	c.DelTable(t)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("cannot remove nftables table %s: %w", t.Name, err)
	}
	return nil
}

// Rebuild makes the table from bridges and the ports on record, in one transaction, and makes way for it.
func (fw *Firewall) Rebuild(bridges []Bridge) error {
	return fw.nft(func(c *nftables.Conn) error {
		return errors.Join(fw.rebuildFor(c, bridges), fw.makeWayFor(c, bridges))
	})
}

// rebuild makes the table from what is on record, in one transaction.
func (fw *Firewall) rebuild() error {
	all, err := fw.bridges()
	if err != nil {
		return err
	}
	return fw.nft(func(c *nftables.Conn) error { return fw.rebuildFor(c, all) })
}

func (fw *Firewall) rebuildFor(c *nftables.Conn, bridges []Bridge) error {
	if len(bridges) == 0 {
		return fw.dropTable(c)
	}
	e, err := fw.wanted(bridges)
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

// wanted is what the table should hold of bridges and of the ports on record.
func (fw *Firewall) wanted(bridges []Bridge) (elements, error) {
	ports, err := fw.ports()
	if err != nil {
		return nil, err
	}
	e, x := elements{}, setsOf(fw.table())
	for _, b := range bridges {
		e.addBridge(x, b)
	}
	e.addPorts(x, ports)
	return e, nil
}

// hasChain asks for one chain: the cheapest question whether a table is there.
func hasChain(c *nftables.Conn, t *nftables.Table, name string) bool {
	_, err := c.ListChain(t, name)
	return err == nil
}

// rulesOf is the number of rules in each chain, see addRules.
var rulesOf = map[string]int{layout: 0, "publish": 4, "raw": 1, "prerouting": 2, "output": 2, "postrouting": 5, "forward": 10}

// Fault says what is wrong with the table, "" if nothing is.
func (fw *Firewall) Fault(bridges []Bridge) (fault string, err error) {
	err = fw.nft(func(c *nftables.Conn) error { fault = fw.fault(c, bridges); return nil })
	return fault, err
}

func (fw *Firewall) fault(c *nftables.Conn, bridges []Bridge) string {
	t := fw.table()
	_, err := c.ListTableOfFamily(t.Name, t.Family)
	switch exists := err == nil; {
	case len(bridges) == 0 && exists:
		return "it exists without a network"
	case len(bridges) == 0:
		return ""
	case !exists:
		return "it is missing"
	}
	want, err := fw.wanted(bridges)
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

// Publish has ports lead to pods: they are on record already.
func (fw *Firewall) Publish(ports []Port) error { return fw.changePorts(ports, true) }

// Withdraw undoes Publish: they are off the record already.
func (fw *Firewall) Withdraw(ports []Port) error { return fw.changePorts(ports, false) }

func (fw *Firewall) changePorts(ports []Port, add bool) error {
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
