package netstack

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/netstack/firewall"
)

// taken is a range that a new network must keep clear of, and who has it.
type taken struct {
	prefix netip.Prefix
	by     string
	route  bool // only a route leads there: a range inside of it may still be asked for
}

// chooseSubnet returns the first subnet of the pools that overlaps nothing in use.
func chooseSubnet(pools []Pool, used []taken) (netip.Prefix, error) {
	for _, pool := range pools {
		for p, ok := firstSubnet(pool); ok; p, ok = nextSubnet(pool, p) {
			i := slices.IndexFunc(used, func(u taken) bool { return u.prefix.Overlaps(p) })
			if i < 0 {
				return p, nil
			}
			// Skip everything that the same blocker covers at once: a /8 route would take 16384 steps.
			blocker := used[i].prefix
			if last := lastAddr(blocker); blocker.Bits() < p.Bits() && pool.Base.Contains(last) {
				p = netip.PrefixFrom(last, pool.Bits).Masked()
			} else if blocker.Bits() < p.Bits() {
				break
			}
		}
	}
	return netip.Prefix{}, fault.New(errdefs.ErrResourceExhausted, "no free subnet left in the address pools: give the network a subnet, or configure more pools")
}

func firstSubnet(pool Pool) (netip.Prefix, bool) {
	p := netip.PrefixFrom(pool.Base.Masked().Addr(), pool.Bits)
	return p, pool.Bits >= pool.Base.Bits() && pool.Bits <= pool.Base.Addr().BitLen()-2
}

func nextSubnet(pool Pool, p netip.Prefix) (netip.Prefix, bool) {
	next := lastAddr(p).Next()
	return netip.PrefixFrom(next, pool.Bits), next.IsValid() && pool.Base.Contains(next)
}

// checkSubnet says why a subnet that somebody asked for cannot be used. A wider route is no obstacle: the new subnet is more
// specific, and it was asked for.
func checkSubnet(p netip.Prefix, used []taken) error {
	for _, u := range used {
		if u.prefix.Overlaps(p) && !(u.route && u.prefix.Bits() < p.Bits()) {
			return fault.New(errdefs.ErrConflict, "subnet %s overlaps %s, used by %s", p, u.prefix, u.by)
		}
	}
	return nil
}

// pools is where subnets are chosen from.
type pools struct {
	root  string
	given []Pool
	host  Host
}

// ulaPool is the range that this root takes its IPv6 subnets from: a /48 of RFC 4193, whose 40 bits follow from the machine and
// the root, so that networks of different machines can be routed to one another.
func ulaPool(machine, rootID string) Pool {
	sum := sha256.Sum256([]byte(machine + " " + rootID))
	b := [16]byte{0xfd, sum[0], sum[1], sum[2], sum[3], sum[4]}
	return Pool{Base: netip.PrefixFrom(netip.AddrFrom16(b), 48), Bits: 64}
}

// of are the ranges to choose a subnet of a family from.
func (ps *pools) of(v6 bool) []Pool {
	var list []Pool
	for _, p := range ps.given {
		if p.Base.Addr().Is6() == v6 {
			list = append(list, p)
		}
	}
	if v6 && len(list) == 0 {
		list = []Pool{ulaPool(ps.host.machineID(), ps.root)}
	}
	return list
}

// lastAddr is the highest address of a prefix.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// hostRange returns the first and last address for hosts, without the network's (in IPv6, that of any router) and the broadcast
// address where there are such.
func hostRange(p netip.Prefix) (first, last netip.Addr) {
	first, last = p.Masked().Addr(), lastAddr(p)
	if p.Bits() < first.BitLen()-1 {
		first = first.Next()
		if first.Is4() {
			last = last.Prev()
		}
	}
	return first, last
}

// completeSubnets gives n a range for each of its families. lent is its bridge, if that is somebody else's;
// the ranges of that one and of networks that are leaving are no obstacle.
func (ps *pools) completeSubnets(n api.Network, all map[string]api.Network, lent netlink.Link, leaving []api.Network) (api.Network, error) {
	var own []netip.Prefix
	if lent != nil {
		var err error
		if n, own, err = subnetsOfLent(n, lent); err != nil {
			return n, err
		}
	}
	for _, l := range leaving {
		for _, sub := range l.Subnets {
			own = append(own, sub.CIDR)
		}
	}
	var subnets []api.Subnet
	for _, v6 := range firewall.Families {
		if !hasFamily(n, v6) {
			continue
		}
		sub, err := ps.completeSubnet(n, v6, all, own)
		if err != nil {
			return n, err
		}
		subnets = append(subnets, sub)
	}
	n.Subnets = subnets
	if lent != nil {
		return n, completeLent(n)
	}
	return n, nil
}

// completeSubnet chooses what is left open of the range of a family; the ranges of own are no obstacle.
func (ps *pools) completeSubnet(n api.Network, v6 bool, all map[string]api.Network, own []netip.Prefix) (api.Subnet, error) {
	sub, _ := subnetOf(n, v6)
	var used []taken
	for _, other := range all {
		for _, o := range other.Subnets {
			used = append(used, taken{prefix: o.CIDR, by: fmt.Sprintf("network %q", other.Name)})
		}
	}
	if isBridge(n) || !sub.CIDR.IsValid() { // a macvlan's subnet is the host's own
		host, err := ps.host.ranges()
		if err != nil {
			return sub, err
		}
		used = append(used, slices.DeleteFunc(host, func(t taken) bool { return slices.Contains(own, t.prefix) })...)
	}
	if sub.CIDR.IsValid() {
		sub.CIDR = sub.CIDR.Masked()
		if err := checkSubnet(sub.CIDR, used); err != nil {
			return sub, err
		}
	} else {
		var err error
		if sub.CIDR, err = chooseSubnet(ps.of(v6), used); err != nil {
			return sub, err
		}
		sub.Chosen = true
	}
	if !sub.Gateway.IsValid() {
		sub.Gateway = FirstFree(sub)
	}
	return sub, nil
}

// FirstFree is the first address of a subnet that is not reserved: docker's choice of a gateway.
func FirstFree(sub api.Subnet) netip.Addr {
	reserved := slices.Collect(maps.Values(sub.Reserved))
	a, last := hostRange(sub.CIDR)
	for a.Less(last) && slices.Contains(reserved, a) {
		a = a.Next()
	}
	return a
}
