package engine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/resolvconf"
)

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
	var b bytes.Buffer
	if n.Mode == api.NetworkHost || len(n.Endpoints) == 0 {
		if len(n.DNS) == 0 {
			own, _ := os.ReadFile(resolvconf.Path)
			return own
		}
		for _, server := range n.DNS {
			fmt.Fprintf(&b, "nameserver %s\n", server)
		}
	} else {
		fmt.Fprintf(&b, "nameserver %s\n", dnsAddress)
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

// writeConfig stores the OCI configuration where conmon and the runtime look for it.
func (p podRun) writeConfig(s *specs.Spec) error {
	return disk.WriteJSON(p.e.paths.config(p.Spec.Name), s, disk.Volatile)
}
