package netstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/libcni"

	"podc.example/podc/api"
	"podc.example/podc/internal/valid"
)

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
		files, err := listDir(dir)
		if err != nil {
			errs = append(errs, fmt.Errorf("cannot read the folder of networks made by hand %s: %w; make it a folder, or remove it", dir, err))
		}
		slices.Sort(files)
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
