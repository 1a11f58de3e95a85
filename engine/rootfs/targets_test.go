package rootfs

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
)

func TestCheckTarget(t *testing.T) {
	for _, tt := range []struct {
		m  api.Mount
		ok bool
	}{
		{api.Mount{Type: api.MountBind, Source: "/dev/", Target: "/dev"}, true},
		{api.Mount{Type: api.MountBind, Source: "/sys", Target: "/sys/"}, true},
		{api.Mount{Type: api.MountBind, Source: "/proc", Target: "/proc"}, true},
		{api.Mount{Type: api.MountBind, Source: "/x", Target: "/proc/./cpuinfo"}, true},
		{api.Mount{Type: api.MountTmpfs, Target: "/dev/shm"}, true},
		{api.Mount{Type: api.MountBind, Source: "/x", Target: "/processes"}, true},
		{api.Mount{Type: api.MountBind, Source: "/x", Target: "/a/../proc"}, false},
		{api.Mount{Type: api.MountBind, Source: "/proc", Target: "/proc/sys"}, false},
		{api.Mount{Type: api.MountVolume, Target: "/sys"}, false},
		{api.Mount{Type: api.MountTmpfs, Target: "/dev/."}, false},
		{api.Mount{Type: api.MountTmpfs, Target: "//"}, false},
		{api.Mount{Type: api.MountTmpfs, Target: "tmp"}, false},
	} {
		if err := CheckTarget(tt.m); (err == nil) != tt.ok || err != nil && !errdefs.IsInvalidArgument(err) {
			t.Errorf("%s %s: %v", tt.m.Type, tt.m.Target, err)
		}
	}
}

func TestMisplacedMounts(t *testing.T) {
	const info = "22 21 0:20 / / rw - overlay podc rw\n23 22 0:5 / /proc rw - proc proc rw\n24 22 8:1 /v /a\\040b rw - ext4 /dev/x rw\n25 23 8:1 /w /proc rw - ext4 /dev/x rw\n"
	there, err := mountinfo.GetMountsFromReader(strings.NewReader(info), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		m  specs.Mount
		ok bool
	}{
		{specs.Mount{Type: "bind", Destination: "/a b"}, true},
		{specs.Mount{Type: "bind", Destination: "/v/swapped"}, false},
		{specs.Mount{Type: "tmpfs", Destination: "/v/swapped"}, false},
		{specs.Mount{Type: "cgroup", Destination: "/sys/fs/cgroup"}, true}, // whose place runtimes choose by the version
	} {
		if err := misplaced(there, []specs.Mount{tt.m}); (err == nil) != tt.ok {
			t.Errorf("%s at %s: %v", tt.m.Type, tt.m.Destination, err)
		}
	}
}
