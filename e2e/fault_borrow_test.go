package e2e

import (
	"os/exec"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// What pods borrow and mount beside their own files is given back by whoever comes after a killed podc.
func TestKilledAmongMountsAndHooksTheNextCommandHeals(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  lender: {<<: *sleep, ipc: shareable, volumes: ['memory:/memory', /anonymous], cgroup_parent: "/podc-e2e-${ID}"}
  guest:
    <<: *sleep
    pid: service:lender
    ipc: service:lender
    network_mode: service:lender
    volumes_from: [lender]
    volumes: [{type: image, source: localhost/other, target: /other, image: {subpath: etc}}, {type: volume, source: data, target: /plain, volume: {nocopy: true}}]
    pre_start: [{command: touch /plain/x}]
    post_start: [{command: test -e /memory}]
    pre_stop: [{command: 'true'}]
volumes: {data: {}, memory: {driver_opts: {type: tmpfs, device: tmpfs, o: size=1m}}}
`)
	s.load("busybox")
	s.env = []string{"ID=" + s.id()}
	s.loadImage("localhost/other", derived(t, v1.Config{}, imageFile{"etc/f", 0o644, 0, "x"}))
	before := census(s)
	clean := func(when string) {
		t.Helper()
		for _, left := range census(s).minus(before) {
			if !strings.Contains(left, "/volumes") || strings.HasPrefix(left, "mount") {
				t.Errorf("%s left %s", when, left)
			}
		}
		if exists("/sys/fs/cgroup/memory/podc-e2e-"+s.id()) || exists("/sys/fs/cgroup/podc-e2e-"+s.id()) {
			t.Errorf("%s left its parent of cgroups", when)
		}
	}
	kill := func(c *exec.Cmd) { s.killAll(c) }
	kills := s.sweepBy(8**killStep, kill, func() {
		s.podc("down", "-t", "0")
		clean("down")
	}, "up", "-d")
	kills += s.sweepBy(8**killStep, kill, func() { s.podc("up", "-d") }, "down", "-t", "0")
	t.Logf("%d kills hit a running podc", kills)
	s.podc("down", "-v", "-t", "0")
	clean("down -v")
}
