package netstack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/child"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/netstack/lease"
)

// pluginDeadline bounds the run of an executed CNI plugin. pluginOutput bounds what it may print.
const (
	pluginDeadline = 30 * time.Second
	pluginOutput   = 1 << 20
)

// plugins gives an attachment its interfaces, by way of CNI.
type plugins struct {
	files
	lists   *conflists
	links   *hostLinks
	records *records // says whose an address is
	dirs    []string // where executed plugins are
	exec    bool     // those of podc's own networks are executed too
}

// cni returns libcni over podc's executor. ours says that the list is podc's own, whose plugins are answered here.
func (pl *plugins) cni(ours bool) *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir(pl.dirs, pl.cniCacheDir(), &executor{plugins: pl, ours: ours})
}

// executor is libcni's way to run a plugin: it answers for bridge (with host-local) and portmap of podc's own lists in this
// process, and executes any other.
type executor struct {
	plugins *plugins
	ours    bool
	version.PluginDecoder
}

// builtin marks the path of a plugin that is answered in this process.
const builtin = "builtin:"

func (e *executor) FindInPath(plugin string, paths []string) (string, error) {
	if e.ours && (plugin == "bridge" || plugin == "portmap") {
		return builtin + plugin, nil
	}
	path, err := invoke.FindInPath(plugin, paths)
	if err != nil {
		return "", fmt.Errorf("CNI plugin %q is not installed (looked in %s)", plugin, strings.Join(paths, ", "))
	}
	return path, nil
}

func (e *executor) ExecPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	plugin, ok := strings.CutPrefix(path, builtin)
	if !ok {
		return execPlugin(ctx, path, stdin, environ)
	}
	var conf pluginConf
	if err := json.Unmarshal(stdin, &conf); err != nil {
		return nil, fmt.Errorf("cannot read the configuration of plugin %s: %w", plugin, err)
	}
	args := readArgs(environ)
	switch plugin + " " + args.command {
	case "bridge ADD":
		return encodeResult(e.plugins.bridgeAdd(ctx, conf, args))
	case "bridge DEL":
		return nil, e.plugins.bridgeDel(ctx, conf, args)
	case "portmap ADD": // see publish
		return conf.PrevResult, nil
	case "portmap DEL": // done before, by beginDetach
		return nil, nil
	}
	return nil, fmt.Errorf("plugin %s has no command %s", plugin, args.command)
}

func encodeResult(r *types100.Result, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(r)
}

// cniArgs are the arguments of a plugin, which libcni hands over in the environment.
type cniArgs struct{ command, id, netns, ifname string }

// readArgs takes the last value of each variable: libcni appends its own to this process's environment.
func readArgs(environ []string) cniArgs {
	var a cniArgs
	for _, kv := range environ {
		switch k, v, _ := strings.Cut(kv, "="); k {
		case "CNI_COMMAND":
			a.command = v
		case "CNI_CONTAINERID":
			a.id = v
		case "CNI_NETNS":
			a.netns = v
		case "CNI_IFNAME":
			a.ifname = v
		}
	}
	return a
}

// execPlugin runs a plugin in a process group of its own, so that its deadline ends it with all its children.
func execPlugin(ctx context.Context, path string, stdin []byte, environ []string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, pluginDeadline, fmt.Errorf("CNI plugin %s did not end within %s", path, pluginDeadline))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := child.Command(ctx, path)
	cmd.Env = environ
	cmd.Stdin = bytes.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = &limited{&stdout, pluginOutput}, &limited{&stderr, pluginOutput}
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second // a child that left the group may hold our pipes
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, pluginError(path, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// pluginError prefers what a plugin says on stdout, in CNI's form, to what it says on stderr.
func pluginError(path string, err error, stdout, stderr []byte) error {
	var e types.Error
	if json.Unmarshal(stdout, &e) == nil && e.Msg != "" {
		return fmt.Errorf("CNI plugin %s: %w", path, &e)
	}
	if msg := strings.TrimSpace(string(stderr)); msg != "" {
		return fmt.Errorf("CNI plugin %s: %w: %s", path, err, msg)
	}
	return fmt.Errorf("CNI plugin %s: %w", path, err)
}

// limited fails once more than n bytes have been written.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.n -= len(p); l.n < 0 {
		return 0, errors.New("it printed too much")
	}
	return l.w.Write(p)
}

// runtimeConf says what one endpoint of r asks of the plugins.
func runtimeConfOf(r record, i int) *libcni.RuntimeConf {
	e := r.Endpoints[i]
	rt := &libcni.RuntimeConf{ContainerID: r.ID, NetNS: r.NetNS, IfName: r.ifName(i), CapabilityArgs: map[string]any{}}
	var ips []string
	for _, a := range e.Static() {
		ips = append(ips, a.String())
	}
	if len(ips) > 0 {
		rt.CapabilityArgs["ips"] = ips
	}
	if e.MAC != "" {
		rt.CapabilityArgs["mac"] = e.MAC
	}
	return rt
}

