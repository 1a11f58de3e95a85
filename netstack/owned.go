package netstack

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"net"
	"strings"

	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
)

// Which interfaces of the host are podc's. A name proves nothing: users choose those of bridges, and others may have taken one.
// So each interface that podc makes bears a mark, its alias, with the root's id and what it is for; what bears none, or another,
// is never changed beyond what its network says (see Lent), and never removed. The mark follows the making of an interface: until
// then its hardware address, which the kernel takes with the making, tells it, as it does for those of podc's earlier versions.

// hostLinks are the interfaces of the host that are one root's.
type hostLinks struct {
	root string
	host Host
	gone linkRemover
}

// maxAlias is the kernel's limit of the length of an alias.
const maxAlias = 255

func (hl *hostLinks) mark(of string) string {
	mark := hl.markPrefix() + of
	return mark[:min(len(mark), maxAlias)]
}

// markPrefix begins the marks of this root.
func (hl *hostLinks) markPrefix() string { return "podc " + hl.root + " " }

func (hl *hostLinks) bridgeMark(n api.Network) string   { return hl.mark("network " + n.Name) }
func (hl *hostLinks) vethMark(id, ifname string) string { return hl.mark(ifname + " of " + id) }
func (hl *hostLinks) marked(l netlink.Link) bool {
	return strings.HasPrefix(l.Attrs().Alias, hl.markPrefix())
}
func hasMAC(l netlink.Link, m net.HardwareAddr) bool { return bytes.Equal(l.Attrs().HardwareAddr, m) }

// ownsBridge reports whether a link is the bridge that podc made for n.
func (hl *hostLinks) ownsBridge(l netlink.Link, n api.Network) bool {
	alias := l.Attrs().Alias
	return n.Lent == nil && l.Type() == "bridge" && (alias == hl.bridgeMark(n) || alias == "" && len(n.Subnets) > 0 && hasMAC(l, bridgeMAC(n)))
}

// ownsVeth reports whether a link is the host's end of an interface. made says that it is on record as made, which earlier
// versions of podc did without a mark.
func (hl *hostLinks) ownsVeth(l netlink.Link, id, ifname string, made bool) bool {
	alias := l.Attrs().Alias
	return l.Type() == "veth" && (alias == hl.vethMark(id, ifname) || alias == "" && (made || hasMAC(l, hl.vethMAC(id, ifname))))
}

// bridgeMAC is the hardware address of a network's bridge. One that is given stays; otherwise a bridge takes the lowest of its
// ports and changes as pods come and go.
func bridgeMAC(n api.Network) net.HardwareAddr { return macOf(n.Subnets[0].Gateway) }

// vethMAC is the hardware address of the host's end of an interface: no lower than those of other ports, since a bridge of somebody
// else's may take the lowest.
func (hl *hostLinks) vethMAC(id, ifname string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(hl.vethMark(id, ifname)))
	return append(net.HardwareAddr{0xfe}, sum[:5]...)
}

// removeOwn removes an interface of the host if own says that it is podc's; a missing one is no error.
func (hl *hostLinks) removeOwn(name string, own func(netlink.Link) bool) error {
	link, err := linkByName(name)
	if err != nil || link == nil || !own(link) {
		return err
	}
	return hl.gone.remove(link)
}

// removeVeth removes the host's end of an interface; see ownsVeth.
func (hl *hostLinks) removeVeth(id, ifname string, made bool) error {
	return hl.removeOwn(hl.vethName(id, ifname), func(l netlink.Link) bool { return hl.ownsVeth(l, id, ifname, made) })
}

// dropBridge removes the bridge of n, or leaves it as it was before, if it is not podc's.
func (hl *hostLinks) dropBridge(n api.Network) error {
	if n.Lent != nil {
		return returnBridge(n)
	}
	return hl.removeOwn(n.Bridge, func(l netlink.Link) bool { return hl.ownsBridge(l, n) })
}

// hostName makes an interface name of the host from a prefix letter, the root's id and a hash of what it is for: at most 15
// characters, the kernel's limit.
func (hl *hostLinks) hostName(prefix, of string) string {
	sum := sha256.Sum256([]byte(of))
	hash := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:8]))
	name := prefix + hl.root
	return name + hash[:max(0, min(15-len(name), 6))]
}

// vethName names the host's end of an interface.
func (hl *hostLinks) vethName(id, ifname string) string { return hl.hostName("v", id+" "+ifname) }
