package netstack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/libcni"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
	"podc.example/podc/netstack/firewall"
)

// conflists are the files of networks: podc's own, and those made by hand.
type conflists struct {
	files
	confDirs []string // where those made by hand are
}

// save writes the file of n. The net lock is held.
func (cl *conflists) save(n api.Network) error {
	return disk.WriteJSON(cl.conflistPath(n.Name), cl.conflistOf(n), disk.Durable)
}

// bridges are those of podc's own networks.
func (cl *conflists) bridges() ([]firewall.Bridge, error) {
	all, err := cl.Networks()
	return bridgesOf(all), err
}

func bridgesOf(networks map[string]api.Network) []firewall.Bridge {
	var list []firewall.Bridge
	for _, n := range networks {
		if isBridge(n) {
			list = append(list, bridgeOf(n))
		}
	}
	return list
}

// bridgeOf is what the firewall must know of n.
func bridgeOf(n api.Network) firewall.Bridge {
	b := firewall.Bridge{Name: n.Bridge, Borrowed: n.Lent != nil, Internal: n.Internal, Isolated: isolated(n),
		IPv4: hasFamily(n, false), IPv6: hasFamily(n, true)}
	for _, sub := range n.Subnets {
		v6 := sub.CIDR.Addr().Is6()
		b.Ranges = append(b.Ranges, firewall.Range{First: sub.CIDR.Masked().Addr(), Beyond: lastAddr(sub.CIDR).Next(),
			Routed: routed(n, v6), Masquerades: masquerades(n, v6)})
	}
	return b
}

// names lists podc's own networks, damaged ones included.
func (cl *conflists) names() (names []string, err error) {
	files, err := listDir(cl.networksDir())
	for _, f := range files {
		if name, ok := strings.CutSuffix(f, ".conflist"); ok {
			names = append(names, name)
		}
	}
	return names, err
}

// damaged lists the networks whose files do not decode.
func (cl *conflists) damaged() (damaged []string) {
	names, _ := cl.names()
	for _, name := range names {
		if _, err := readNetwork(cl.conflistPath(name)); errors.Is(err, disk.ErrDamaged) {
			damaged = append(damaged, name)
		}
	}
	return damaged
}

// Network returns one network: of podc's own, else one made by hand in the configuration folders. ErrNotFound if there is
// neither.
func (cl *conflists) Network(name string) (api.Network, error) {
	if !valid.IsName(name) {
		return api.Network{}, noSuchNetwork(name)
	}
	n, err := readNetwork(cl.conflistPath(name))
	if !errors.Is(err, os.ErrNotExist) {
		return n, err
	}
	l, err := cl.handMade(name)
	if err != nil {
		return api.Network{}, err
	}
	return l.network(), nil
}

// AllNetworks are Networks and, where they do not have its name, those made by hand: with an error those that can be read, nil if
// none of podc's own can.
func (cl *conflists) AllNetworks() (map[string]api.Network, error) {
	all, err := cl.Networks()
	if err != nil {
		return nil, err
	}
	lists, err := cl.handMadeLists()
	for _, l := range lists {
		if _, taken := all[l.list.Name]; !taken {
			all[l.list.Name] = l.network()
		}
	}
	return all, err
}

// Networks returns all networks of this root by name; those made by hand are not among them, nor is one whose file is damaged,
// which Check reports.
func (cl *conflists) Networks() (map[string]api.Network, error) {
	names, err := cl.names()
	if err != nil {
		return nil, err
	}
	all := make(map[string]api.Network, len(names))
	for _, name := range names {
		n, err := readNetwork(cl.conflistPath(name))
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, disk.ErrDamaged) { // removed while we looked, or damaged
			continue
		}
		if err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, nil
}

// loadList returns the conflist of a network for libcni: podc's own, else one made by hand.
func (cl *conflists) loadList(name string) (*libcni.NetworkConfigList, error) {
	list, err := libcni.ConfListFromFile(cl.conflistPath(name))
	if err == nil || !errors.Is(err, os.ErrNotExist) && disk.Exists(cl.conflistPath(name)) {
		return list, err
	}
	l, err := cl.handMade(name)
	return l.list, err
}

// listOf returns the list of a network and whether its plugins are answered in this process, which exec forbids.
func (cl *conflists) listOf(network string, exec bool) (list *libcni.NetworkConfigList, ours bool, err error) {
	list, err = cl.loadList(network)
	if err != nil {
		return nil, false, err
	}
	n, err := readNetwork(cl.conflistPath(network))
	return list, err == nil && isBridge(n) && !exec, nil
}

// HostGateway is the address under which the host answers the pod of a: what "host-gateway" means in its extra hosts. It is
// the gateway of the first network that has a way out, else of the first one, that of IPv4 where there are two; false if a has
// no network at all.
func (cl *conflists) HostGateway(a api.Attachment) (netip.Addr, bool) {
	var found netip.Addr
	for _, i := range a.Interfaces {
		gateway := i.Gateway
		if !gateway.IsValid() {
			gateway = i.Gateway6
		}
		if !gateway.IsValid() {
			continue
		}
		if n, err := cl.Network(i.Network); err == nil && !n.Internal {
			return gateway, true
		}
		if !found.IsValid() {
			found = gateway
		}
	}
	return found, found.IsValid()
}

func noSuchNetwork(name string) error {
	return fault.New(errdefs.ErrNotFound, "network %q not found", name)
}

// readNetwork reads the network of a conflist of podc's own.
func readNetwork(path string) (api.Network, error) {
	var list conflist
	if err := disk.ReadJSON(path, &list); err != nil {
		return api.Network{}, err
	}
	if list.Podc == nil || list.Podc.Name == "" {
		return api.Network{}, fmt.Errorf("%w %s: it has no key \"podc\"", disk.ErrDamaged, path)
	}
	return *list.Podc, nil
}
