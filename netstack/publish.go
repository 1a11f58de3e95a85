package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// portmapAdd answers the plugin portmap's ADD: the elements go into the record first, so that whoever rebuilds the table from
// state puts them there too, then into the maps.
func (s *Stack) portmapAdd(ctx context.Context, conf pluginConf, args cniArgs) error {
	if len(conf.RuntimeConfig.PortMappings) == 0 {
		return nil
	}
	ip := prevIP(conf)
	if !ip.IsValid() {
		return errors.New("cannot publish ports: the interface has no IPv4 address")
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	rec, err := s.loadRecord(args.id)
	if err != nil {
		return err
	}
	for _, m := range conf.RuntimeConfig.PortMappings {
		rec.Published = append(rec.Published, published{HostIP: m.HostIP, HostPort: m.HostPort, Protocol: m.Protocol, IP: ip, Port: m.ContainerPort})
	}
	if err := s.saveRecord(rec); err != nil {
		return err
	}
	return s.changePorts(rec.Published, true)
}

// beginDetach notes in the record that it is about to go, and takes its published ports away: here and not in portmapDel,
// since it is the first thing to undo.
func (s *Stack) beginDetach(ctx context.Context, rec *record) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	rec.Going = true
	if err := s.saveRecord(*rec); err != nil || len(rec.Published) == 0 {
		return err
	}
	return s.changePorts(rec.Published, false)
}

// changePorts adds or removes published ports. The net lock is held and the records say already how it shall be.
func (s *Stack) changePorts(ports []published, add bool) error {
	built := false
	err := s.nft(func(c *nftables.Conn) error { built = hasChain(c, s.table(), layout); return nil })
	if err == nil && built {
		x, e := setsOf(s.table()), elements{}
		e.addPorts(x, ports)
		err = s.change(x, e, add)
	} else {
		err = s.rebuild()
	}
	if err != nil {
		return fmt.Errorf("cannot change published ports: %w", err)
	}
	return forgetFlows(ports)
}

// forgetFlows deletes what conntrack remembers about UDP flows to published ports. Such a flow never ends as long as its
// client keeps sending, and would go on to where it went before the change.
func forgetFlows(ports []published) error {
	f := flowFilter{}
	for _, p := range ports {
		if p.Protocol == "udp" {
			f[p.HostPort] = true
		}
	}
	if len(f) == 0 {
		return nil
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, f); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot flush conntrack: %w", err)
	}
	return nil
}

// flowFilter picks UDP flows by the port that their first packet was sent to.
type flowFilter map[uint16]bool

func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return flow.Forward.Protocol == unix.IPPROTO_UDP && f[flow.Forward.DstPort]
}

// overlap reports whether two addresses of the host can meet: none means all of them.
func overlap(a, b netip.Addr) bool {
	return !a.IsValid() || !b.IsValid() || a.IsUnspecified() || b.IsUnspecified() || a == b
}
