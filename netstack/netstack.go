// Package netstack gives pods their networks: bridges, addresses, published ports, names. It knows keys (an opaque id per
// attached namespace), namespaces given as paths, and CNI conflists; it does not know pods, images or compose.
//
// Networks are CNI configuration lists driven through libcni. For podc's own lists the plugins bridge, host-local and
// portmap are answered inside this process (netlink, nftables); every other plugin type is executed as usual.
package netstack

import (
	"context"
	"net/netip"
	"path/filepath"

	"podc.example/podc/api"
	"podc.example/podc/netstack/firewall"
)

// Config says where a Stack keeps its files and what it may hand out. RootID, Data and Run are required.
type Config struct {
	// RootID sets one root apart from others on the same kernel: every host-global name carries it. Eight hex digits.
	RootID string
	// Data is the data root: networks/<net>.conflist live there and survive a reboot.
	Data string
	// Run is the run root: everything about attachments lives in its folder net and is forgotten at a reboot.
	Run string
	// Host is the machine, as far as it concerns the network.
	Host Host
	// ForceExec executes the real plugins for podc's own networks too: to compare the two paths.
	ForceExec bool
	// Pools are the ranges from which subnets are chosen, in this order. Empty: DefaultPools.
	Pools []Pool
}

// Pool is a range that is cut into subnets of Bits prefix length.
type Pool struct {
	Base netip.Prefix
	Bits int
}

// DefaultPools gives every network about as many addresses as a bridge has ports (1022 and 1023).
var DefaultPools = []Pool{
	{netip.MustParsePrefix("172.28.0.0/14"), 22},
	{netip.MustParsePrefix("10.208.0.0/12"), 22},
	{netip.MustParsePrefix("192.168.192.0/18"), 24},
}

// Stack is the network of one root. Its methods may be called from several goroutines and several processes at once.
//
// It is made of parts, each with what it needs of the others. Stack itself has what takes all of them: attachments, and the
// comparison of what is on record with what is there.
type Stack struct {
	files
	*netLock
	*records
	*conflists
	*networks
	names    nameFiles
	links    *hostLinks
	firewall *firewall.Firewall
	plugins  *plugins
}

// Open returns the network of a root. It reads and makes nothing yet.
func Open(cfg Config) *Stack {
	host := cfg.Host.completed()
	if len(cfg.Pools) == 0 {
		cfg.Pools = DefaultPools
	}
	files := files{data: cfg.Data, run: filepath.Join(cfg.Run, "net")}
	lock := &netLock{files: files, sem: make(chan struct{}, 1)}
	lists := &conflists{files: files, confDirs: host.ConfDirs}
	recs := &records{lock}
	links := &hostLinks{root: cfg.RootID, host: host}
	plugins := &plugins{files: files, lists: lists, links: links, records: recs, dirs: host.PluginDirs, exec: cfg.ForceExec}
	firewall := firewall.New(cfg.RootID, lists.bridges, recs.published)
	return &Stack{
		files: files, netLock: lock, records: recs, conflists: lists, firewall: firewall, names: nameFiles{files}, links: links, plugins: plugins,
		networks: &networks{netLock: lock, lists: lists, records: recs, links: links, firewall: firewall, plugins: plugins,
			pools: &pools{root: cfg.RootID, given: cfg.Pools, host: host}},
	}
}

// PluginDirs are the folders in which CNI plugins are looked for.
func (s *Stack) PluginDirs() []string { return s.plugins.dirs }

// Blockers names the firewalls of others that drop what podc lets through: see firewall.Firewall.
func (s *Stack) Blockers(ctx context.Context) ([]string, error) { return s.firewall.Blockers(ctx) }

// hasFamily reports whether n has addresses of a family.
func hasFamily(n api.Network, v6 bool) bool { return firewall.ByFamily(v6, !n.NoIPv4, n.IPv6) }

// subnetOf returns the range of a family; false if there is none.
func subnetOf(n api.Network, v6 bool) (api.Subnet, bool) {
	for _, sub := range n.Subnets {
		if sub.CIDR.IsValid() && sub.CIDR.Addr().Is6() == v6 {
			return sub, true
		}
	}
	return api.Subnet{}, false
}
