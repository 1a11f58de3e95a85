package netstack

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"

	"podc.example/podc/api"
	"podc.example/podc/netstack/lease"
)

// cniVersion is the version that podc's conflists speak.
const cniVersion = "1.0.0"

// conflist is the file of a network. Any CNI tool can use it; the key podc holds what only podc needs.
type conflist struct {
	CNIVersion string       `json:"cniVersion"`
	Name       string       `json:"name"`
	Plugins    []any        `json:"plugins"`
	Podc       *api.Network `json:"podc,omitempty"`
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
	Type    string          `json:"type"`
	DataDir string          `json:"dataDir"`
	Ranges  [][]lease.Range `json:"ranges"`
	Routes  []ipamRoute     `json:"routes,omitempty"`

	Subnet  netip.Prefix `json:"subnet,omitzero"` // read only
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
func isBridge(n api.Network) bool { return n.Driver == "" || n.Driver == "bridge" }

// conflistOf returns the file of n, whose choices have been made.
func (cl *conflists) conflistOf(n api.Network) conflist {
	p := pluginConf{Type: n.Driver, MTU: n.MTU, Capabilities: map[string]bool{"mac": true, "ips": true}}
	p.IPAM = &ipamConf{Type: "host-local", DataDir: cl.leasesDir()}
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
func ranges(sub api.Subnet, held []netip.Addr) []lease.Range {
	first, last := hostRange(sub.CIDR)
	if sub.IPRange.IsValid() {
		first = slices.MaxFunc([]netip.Addr{first, sub.IPRange.Masked().Addr()}, netip.Addr.Compare)
		last = slices.MinFunc([]netip.Addr{last, lastAddr(sub.IPRange)}, netip.Addr.Compare)
	}
	taken := slices.AppendSeq(slices.Clone(held), maps.Values(sub.Reserved))
	slices.SortFunc(taken, netip.Addr.Compare)
	var out []lease.Range
	add := func(from, to netip.Addr) {
		if from.Compare(to) <= 0 {
			out = append(out, lease.Range{Subnet: sub.CIDR, Start: from, End: to, Gateway: sub.Gateway})
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
