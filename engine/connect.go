package engine

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
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
		if !slices.ContainsFunc(before, func(o api.Endpoint) bool { return o.Network == ep.Network }) {
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
		if errdefs.IsAlreadyExists(err) { // by somebody who died before it was on record
			if a, err = e.net.Attachment(p.ID); err != nil {
				return err
			}
			return p.network().reconnected(ctx, a)
		}
		if err != nil {
			err = errors.Join(err, p.network().saveEndpoints(before))
			if !slices.ContainsFunc(before, func(o api.Endpoint) bool { return o.Network == ep.Network }) {
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
