package netstack

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/resolvconf"
)

// Host is what differs for the network between one machine, or one user of it, and the next: it is decided once, by whoever opens a
// Stack. An empty field stands for what a machine that runs podc as root has.
//
// Bridges, rules and settings are those of the network namespace that the process is in, so they are no question here. Root's is the
// machine's own. A user's would be one of their own with the same bridges in it, and a way out that runs in user space: whoever opens
// that Stack enters the namespace first, and names here what of the machine holds in it.
type Host struct {
	// Resolv is the resolv.conf(5) of whose name servers subnets keep clear.
	Resolv string
	// MachineID is the machine-id(5) from which, with the root's id, IPv6 subnets follow.
	MachineID string
	// PluginDirs are searched for CNI plugins that are executed.
	PluginDirs []string
	// ConfDirs are searched for networks made by hand, which may be used but never changed.
	ConfDirs []string
}

// completed fills in what is empty.
func (h Host) completed() Host {
	h.Resolv = cmp.Or(h.Resolv, resolvconf.Path)
	h.MachineID = cmp.Or(h.MachineID, "/etc/machine-id")
	if len(h.PluginDirs) == 0 {
		h.PluginDirs = []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"}
	}
	if len(h.ConfDirs) == 0 {
		h.ConfDirs = []string{"/etc/cni/net.d"}
	}
	return h
}

// machineID is the machine's id, or its name where it has none.
func (h Host) machineID() string {
	id, err := os.ReadFile(h.MachineID)
	if err != nil {
		name, _ := os.Hostname()
		return name
	}
	return strings.TrimSpace(string(id))
}

// ranges lists what the host already reaches: the addresses of its links, its routes and its name servers.
func (h Host) ranges() ([]taken, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	var used []taken
	for _, a := range addrs {
		if p, ok := prefixOf(a.IPNet); ok && !a.IP.IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
			used = append(used, taken{prefix: p, by: "interface " + linkName(a)})
		}
	}
	routes, err := listRoutes(netlink.FAMILY_ALL, unix.RT_TABLE_UNSPEC)
	if err != nil {
		return nil, fmt.Errorf("cannot list routes: %w", err)
	}
	for _, r := range routes {
		// Routes to half the internet or more are default routes by another name (VPNs write 0/1 and 128/1).
		p, ok := prefixOf(r.Dst)
		if ok && p.Bits() >= 8 && r.Table != unix.RT_TABLE_LOCAL && !p.Addr().IsLinkLocalUnicast() {
			used = append(used, taken{prefix: p, by: "a route of this host", route: true})
		}
	}
	conf, _ := resolvconf.Read(h.Resolv)
	for _, a := range conf.Servers { // a subnet must not hide one that lies behind the default route
		if a = a.WithZone(""); !a.IsLoopback() {
			used = append(used, taken{prefix: netip.PrefixFrom(a, a.BitLen()), by: "a name server of this host"})
		}
	}
	return used, nil
}

// linkName names the interface of an address: only those of IPv4 have labels.
func linkName(a netlink.Addr) string {
	if a.Label != "" {
		return a.Label
	}
	if l, err := netlink.LinkByIndex(a.LinkIndex); err == nil {
		return l.Attrs().Name
	}
	return strconv.Itoa(a.LinkIndex)
}
