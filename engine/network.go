package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/internal/resolvconf"
)

// ConnectPod joins a pod to a network, for as long as it exists; one that runs has the network when it returns. Where the
// endpoint asks for no address, a running pod gets one of prefer if that is free. It may be repeated: a pod that is on the network
// stays as it is. errdefs.IsNotFound if there is no such pod or network.
func (e *Engine) ConnectPod(ctx context.Context, name string, ep api.Endpoint, prefer []netip.Addr) error {
	err := e.update(ctx, name, func(p *pod) error {
		if err := p.network().canConnect(); err != nil {
			return err
		}
		if _, err := e.net.Network(ep.Network); err != nil {
			return err
		}
		var claims []api.AddressClaim
		for _, a := range ep.Static() {
			claims = append(claims, api.AddressClaim{Owner: name, As: []string{api.KeeperOf(p.Spec.Group)}, Network: ep.Network, Addr: a})
		}
		if err := e.net.CheckAddresses(claims, nil, nil); err != nil {
			return err
		}
		before := p.Spec.Network.Endpoints
		known := slices.ContainsFunc(before, func(o api.Endpoint) bool { return o.Network == ep.Network })
		if !known {
			if err := p.network().saveEndpoints(append(slices.Clone(before), ep)); err != nil {
				return err
			}
		}
		if err := p.network().keepAddresses(ctx, true); err != nil { // of a network that was made anew too
			return err
		}
		if !p.network().attached() {
			return nil
		}
		a, err := e.net.Connect(ctx, p.ID, ep, prefer)
		switch {
		case errdefs.IsAlreadyExists(err): // by somebody who died before it was on record
			if a, err = e.net.Attachment(p.ID); err != nil {
				return err
			}
		case err != nil:
			err = errors.Join(err, p.network().saveEndpoints(before))
			if !known {
				err = errors.Join(err, e.net.KeepAddresses(context.WithoutCancel(ctx), ep.Network, name, nil))
			}
			return err
		}
		return p.network().reconnected(ctx, a)
	})
	return podError("connect", name, err)
}

// DisconnectPod takes a running pod from a network that is about to be made anew: until it is connected again, or starts again.
// It may be repeated: a pod that is not on the network is fine.
func (e *Engine) DisconnectPod(ctx context.Context, name, network string) error {
	return e.disconnect(ctx, name, network, false)
}

// RemoveFromNetwork is the inverse of ConnectPod: it takes a pod from a network for good. It may be repeated: a pod that is not
// on the network is fine.
func (e *Engine) RemoveFromNetwork(ctx context.Context, name, network string) error {
	return e.disconnect(ctx, name, network, true)
}

func (e *Engine) disconnect(ctx context.Context, name, network string, forGood bool) error {
	err := e.update(ctx, name, func(p *pod) error {
		if err := p.network().canConnect(); err != nil {
			return err
		}
		rest := slices.DeleteFunc(slices.Clone(p.Spec.Network.Endpoints), func(o api.Endpoint) bool { return o.Network == network })
		if forGood && len(rest) < len(p.Spec.Network.Endpoints) {
			if err := p.network().saveEndpoints(rest); err != nil {
				return err
			}
			if err := e.net.KeepAddresses(ctx, network, name, nil); err != nil {
				return err
			}
		}
		if !p.network().attached() {
			return nil
		}
		a, err := e.net.Disconnect(ctx, p.ID, network)
		if errdefs.IsNotFound(err) { // the same
			if a, err = e.net.Attachment(p.ID); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		return p.network().reconnected(ctx, a)
	})
	return podError("disconnect", name, err)
}

// canConnect refuses pods that have no network of their own, and those that are half made.
func (p podNetwork) canConnect() error {
	switch {
	case p.Spec.Network.Mode == api.NetworkHost:
		return fault.New(errdefs.ErrInvalidArgument, "it uses the network of the host")
	case p.Spec.Network.Mode == api.NetworkPod:
		return fault.New(errdefs.ErrInvalidArgument, "it shares the network of %q: connect that one", p.Spec.Network.Pod)
	case p.state.Status == api.StatusCreating || p.state.Status == api.StatusRemoving || p.state.Status == api.StatusDead:
		return fault.New(errdefs.ErrFailedPrecondition, "it is half made, or damaged")
	}
	return nil
}

// attached reports whether the pod has its network now.
func (p podNetwork) attached() bool {
	return !p.state.Settled && p.state.Status != api.StatusExited && p.state.Status != api.StatusCreated && kernel.IsNamespace(p.e.paths.ns(p.Spec.Name, "net"))
}

// saveEndpoints changes the pod's wish: the only part of a spec that ever changes.
func (p podNetwork) saveEndpoints(endpoints []api.Endpoint) error {
	p.Spec.Network.Endpoints = endpoints
	return disk.WriteJSON(p.e.paths.spec(p.Spec.Name), &p.record, disk.Durable)
}

// reconnected tells the pod and its resolver what networks it has now. Only then is it on record, so that it is repeated if this
// process dies before.
func (p podNetwork) reconnected(ctx context.Context, a api.Attachment) error {
	before := p.state.Interfaces
	p.state.Interfaces = a.Interfaces
	err := p.tellNetworks(ctx, a)
	if err != nil {
		p.state.Interfaces = before
	}
	return err
}

// tellNetworks writes files in place: the container has them mounted.
func (p podNetwork) tellNetworks(ctx context.Context, a api.Attachment) error {
	e, dir := p.e, p.e.paths.etc(p.Spec.Name)
	hostname, err := p.hostname()
	if err != nil {
		return err
	}
	hosts, err := p.hosts(hostname)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts"), hosts, 0o644); err != nil {
		return err
	}
	resolv := filepath.Join(dir, "resolv.conf")
	if first := len(a.Interfaces) == 1; first { // it may have had no resolver before
		if err := os.WriteFile(resolv, p.resolvConf(), 0o644); err != nil {
			return err
		}
	}
	if len(a.Endpoints) == 0 {
		e.Monitors().releaseNames(ctx, p.Spec.Group, p.ID)
		return nil
	}
	return e.Monitors().serveNames(ctx, p.Spec.Group, p.ID)
}