// addEndpoint attaches one endpoint of r and completes r with its interface.
func (pl *plugins) addEndpoint(ctx context.Context, r *record, i int, n api.Network, reach reach) error {
	list, ours, err := pl.lists.listOf(r.Endpoints[i].Network, r.Exec)
	if err != nil {
		return err
	}
	rt := runtimeConfOf(*r, i)
	if !ours {
		if list, err = pl.withStatic(list, n, r.Endpoints[i]); err != nil {
			return err
		}
	}
	if !ours && len(r.Ports) > 0 && (i == reach.by(false) || i == reach.by(true)) {
		rt.CapabilityArgs["portMappings"] = mappings(r.Ports)
	}
	res, err := pl.cni(ours).AddNetworkList(ctx, list, rt)
	if inner := errors.Unwrap(err); ours && inner != nil {
		err = inner // no plugin has failed that anybody knows of
	}
	if err != nil {
		return err
	}
	full, err := types100.GetResult(res)
	if err != nil {
		return err
	}
	iface := interfaceOf(n.Name, rt.IfName, full)
	if !ours && n.Bridge != "" && isolated(n) { // older plugins do not know
		if err := isolate(iface.HostIf); err != nil {
			return err
		}
	}
	r.Interfaces, r.Ways = append(r.Interfaces, iface), append(r.Ways, waysOf(full))
	return nil
}

// withStatic is the list of a network of podc's own for executed plugins and an endpoint whose static addresses lie outside of
// what is handed out: host-local gives only what is in its ranges.
func (pl *plugins) withStatic(list *libcni.NetworkConfigList, n api.Network, e api.Endpoint) (*libcni.NetworkConfigList, error) {
	asked := func(a netip.Addr) bool { return a.IsValid() && (a == e.IPv4 || a == e.IPv6) }
	changed := false
	subnets := slices.Clone(n.Subnets)
	for i, sub := range subnets {
		for _, a := range []netip.Addr{e.IPv4, e.IPv6} {
			if a.IsValid() && sub.CIDR.Contains(a) && a != sub.Gateway && !gives(sub, a, heldOf(n)) {
				subnets[i].IPRange, subnets[i].Reserved = netip.PrefixFrom(a, a.BitLen()), nil
				changed = true
			}
		}
	}
	if !changed || n.ByHand() {
		return list, nil
	}
	n.Kept = maps.Clone(n.Kept)
	for owner, kept := range n.Kept { // it is for this endpoint that they are kept: CheckAddresses and leases see to that
		n.Kept[owner] = slices.DeleteFunc(slices.Clone(kept), asked)
	}
	n.Subnets = subnets
	b, err := json.Marshal(pl.lists.conflistOf(n))
	if err != nil {
		return nil, err
	}
	return libcni.NetworkConfFromBytes(b)
}

// delEndpoint is the inverse of addEndpoint; it also undoes half of it.
func (pl *plugins) delEndpoint(ctx context.Context, r record, i int) error {
	network, ifname := r.Endpoints[i].Network, r.ifName(i)
	list, ours, err := pl.lists.listOf(network, r.Exec)
	if err != nil {
		// The network is gone, by hand: undo what podc's own would have made.
		return errors.Join(pl.links.removeVeth(r.ID, ifname, i < len(r.Interfaces)),
			pl.leases(network).Release(ctx, nil, lease.Holder{ID: r.ID, Interface: ifname}), pl.dropCached(network, r.ID, ifname))
	}
	rt := runtimeConfOf(r, i)
	if !ours && len(r.Ports) > 0 { // without them the plugin portmap undoes nothing
		rt.CapabilityArgs["portMappings"] = mappings(r.Ports)
	}
	if !kernel.IsNamespace(rt.NetNS) {
		rt.NetNS = "" // how CNI says that it is gone
	}
	return pl.cni(ours).DelNetworkList(ctx, list, rt)
}

func mappings(ports []api.Port) []portMapping {
	out := make([]portMapping, len(ports))
	for i, p := range ports {
		out[i] = portMapping{HostPort: p.HostPort, ContainerPort: p.Container, Protocol: p.Protocol, HostIP: p.HostIP}
	}
	return out
}

// interfaceOf reads a plugin's result.
func interfaceOf(network, ifname string, r *types100.Result) api.Interface {
	out := api.Interface{Network: network, Name: ifname}
	for _, i := range r.Interfaces {
		switch {
		case i.Sandbox != "" && i.Name == ifname:
			out.MAC = i.Mac
		case i.Sandbox == "" && strings.HasPrefix(i.Name, "v"):
			out.HostIf = i.Name
		}
	}
	for _, ip := range r.IPs {
		p, ok := prefixWithHost(ip.Address)
		gateway, _ := netip.AddrFromSlice(ip.Gateway)
		switch {
		case !ok:
		case p.Addr().Is4() && !out.IPv4.IsValid():
			out.IPv4, out.Gateway = p, gateway.Unmap()
		case p.Addr().Is6() && !out.IPv6.IsValid():
			out.IPv6, out.Gateway6 = p, gateway
		}
	}
	return out
}

// waysOf finds the default routes in a plugin's result.
func waysOf(r *types100.Result) way {
	var w way
	for _, route := range r.Routes {
		if ones, size := route.Dst.Mask.Size(); ones != 0 || size == 0 {
			continue
		}
		v6 := route.Dst.IP.To4() == nil
		gateway, _ := netip.AddrFromSlice(route.GW)
		for _, ip := range r.IPs {
			if !gateway.IsValid() && (ip.Address.IP.To4() == nil) == v6 {
				gateway, _ = netip.AddrFromSlice(ip.Gateway)
			}
		}
		if v6 {
			w.V6 = gateway
		} else {
			w.V4 = gateway.Unmap()
		}
	}
	return w
}
