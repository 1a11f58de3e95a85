package netstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/containernetworking/cni/libcni"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
)

// cniVersion is the version that podc's conflists speak.
const cniVersion = "1.0.0"

// conflist is the file of a network. Any CNI tool can use it; the key podc holds what only podc needs.
type conflist struct {
	CNIVersion string   `json:"cniVersion"`
	Name       string   `json:"name"`
	Plugins    []any    `json:"plugins"`
	Podc       *Network `json:"podc,omitempty"`
}

// pluginConf is the configuration of one plugin, as in the conflist and, with the last three keys added, as libcni hands it
// to the plugin. Only the keys that podc writes or answers are named.
type pluginConf struct {
	CNIVersion       string          `json:"cniVersion,omitempty"`
	Name             string          `json:"name,omitempty"`
	Type             string          `json:"type"`
	Bridge           string          `json:"bridge,omitempty"`
	IsGateway        bool            `json:"isGateway,omitempty"`
	IsDefaultGateway bool            `json:"isDefaultGateway,omitempty"`
	HairpinMode      bool            `json:"hairpinMode,omitempty"`
	PortIsolation    bool            `json:"portIsolation,omitempty"`
	Master           string          `json:"master,omitempty"`
	Mode             string          `json:"mode,omitempty"`
	MTU              int             `json:"mtu,omitempty"`
	IPAM             *ipamConf       `json:"ipam,omitempty"`
	Capabilities     map[string]bool `json:"capabilities,omitempty"`

	RuntimeConfig runtimeConf     `json:"runtimeConfig,omitzero"`
	PrevResult    json.RawMessage `json:"prevResult,omitempty"`
}

// ipamConf is host-local's configuration.
type ipamConf struct {
	Type    string        `json:"type"`
	DataDir string        `json:"dataDir"`
	Ranges  [][]ipamRange `json:"ranges"`
	Routes  []ipamRoute   `json:"routes,omitempty"`

	Subnet  netip.Prefix `json:"subnet,omitzero"` // read only
	Gateway netip.Addr   `json:"gateway,omitzero"`
}

type ipamRange struct {
	Subnet  netip.Prefix `json:"subnet"`
	Start   netip.Addr   `json:"rangeStart,omitzero"`
	End     netip.Addr   `json:"rangeEnd,omitzero"`
	Gateway netip.Addr   `json:"gateway,omitzero"`
}

type ipamRoute struct {
	Dst netip.Prefix `json:"dst"`
}

// runtimeConf is what libcni adds for the capabilities that podc's lists declare.
type runtimeConf struct {
	Mac          string        `json:"mac,omitempty"`
	IPs          []string      `json:"ips,omitempty"`
	PortMappings []portMapping `json:"portMappings,omitempty"`
}

type portMapping struct {
	HostPort      uint16     `json:"hostPort"`
	ContainerPort uint16     `json:"containerPort"`
	Protocol      string     `json:"protocol"`
	HostIP        netip.Addr `json:"hostIP,omitzero"`
}

// waysOut reports whether an interface has default routes: by the gateway that the plugin makes of the bridge, or by routes.
func (p pluginConf) waysOut() bool { return p.IsDefaultGateway || len(p.IPAM.Routes) > 0 }

// isBridge reports whether podc drives n in this process.
func isBridge(n Network) bool { return n.Driver == "" || n.Driver == "bridge" }

// conflistOf returns the file of n, whose choices have been made.
func (s *Stack) conflistOf(n Network) conflist {
	p := pluginConf{Type: n.Driver, MTU: n.MTU, Capabilities: map[string]bool{"mac": true, "ips": true}}
	p.IPAM = &ipamConf{Type: "host-local", DataDir: s.runPath("leases")}
	for _, sub := range n.Subnets {
		p.IPAM.Ranges = append(p.IPAM.Ranges, ranges(sub, heldOf(n)))
		if (!isBridge(n) || n.Lent != nil) && !n.Internal { // else the plugin bridge makes its own
			p.IPAM.Routes = append(p.IPAM.Routes, ipamRoute{netip.PrefixFrom(sub.CIDR.Addr(), 0).Masked()})
		}
	}
	list := conflist{CNIVersion: cniVersion, Name: n.Name, Podc: &n}
	switch n.Driver {
	case "", "bridge":
		p.Type, p.Bridge, p.IsGateway, p.IsDefaultGateway = "bridge", n.Bridge, n.Lent == nil, n.Lent == nil && !n.Internal
		p.HairpinMode, p.PortIsolation = true, isolated(n)
		list.Plugins = []any{p, pluginConf{Type: "portmap", Capabilities: map[string]bool{"portMappings": true}}}
	case "macvlan", "ipvlan":
		p.Master, p.Mode = n.Options["parent"], n.Options[n.Driver+"_mode"]
		list.Plugins = []any{p}
	default:
		list.Plugins = []any{withOptions(p, n.Options)}
	}
	return list
}

