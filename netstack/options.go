package netstack

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/valid"
	"podc.example/podc/netstack/firewall"
)

// Driver options that are served, by docker's names. Those of bridges:
const (
	optionMTU        = "com.docker.network.driver.mtu"
	optionBridge     = "com.docker.network.bridge.name"
	optionICC        = "com.docker.network.bridge.enable_icc"
	optionMasquerade = "com.docker.network.bridge.enable_ip_masquerade"
	optionBinding    = "com.docker.network.bridge.host_binding_ipv4"
	optionMode4      = "com.docker.network.bridge.gateway_mode_ipv4"
	optionMode6      = "com.docker.network.bridge.gateway_mode_ipv6"
	optionPrefix     = "com.docker.network.container_iface_prefix"
)

// Options that docker knows too. Families are said as well by keys of their own, which go before; see Families.
const (
	optionEnable4 = "com.docker.network.enable_ipv4"
	optionEnable6 = "com.docker.network.enable_ipv6"
)

// inert are options of bridges that docker knows and that change nothing here, with the reason.
var inert = map[string]string{
	"com.docker.network.bridge.default_bridge":          "no network is the default one of the host",
	"com.docker.network.bridge.inhibit_ipv4":            "a bridge always has the address of its gateway",
	"com.docker.network.bridge.trusted_host_interfaces": "containers are reached from outside by published ports",
	"com.docker.network.host_ipv4":                      "what leaves has the address of the interface that it leaves by",
	"com.docker.network.host_ipv6":                      "what leaves has the address of the interface that it leaves by",
	"com.docker.network.internal":                       "the key internal says so",
}

// InertOption says why a driver option, which is accepted, changes nothing; "" if it does.
func InertOption(driver, key string) string {
	if driver != "" && driver != "bridge" {
		return ""
	}
	if strings.HasPrefix(key, "com.docker.network.windowsshim.") {
		return "it is for Windows"
	}
	return inert[key]
}

// Families completes what was said about the families of a network, where nil means nothing, by its driver options.
func Families(options map[string]string, v4, v6 *bool) (noIPv4, ipv6 bool) {
	said := func(explicit *bool, option string, missing bool) bool {
		if explicit != nil {
			return *explicit
		}
		return boolOption(options, option, missing)
	}
	return !said(v4, optionEnable4, true), said(v6, optionEnable6, false)
}

// Options of an endpoint, by docker's names.
const (
	endpointSysctls = "com.docker.network.endpoint.sysctls"
	endpointIfName  = "com.docker.network.endpoint.ifname"
)

// checks of the options of bridges.
var bridgeOptions = map[string]func(value string) error{
	optionMTU:        checkMTU,
	optionBridge:     CheckInterfaceName,
	optionICC:        checkBool,
	optionMasquerade: checkBool,
	optionPrefix: func(v string) error {
		if v == "" || len(v) > 11 {
			return fault.Invalid("%q is no beginning of an interface's name: want 1 to 11 characters", v)
		}
		return CheckInterfaceName(v)
	},
	optionBinding: func(v string) error {
		if a, err := netip.ParseAddr(v); err != nil || !a.Is4() {
			return fault.Invalid("%q is no IPv4 address", v)
		} else if err := valid.Published(a); err != nil {
			return fault.Invalid("%v", err)
		}
		return nil
	},
	optionMode4:   checkMode,
	optionMode6:   checkMode,
	optionEnable4: checkBool,
	optionEnable6: checkBool,
}