// dnsAddress is where a pod's resolver answers, as in docker.
const dnsAddress = "127.0.0.11"

// writeEtc writes the files by which a pod knows its own and others' names, and returns their mounts. A pod that shares
// another's network shares these files too.
func (p podNetwork) writeEtc(hostname string) ([]specs.Mount, error) {
	dir := p.e.paths.etc(p.Spec.Name)
	hosts, resolv := filepath.Join(dir, "hosts"), filepath.Join(dir, "resolv.conf")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	files := map[string][]byte{filepath.Join(dir, "hostname"): []byte(hostname + "\n")}
	if p.Spec.Network.Mode == api.NetworkPod {
		shared := p.e.paths.etc(p.Spec.Network.Pod)
		hosts, resolv = filepath.Join(shared, "hosts"), filepath.Join(shared, "resolv.conf")
	} else {
		var err error
		if files[hosts], err = p.hosts(hostname); err != nil {
			return nil, err
		}
		files[resolv] = p.resolvConf()
	}
	for path, content := range files {
		// Written in place: a container may have the old file mounted.
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return nil, err
		}
	}
	bind := []string{"bind", "rprivate"}
	return []specs.Mount{
		{Destination: "/etc/hosts", Type: "bind", Source: hosts, Options: bind},
		{Destination: "/etc/resolv.conf", Type: "bind", Source: resolv, Options: bind},
		{Destination: "/etc/hostname", Type: "bind", Source: filepath.Join(dir, "hostname"), Options: bind},
	}, nil
}

func (p podNetwork) hosts(hostname string) ([]byte, error) {
	var b bytes.Buffer
	if p.Spec.Network.Mode == api.NetworkHost {
		own, err := os.ReadFile("/etc/hosts")
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		b.Write(own)
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
		b.WriteString("fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n")
	}
	for _, entry := range p.Spec.Network.ExtraHosts {
		name, addr, _ := strings.Cut(entry, "=")
		if addr == "host-gateway" {
			gw, ok := p.e.net.HostGateway(api.Attachment{Interfaces: p.state.Interfaces})
			if !ok {
				return nil, fault.New(errdefs.ErrInvalidArgument, "cannot give extra host %q the host's address: the container is on no network that reaches the host", name)
			}
			addr = gw.String()
		}
		fmt.Fprintf(&b, "%s\t%s\n", addr, name)
	}
	names := hostname
	if p.Spec.Domainname != "" {
		names = hostname + "." + p.Spec.Domainname + " " + hostname
	}
	for _, i := range p.state.Interfaces {
		for _, a := range i.Addrs() {
			fmt.Fprintf(&b, "%s\t%s\n", a, names)
		}
	}
	return b.Bytes(), nil
}

// resolvConf points at the group's resolver where there is a network, else at the host's own.
func (p podNetwork) resolvConf() []byte {
	n := p.Spec.Network
	servers := []string{dnsAddress}
	if n.Mode == api.NetworkHost || len(n.Endpoints) == 0 {
		if servers = n.DNS; len(servers) == 0 {
			own, _ := os.ReadFile(resolvconf.Path)
			return own
		}
	}
	var b bytes.Buffer
	for _, server := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", server)
	}
	search := n.DNSSearch
	if len(search) == 0 {
		host, _ := resolvconf.Read(resolvconf.Path)
		search = host.Search
	}
	if len(search) > 0 && search[0] != "." {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	// Names without a dot are asked as they are first: that is how services are called.
	fmt.Fprintf(&b, "options %s\n", strings.Join(append([]string{"ndots:0"}, n.DNSOptions...), " "))
	return b.Bytes()
}
