package netstack

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestAttachCost prints what one pod costs, for the eye; it fails only far beyond the aim of 5 ms for an attach.
func TestAttachCost(t *testing.T) {
	if !onHost(t) {
		return
	}
	l := newLab(t, "0a1b2c3d")
	l.uplink()
	l.network(Network{Name: "net"})
	const pods = 20
	var up, down time.Duration
	for i := range pods {
		a := Attachment{ID: fmt.Sprint(i), Owner: "pod", NetNS: l.pin(fmt.Sprint(i)), Names: []string{"pod"},
			Endpoints: []Endpoint{{Network: "net"}}, Ports: []Port{{HostPort: uint16(9000 + i), Container: 80, Protocol: "tcp"}}}
		start := time.Now()
		l.attach(a)
		up += time.Since(start)
	}
	for i := range pods {
		start := time.Now()
		must(t, l.Detach(context.Background(), fmt.Sprint(i)))
		down += time.Since(start)
	}
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	t.Logf("attach %v, detach %v; CPU of the whole test: user %v system %v", up/pods, down/pods, time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano()))
	if up/pods > 100*time.Millisecond {
		t.Error("attach is far too slow")
	}
	l.clean()
}
