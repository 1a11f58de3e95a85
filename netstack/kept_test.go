package netstack

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Addresses that somebody keeps are given to nobody who does not ask for them, on either path.
func TestKeptAddresses(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.network(api.Network{Name: "net", Subnets: []api.Subnet{{CIDR: prefix("10.9.0.0/29")}}, Kept: map[string][]netip.Addr{"group shop": {mustAddr("10.9.0.2")}}})
	must(t, l.KeepAddresses(t.Context(), "net", "stopped", []netip.Addr{mustAddr("10.9.0.4")}))
	must(t, l.KeepAddresses(t.Context(), "no-such", "stopped", []netip.Addr{mustAddr("10.9.0.4")}))
	a := l.attach(api.Attachment{ID: "a", Endpoints: []api.Endpoint{{Network: "net"}}})
	b := l.attach(api.Attachment{ID: "b", Endpoints: []api.Endpoint{{Network: "net"}}})
	if got := addrOf(a, 0) + " " + addrOf(b, 0); got != "10.9.0.3 10.9.0.5" {
		t.Errorf("given: %s", got)
	}
	claim := func(owner, addr string, as ...string) api.AddressClaim {
		return api.AddressClaim{Owner: owner, As: as, Network: "net", Addr: mustAddr(addr)}
	}
	for _, tt := range []struct {
		claim api.AddressClaim
		class error
		text  string
	}{
		{claim("web", "10.9.0.2", "group shop"), nil, ""},
		{claim("stopped", "10.9.0.4"), nil, ""},
		{claim("a", "10.9.0.3"), nil, ""},
		{claim("web", "10.9.0.2"), errdefs.ErrConflict, `kept for "group shop"`},
		{claim("web", "10.9.0.4"), errdefs.ErrConflict, `kept for "stopped"`},
		{claim("web", "10.9.0.3"), errdefs.ErrConflict, `in use by "a"`},
		{claim("web", "10.9.0.1"), errdefs.ErrInvalidArgument, "gateway 10.9.0.1"},
		{claim("web", "10.9.1.2"), errdefs.ErrInvalidArgument, "10.9.0.0/29"},
		{claim("web", "fd00::2"), errdefs.ErrInvalidArgument, "no subnet of that family"},
	} {
		err := l.CheckAddresses([]api.AddressClaim{tt.claim}, nil, nil)
		if tt.class == nil {
			must(t, err)
			continue
		}
		wantError(t, err, tt.class, tt.text)
	}
	must(t, l.CheckAddresses([]api.AddressClaim{claim("web", "10.9.0.3"), claim("web", "10.9.0.4")}, []string{"a"}, []string{"stopped"}))
	must(t, l.KeepAddresses(t.Context(), "net", "stopped", nil))
	var got string
	for _, id := range []string{"c", "d"} {
		got += fmt.Sprint(addrOf(l.attach(api.Attachment{ID: id, Endpoints: []api.Endpoint{{Network: "net"}}}), 0), " ")
	}
	if got != "10.9.0.6 10.9.0.4 " {
		t.Errorf("given: %s", got)
	}
	_, err := l.tryAttach(api.Attachment{ID: "full", Endpoints: []api.Endpoint{{Network: "net"}}})
	wantError(t, err, errdefs.ErrResourceExhausted, "no free address")
	l.attach(api.Attachment{ID: "web", Endpoints: []api.Endpoint{{Network: "net", IPv4: mustAddr("10.9.0.2")}}})
	l.clean()
}

// host-local knows only ranges, and gives no address outside of them: a static one is kept out of them, and yet given.
func TestExecutedPluginsGiveKeptAddresses(t *testing.T) {
	dir := pluginDir(t, "bridge", "host-local", "portmap")
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.plugins.dirs, l.plugins.exec = []string{dir}, true
	l.network(api.Network{Name: "net", Subnets: []api.Subnet{{CIDR: prefix("10.9.0.0/24"), IPRange: prefix("10.9.0.128/25")}},
		Kept: map[string][]netip.Addr{"group shop": {mustAddr("10.9.0.7"), mustAddr("10.9.0.128")}}})
	for _, want := range []string{"10.9.0.7", "10.9.0.128"} {
		if got := addrOf(l.attach(api.Attachment{ID: "at-" + want, Endpoints: []api.Endpoint{{Network: "net", IPv4: mustAddr(want)}}}), 0); got != want {
			t.Errorf("given: %s, asked for %s", got, want)
		}
	}
	if got := addrOf(l.attach(api.Attachment{ID: "any", Endpoints: []api.Endpoint{{Network: "net"}}}), 0); got != "10.9.0.129" {
		t.Errorf("given: %s", got)
	}
	l.clean()
}
