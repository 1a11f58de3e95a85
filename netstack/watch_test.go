package netstack

import (
	"context"
	"testing"
	"time"

	"podc.example/podc/api"
)

// Whatever of the network is taken away is told at once and healed, and nothing is told of podc's own work.
func TestTakenAwayAndHealed(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := l.network(api.Network{Name: "net"})
	changed, err := l.Watch(ctx)
	must(t, err)
	pod := l.attach(api.Attachment{ID: "pod", Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: 8080, Container: 80, Protocol: "tcp"}}})
	l.attach(api.Attachment{ID: "other", Endpoints: []api.Endpoint{{Network: "net"}}})
	must(t, l.Detach(t.Context(), "other"))
	select {
	case <-changed:
		t.Error("told of podc's own changes")
	default:
	}
	l.serve(pod.NetNS, "tcp", ":80", "pod")
	for _, cmd := range [][]string{
		{"nft", "flush", "ruleset"},
		{"nft", "delete", "table", "inet", l.firewall.Name()},
		{"nft", "flush", "chain", "inet", l.firewall.Name(), "prerouting"},
		{"ip", "link", "del", n.Bridge},
		{"ip", "link", "set", n.Bridge, "down"},
		{"ip", "addr", "flush", "dev", n.Bridge},
	} {
		run(t, cmd...)
		select {
		case <-changed:
		case <-time.After(2 * time.Second):
			t.Errorf("%v: not told", cmd)
		}
		if fault, err := l.Heal(ctx); err != nil || fault == "" {
			t.Errorf("%v: healed %q %v", cmd, fault, err)
		}
		l.expect("", "tcp", "127.0.0.1:8080", "pod")
		if p, err := l.Check(ctx, nil); err != nil || len(p) > 0 {
			t.Errorf("%v: check %v %v", cmd, p, err)
		}
		for told := true; told; { // of the healing itself, which finds nothing to do
			select {
			case <-changed:
				if fault, err := l.Heal(ctx); err != nil || fault != "" {
					t.Errorf("%v: healed again: %q %v", cmd, fault, err)
				}
			case <-time.After(100 * time.Millisecond):
				told = false
			}
		}
	}
	l.clean()
}