// withOptions adds the options of a network to the configuration of a plugin that podc knows nothing of, each under its own
// name: as JSON where it is a number, a list or the like, else as a text.
func withOptions(p pluginConf, options map[string]string) map[string]any {
	out := map[string]any{"type": p.Type, "ipam": p.IPAM, "capabilities": p.Capabilities}
	if p.MTU != 0 {
		out["mtu"] = p.MTU
	}
	for k, v := range options {
		if k == optionMTU || k == optionPrefix {
			continue // which podc sees to
		}
		out[k] = v
		if json.Valid([]byte(v)) {
			out[k] = json.RawMessage(v)
		}
	}
	return out
}

// ranges cuts what may be handed out of a subnet around its reserved addresses and those of held, since host-local knows no
// exceptions.
func ranges(sub Subnet, held []netip.Addr) []ipamRange {
	first, last := hostRange(sub.CIDR)
	if sub.IPRange.IsValid() {
		first, last = maxAddr(first, sub.IPRange.Masked().Addr()), minAddr(last, lastAddr(sub.IPRange))
	}
	taken := slices.Clone(held)
	for _, a := range sub.Reserved {
		taken = append(taken, a)
	}
	slices.SortFunc(taken, netip.Addr.Compare)
	var out []ipamRange
	add := func(from, to netip.Addr) {
		if from.Compare(to) <= 0 {
			out = append(out, ipamRange{Subnet: sub.CIDR, Start: from, End: to, Gateway: sub.Gateway})
		}
	}
	for _, a := range taken {
		if a.Compare(first) >= 0 && a.Compare(last) <= 0 {
			add(first, a.Prev())
			first = a.Next()
		}
	}
	add(first, last)
	return out
}

// readNetwork reads the network of a conflist of podc's own.
func readNetwork(path string) (Network, error) {
	var list conflist
	if err := disk.ReadJSON(path, &list); err != nil {
		return Network{}, err
	}
	if list.Podc == nil || list.Podc.Name == "" {
		return Network{}, fmt.Errorf("%w %s: it has no key \"podc\"", disk.ErrDamaged, path)
	}
	return *list.Podc, nil
}

// loadList returns the conflist of a network for libcni: podc's own, else one made by hand.
func (s *Stack) loadList(name string) (*libcni.NetworkConfigList, error) {
	list, err := libcni.ConfListFromFile(s.conflistPath(name))
	if err == nil || !errors.Is(err, os.ErrNotExist) && fileExists(s.conflistPath(name)) {
		return list, err
	}
	l, err := s.handMade(name)
	return l.list, err
}

func noSuchNetwork(name string) error {
	return fault.New(errdefs.ErrNotFound, "network %q not found", name)
}

// handMade is a configuration list of CNI that somebody else has written, and where.
type handMade struct {
	path string
	list *libcni.NetworkConfigList
}

// handMade finds a list by its name. That it is not found is sure only if every folder could be read.
func (s *Stack) handMade(name string) (handMade, error) {
	lists, err := s.lists()
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

// lists are those in the configuration folders, the first of a name counting first, and the error of folders that cannot be read.
// Files that do not parse belong to others and are passed over.
func (s *Stack) lists() ([]handMade, error) {
	var found []handMade
	var errs []error
	for _, dir := range s.cfg.ConfDirs {
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
func (h handMade) network() Network {
	n := Network{Name: h.list.Name, File: h.path, Driver: h.list.Plugins[0].Network.Type, NoIPv4: true}
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
				n.Subnets = append(n.Subnets, Subnet{CIDR: r.Subnet, Gateway: r.Gateway})
			}
		}
		if p.IPAM.Subnet.IsValid() { // the older way to say it
			n.Subnets = append(n.Subnets, Subnet{CIDR: p.IPAM.Subnet, Gateway: p.IPAM.Gateway})
		}
	}
	_, v4 := subnetOf(n, false)
	_, n.IPv6 = subnetOf(n, true)
	n.NoIPv4 = n.IPv6 && !v4
	return n
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// networkOfFile is the inverse of conflistPath; "" for other files.
func networkOfFile(file string) string {
	name, ok := strings.CutSuffix(file, ".conflist")
	if !ok {
		return ""
	}
	return name
}
