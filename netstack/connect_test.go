package netstack

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/vishvananda/netlink"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// An attachment gains and loses networks while it stands: addresses, routes, names and published ports follow.
func TestConnectAndDisconnect(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.uplink()
	ctx := t.Context()
	l.network(api.Network{Name: "one", IPv6: true})
	l.network(api.Network{Name: "two", Subnets: []api.Subnet{{CIDR: prefix("10.9.0.0/24")}}})
	l.network(api.Network{Name: "inside", Internal: true})
	web := l.attach(api.Attachment{ID: "web", Names: []string{"web"}, Endpoints: []api.Endpoint{{Network: "one"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	peer := l.attach(api.Attachment{ID: "peer", Endpoints: []api.Endpoint{{Network: "two"}}})
	for _, a := range []api.Attachment{web, peer} {
		l.serve(a.NetNS, "tcp", ":80", a.ID)
	}
	peerIP := addrOf(peer, 0)
	l.expect(web.NetNS, "tcp", peerIP+":80", "")

	a, err := l.Connect(ctx, "web", api.Endpoint{Network: "two", Aliases: []string{"www"}, IPv4: mustAddr("10.9.0.7"), MAC: "02:00:00:00:00:09"}, nil)
	must(t, err)
	if i := a.Interfaces[1]; i.Name != "eth1" || i.IPv4.Addr() != mustAddr("10.9.0.7") || i.MAC != "02:00:00:00:00:09" {
		t.Errorf("connected as %+v", i)
	}
	l.expect(web.NetNS, "tcp", peerIP+":80", "peer")
	l.expect("", "tcp", "127.0.0.1:8080", "web")
	var names NameRecord
	readJSON(t, l.nameFile("two", "web"), &names)
	if !slices.Equal(names.Names, []string{"web", "www"}) {
		t.Errorf("names %+v", names)
	}
	_, err = l.Connect(ctx, "web", api.Endpoint{Network: "two"}, nil)
	wantError(t, err, errdefs.ErrAlreadyExists, "connected already")
	_, err = l.Connect(ctx, "web", api.Endpoint{Network: "three"}, nil)
	wantError(t, err, errdefs.ErrNotFound, `network "three"`)
	_, err = l.Connect(ctx, "nobody", api.Endpoint{Network: "two"}, nil)
	wantError(t, err, errdefs.ErrNotFound, "nobody")
	_, err = l.Connect(ctx, "peer", api.Endpoint{Network: "one", Interface: "eth0"}, nil)
	wantError(t, err, errdefs.ErrInvalidArgument, "interface name eth0")

	// the published port, and the way out, follow the network that is left
	a, err = l.Disconnect(ctx, "web", "one")
	must(t, err)
	if len(a.Interfaces) != 1 || a.Interfaces[0].Name != "eth1" || a.Ports[0].HostPort != 8080 {
		t.Errorf("left with %+v", a)
	}
	l.expect("", "tcp", "127.0.0.1:8080", "web")
	if w := routeOf(t, web.NetNS); w != "10.9.0.1" {
		t.Errorf("the default route leads to %s", w)
	}
	_, err = l.Disconnect(ctx, "web", "one")
	wantError(t, err, errdefs.ErrNotFound, "not connected")

	// back again, at its address, as the first free interface; the way out is that of the higher priority
	before := web.Interfaces[0]
	a, err = l.Connect(ctx, "web", api.Endpoint{Network: "one", GwPriority: 1}, []netip.Addr{before.IPv4.Addr(), before.IPv6.Addr()})
	must(t, err)
	if i := a.Interfaces[1]; i.IPv4 != before.IPv4 || i.IPv6 != before.IPv6 || i.Name != "eth0" || a.Endpoints[1].IPv4.IsValid() {
		t.Errorf("connected again as %+v, was %+v", i, before)
	}
	if w := routeOf(t, web.NetNS); w != before.Gateway.String() {
		t.Errorf("the default route leads to %s", w)
	}
	l.expect("", "tcp", "127.0.0.1:8080", "web")
	// an address that somebody else has by now is not insisted upon
	a, err = l.Connect(ctx, "peer", api.Endpoint{Network: "one"}, []netip.Addr{before.IPv4.Addr(), mustAddr("10.77.0.1")})
	if must(t, err); a.Interfaces[1].IPv4 == before.IPv4 || !a.Interfaces[1].IPv6.IsValid() {
		t.Errorf("connected as %+v", a.Interfaces[1])
	}
	if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
		t.Errorf("check: %v %v", p, err)
	}
	// on internal networks only, nothing is published
	for _, network := range []string{"one", "two"} {
		_, err = l.Disconnect(ctx, "web", network)
		must(t, err)
	}
	_, err = l.Connect(ctx, "web", api.Endpoint{Network: "inside"}, nil)
	must(t, err)
	l.expect("", "tcp", "127.0.0.1:8080", "")
	if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
		t.Errorf("check: %v %v", p, err)
	}
	l.clean()
}

// A Connect that died half-way is undone by the next one, by a Disconnect, and by a Detach.
func TestConnectCutShort(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	ctx := t.Context()
	l.network(api.Network{Name: "one"})
	l.network(api.Network{Name: "two"})
	finish := []func(){
		func() { _, err := l.Connect(ctx, "web", api.Endpoint{Network: "two"}, nil); must(t, err) },
		func() { _, err := l.Disconnect(ctx, "web", "two"); must(t, err) },
		func() { must(t, l.Detach(ctx, "web")) },
	}
	for n, f := range finish {
		for _, made := range []bool{false, true} {
			l.attach(api.Attachment{ID: "web", NetNS: l.pin(fmt.Sprint(n, made)), Endpoints: []api.Endpoint{{Network: "one"}}})
			rec, err := l.standing("web")
			must(t, err)
			networks, err := l.intendMore(ctx, &rec, api.Endpoint{Network: "two"})
			must(t, err)
			if made {
				must(t, l.plugins.addEndpoint(ctx, &rec, 1, networks[1], reachOf(rec.Endpoints, networks)))
			}
			f()
			if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
				t.Errorf("way %d, %t: check: %v %v", n, made, p, err)
			}
			must(t, l.Detach(ctx, "web"))
		}
	}
	l.clean()
}

// routeOf is the gateway of a namespace's default route of IPv4.
func routeOf(t *testing.T, ns string) (gateway string) {
	t.Helper()
	must(t, kernel.InNetNS(ns, func() error {
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		for _, r := range routes {
			if r.Dst == nil || r.Dst.IP.IsUnspecified() {
				gateway += r.Gw.String()
			}
		}
		return err
	}))
	return gateway
}
