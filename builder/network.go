package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/executor"
	"github.com/moby/buildkit/solver/pb"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/resolvconf"
	"podc.example/podc/netstack"
	"podc.example/podc/netstack/dns"
)

// networkName is the network of RUN steps: it leads out and to nothing that the host keeps for itself.
const networkName = "build"

// network gives steps their networks. It is made with the first step that needs it.
type network struct {
	stack *netstack.Stack
	mu    sync.Mutex
	ready bool
	names *dns.Server
}

// join attaches a step's namespace, pinned at netns, as mode says. Steps in the host's network are attached to nothing.
func (n *network) join(ctx context.Context, id, netns string, mode pb.NetMode) (api.Attachment, error) {
	a := api.Attachment{ID: id, Owner: "a build", NetNS: netns}
	switch mode {
	case pb.NetMode_HOST:
		return api.Attachment{}, nil
	case pb.NetMode_NONE:
	case pb.NetMode_UNSET:
		if err := n.make(ctx); err != nil {
			return a, err
		}
		a.Endpoints = []api.Endpoint{{Network: networkName}}
	default:
		return a, fault.New(errdefs.ErrNotImplemented, "the network %s of a step is not served", mode)
	}
	a, err := n.stack.Attach(ctx, a)
	if err == nil && len(a.Endpoints) > 0 {
		err = n.names.Serve(ctx, id)
	}
	return a, err
}

func (n *network) make(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready {
		return nil
	}
	_, err := n.stack.CreateNetwork(ctx, api.Network{Name: networkName})
	if err != nil && !errdefs.IsAlreadyExists(err) {
		return err
	}
	// Queries are asked of the host's servers from the host: these may be on its loopback.
	n.names, err = dns.New(n.stack, slog.New(slog.DiscardHandler))
	n.ready = err == nil
	return err
}

// gateway is the address by which steps reach the host.
func (n *network) gateway(ctx context.Context) (netip.Addr, error) {
	if err := n.make(ctx); err != nil {
		return netip.Addr{}, err
	}
	nw, err := n.stack.Network(networkName)
	if err == nil && len(nw.Subnets) == 0 {
		err = fault.New(errdefs.ErrFailedPrecondition, "the network of builds has no addresses")
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return nw.Subnets[0].Gateway, nil
}

// leave undoes join. Idempotent.
func (n *network) leave(ctx context.Context, id string) error {
	n.mu.Lock()
	if n.names != nil {
		n.names.Stop(id)
	}
	n.mu.Unlock()
	return n.stack.Detach(ctx, id)
}

// close takes the network away, once nobody is attached to it.
func (n *network) close(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ready = false; n.names != nil {
		n.names.Close()
		n.names = nil
	}
	if err := n.stack.RemoveNetwork(ctx, networkName); err != nil && !errdefs.IsNotFound(err) && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// hostsFile is /etc/hosts of a step.
func hostsFile(hostname string, a api.Attachment, extra []executor.HostIP) []byte {
	var b bytes.Buffer
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	own := []string{"127.0.0.1"}
	for _, i := range a.Interfaces {
		for at, addr := range i.Addrs() {
			if at == 0 {
				own = nil
			}
			own = append(own, addr.String())
		}
	}
	for _, addr := range own {
		fmt.Fprintf(&b, "%s\t%s\n", addr, hostname)
	}
	for _, h := range extra {
		fmt.Fprintf(&b, "%s\t%s\n", h.IP, h.Host)
	}
	return b.Bytes()
}

// resolvFile is /etc/resolv.conf of a step: the host's own in its network, else podc's answers, with the host's search list.
func resolvFile(mode pb.NetMode) []byte {
	if mode == pb.NetMode_HOST {
		own, _ := os.ReadFile(resolvconf.Path)
		return own
	}
	text := "nameserver " + netstack.DNSAddr.String() + "\n"
	if conf, _ := resolvconf.Read(resolvconf.Path); len(conf.Search) > 0 {
		text += "search " + strings.Join(conf.Search, " ") + "\n"
	}
	return []byte(text)
}