// CheckOption says why a network of driver cannot have a driver option: errdefs.IsNotImplemented for one that is not served,
// errdefs.IsInvalidArgument for a bad value. Plugins that podc executes get whatever options they are given but for macvlan and
// ipvlan, whose options are docker's.
func CheckOption(driver, key, value string) error {
	known := bridgeOptions
	switch driver {
	case "", "bridge":
	case "macvlan", "ipvlan":
		known = map[string]func(string) error{"parent": CheckInterfaceName, driver + "_mode": checkAny, optionMTU: checkMTU, optionEnable4: checkBool, optionEnable6: checkBool, optionPrefix: bridgeOptions[optionPrefix]}
	default:
		return nil
	}
	if InertOption(driver, key) != "" {
		return nil
	}
	check, ok := known[key]
	if !ok {
		return fault.New(errdefs.ErrNotImplemented, "driver option %q is not served (served: %s)", key, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := check(value); err != nil {
		return fault.Invalid("driver option %s: %v", key, err)
	}
	return nil
}

// CheckEndpointOption says why an endpoint cannot have a driver option, as CheckOption does.
func CheckEndpointOption(key, value string) error {
	switch key {
	case endpointIfName:
		return CheckInterfaceName(value)
	case endpointSysctls:
		_, err := parseSysctls(value, "eth0")
		return err
	}
	return fault.New(errdefs.ErrNotImplemented, "driver option %q is not served (served: %s, %s)", key, endpointIfName, endpointSysctls)
}

func checkAny(string) error { return nil }

func checkBool(v string) error {
	if _, err := strconv.ParseBool(v); err != nil {
		return fault.Invalid("%q is neither true nor false", v)
	}
	return nil
}

func checkMTU(v string) error {
	if mtu, err := strconv.Atoi(v); err != nil || mtu < 68 || mtu > 65535 {
		return fault.Invalid("%q is no MTU between 68 and 65535", v)
	}
	return nil
}

// noInterfaces are names that no interface of podc's can have; under "all" and "default" the kernel keeps settings of all of them.
var noInterfaces = []string{".", "..", "lo", "all", "default"}

// CheckInterfaceName holds a name to the kernel's rules.
func CheckInterfaceName(v string) error {
	if v == "" || len(v) > 15 || slices.Contains(noInterfaces, v) || strings.ContainsAny(v, "/: \t\n%") {
		return fault.Invalid("%q is no interface name: want at most 15 characters without blanks, \"/\", \":\" and \"%%\"", v)
	}
	return nil
}

func checkMode(v string) error {
	if v != "nat" && v != "routed" {
		return fault.Invalid("%q is neither nat nor routed", v)
	}
	return nil
}

// sysctl is a kernel setting inside a pod's namespace: its name, see kernel.Sysctl, and its value.
type sysctl struct{ key, value string }

// parseSysctls reads docker's list "net.ipv4.conf.IFNAME.log_martians=1,..." for an interface. Only settings of the interface
// itself are taken.
func parseSysctls(list, ifname string) ([]sysctl, error) {
	var out []sysctl
	for _, s := range strings.Split(list, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(s), "=")
		f := strings.Split(key, ".")
		if !ok || len(f) != 5 || f[0] != "net" || f[1] != "ipv4" && f[1] != "ipv6" && f[1] != "mpls" || f[3] != "IFNAME" ||
			strings.ContainsRune(key, '/') {
			return nil, fault.Invalid("%q is no setting of the interface such as net.ipv4.conf.IFNAME.log_martians=1", s)
		}
		f[3] = ifname
		out = append(out, sysctl{strings.Join(f, "/"), value})
	}
	return out, nil
}

func boolOption(options map[string]string, key string, missing bool) bool {
	v, err := strconv.ParseBool(options[key])
	if err != nil {
		return missing
	}
	return v
}

// isolated reports whether pods of n may not talk to each other.
func isolated(n api.Network) bool { return !boolOption(n.Options, optionICC, true) }

// routed reports whether the addresses of n are reached from outside as they are, rather than translated.
func routed(n api.Network, v6 bool) bool {
	return n.Options[firewall.ByFamily(v6, optionMode4, optionMode6)] == "routed"
}

// masquerades reports whether what leaves n has the host's address.
func masquerades(n api.Network, v6 bool) bool {
	return boolOption(n.Options, optionMasquerade, true) && !routed(n, v6)
}

// bindingOf is the host's address of published ports that ask for none; zero: all.
func bindingOf(n api.Network) netip.Addr {
	a, _ := netip.ParseAddr(n.Options[optionBinding])
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}

// ifPrefix is how the names of the pods' interfaces begin.
func ifPrefix(n api.Network) string { return cmp.Or(n.Options[optionPrefix], "eth") }

// wantedName is the interface's name that e asks for, "" if it asks for none.
func wantedName(e api.Endpoint) string { return cmp.Or(e.Interface, e.Options[endpointIfName]) }

// satisfies reports whether e, as it was attached, is what want asks for.
func satisfies(e api.Endpoint, want api.Endpoint) bool {
	return e.Network == want.Network && e.IPv4 == want.IPv4 && e.IPv6 == want.IPv6 && e.MAC == want.MAC &&
		e.GwPriority == want.GwPriority && (wantedName(want) == "" || e.Interface == wantedName(want)) &&
		slices.Equal(e.Aliases, want.Aliases) && slices.Equal(e.LinkLocal, want.LinkLocal) && maps.Equal(e.Options, want.Options)
}

// WantedInterfaces are the names of interfaces that endpoints of one pod ask for, with their networks. No two may ask for one.
func WantedInterfaces(endpoints []api.Endpoint) (map[string]string, error) {
	taken := map[string]string{}
	for _, e := range endpoints {
		name := wantedName(e)
		if other := taken[name]; other != "" {
			return nil, fault.Invalid("interface name %s is asked for on networks %q and %q", name, other, e.Network)
		}
		if name != "" {
			taken[name] = e.Network
		}
	}
	return taken, nil
}

// nameInterfaces gives every endpoint of a its interface's name: those asked for, else the first free number.
func nameInterfaces(endpoints []api.Endpoint, networks []api.Network) error {
	taken, err := WantedInterfaces(endpoints)
	if err != nil {
		return err
	}
	for i := range endpoints {
		endpoints[i].Interface = wantedName(endpoints[i])
	}
	for i := range endpoints {
		e := &endpoints[i]
		for n := 0; e.Interface == ""; n++ {
			name := fmt.Sprintf("%s%d", ifPrefix(networks[i]), n)
			if taken[name] == "" {
				e.Interface, taken[name] = name, e.Network
			}
		}
	}
	return nil
}
