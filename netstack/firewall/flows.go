package firewall

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// forgetFlows deletes what conntrack remembers about UDP flows to published ports. Such a flow never ends as long as its
// client keeps sending, and would go on to where it went before the change.
func forgetFlows(ports []Port) error {
	for _, v6 := range Families {
		f, family := flowFilter{}, ByFamily[netlink.InetFamily](v6, unix.AF_INET, unix.AF_INET6)
		for _, p := range ports {
			if p.Protocol == "udp" && p.IP.Is6() == v6 && !p.Open {
				f[p.HostPort] = true
			}
		}
		if len(f) == 0 {
			continue
		}
		if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, family, f); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("cannot flush conntrack: %w", err)
		}
	}
	return nil
}

// flowFilter picks UDP flows by the port that their first packet was sent to.
type flowFilter map[uint16]bool

func (f flowFilter) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	return flow.Forward.Protocol == unix.IPPROTO_UDP && f[flow.Forward.DstPort]
}
