package netstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

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
func (cl *conflists) names() ([]string, error) { return listDir(cl.networksDir(), ".conflist") }

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

// handMade is a configuration list of CNI that somebody else has written, and where.
type handMade struct {
	path string
	list *libcni.NetworkConfigList
}

// handMade finds a list by its name. That it is not found is sure only if every folder could be read.
func (cl *conflists) handMade(name string) (handMade, error) {
	lists, err := cl.handMadeLists()
	for _, l := range lists {
		if l.list.Name == name {
			return l, nil
		}
	}
	if err != nil {
		return handMade{}, fmt.Errorf("cannot find network %q: %w", name, err)
	}
	return handMade{}, noSuchNetwork(name)
}

// handMadeLists are those in the configuration folders, the first of a name counting first, and the error of folders that cannot be read.
// Files that do not parse belong to others and are passed over.
func (cl *conflists) handMadeLists() ([]handMade, error) {
	var found []handMade
	var errs []error
	for _, dir := range cl.confDirs {
		files, err := listDir(dir, "")
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read the folder of networks made by hand %s: %w; make it a folder, or remove it", dir, err))
		}
		for _, f := range files {
			var list *libcni.NetworkConfigList
			var err error
			path := filepath.Join(dir, f)
			switch filepath.Ext(f) {
			case ".conflist":
				list, err = libcni.ConfListFromFile(path)
			case ".conf", ".json":
				list, err = listOfPlugin(path)
			default:
				continue
			}
			if err == nil && valid.IsName(list.Name) && len(list.Plugins) > 0 {
				found = append(found, handMade{path, list})
			}
		}
	}
	return found, errors.Join(errs...)
}

// listOfPlugin reads a configuration of one plugin as a list. CNI 1.0 gave that form up; others still write it.
func listOfPlugin(path string) (*libcni.NetworkConfigList, error) {
	plugin, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var conf struct{ CNIVersion, Name, Type string }
	if err := json.Unmarshal(plugin, &conf); err != nil {
		return nil, err
	}
	list, err := json.Marshal(map[string]any{"cniVersion": conf.CNIVersion, "name": conf.Name, "plugins": []json.RawMessage{plugin}})
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(list)
}

// network describes a network made by hand as far as its configuration tells.
func (h handMade) network() api.Network {
	n := api.Network{Name: h.list.Name, File: h.path, Driver: h.list.Plugins[0].Network.Type, NoIPv4: true}
	if fi, err := os.Stat(h.path); err == nil {
		n.Created = fi.ModTime()
	}
	for _, plugin := range h.list.Plugins {
		n.PortMaps = n.PortMaps || plugin.Network.Capabilities["portMappings"]
		var p pluginConf
		if json.Unmarshal(plugin.Bytes, &p) != nil || p.IPAM == nil {
			continue
		}
		for _, set := range p.IPAM.Ranges {
			for _, r := range set {
				n.Subnets = append(n.Subnets, api.Subnet{CIDR: r.Subnet, Gateway: r.Gateway})
			}
		}
		if p.IPAM.Subnet.IsValid() { // the older way to say it
			n.Subnets = append(n.Subnets, api.Subnet{CIDR: p.IPAM.Subnet, Gateway: p.IPAM.Gateway})
		}
	}
	_, v4 := subnetOf(n, false)
	_, n.IPv6 = subnetOf(n, true)
	n.NoIPv4 = n.IPv6 && !v4
	return n
}
