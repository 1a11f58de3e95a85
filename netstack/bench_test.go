package netstack

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
)

// TestAttachCost prints what one pod costs, for the eye: wall and CPU time. It fails only if an attach
// costs what processes cost: plugins that are executed take some 600 ms, the race detector doubles the 10 to 15 ms of today.
func TestAttachCost(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.uplink()
	l.network(api.Network{Name: "net"})
	const pods = 20
	for i := range pods {
		l.pin(fmt.Sprint(i))
	}
	up := cost(t, func() {
		for i := range pods {
			l.attach(api.Attachment{ID: fmt.Sprint(i), NetNS: fmt.Sprintf("%s/ns-%d", l.dir, i), Names: []string{"pod"},
				Endpoints: []api.Endpoint{{Network: "net"}}, Ports: []api.Port{{HostPort: uint16(9000 + i), Container: 80, Protocol: "tcp"}}})
		}
	})
	down := cost(t, func() {
		for i := range pods {
			must(t, l.Detach(context.Background(), fmt.Sprint(i)))
		}
	})
	t.Logf("attach: wall %v, CPU %v; detach: wall %v, CPU %v", up[0]/pods, up[1]/pods, down[0]/pods, down[1]/pods)
	if up[1]/pods > 100*time.Millisecond {
		t.Error("attach is far too slow")
	}
	l.clean()
}

// cost returns the wall and the CPU time of f.
func cost(t *testing.T, f func()) [2]time.Duration {
	t.Helper()
	cpu := func() time.Duration {
		var u unix.Rusage
		must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start, used := time.Now(), cpu()
	f()
	return [2]time.Duration{time.Since(start), cpu() - used}
}
