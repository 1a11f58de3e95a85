package engine

import (
	"strings"
	"testing"
)

func TestCheckPods(t *testing.T) {
	e := plainEngine(t)
	for _, tt := range []struct {
		name   string
		change func(*PodSpec)
		want   string // empty: it is possible
	}{
		{"nothing", func(*PodSpec) {}, ""},
		{"a bind of nothing", func(p *PodSpec) { p.Container.Mounts = []Mount{{Type: MountBind, Source: "/no/such", Target: "/x"}} }, "/no/such does not exist"},
		{"a bind that is made", func(p *PodSpec) {
			p.Container.Mounts = []Mount{{Type: MountBind, Source: "/no/such", Target: "/x", CreateSource: true}}
		}, ""},
		{"a bind of a socket", func(p *PodSpec) {
			p.Container.Mounts = []Mount{{Type: MountBind, Source: "/no/such/x.sock", Target: "/x", CreateSource: true}}
		}, "is not made as a folder"},
		{"a bind of what a program makes", func(p *PodSpec) {
			p.Container.Mounts = []Mount{{Type: MountBind, Source: "/var/run/no-such", Target: "/x", CreateSource: true}}
		}, "is not made as a folder"},
		{"a bind of docker's socket", func(p *PodSpec) {
			p.Container.Mounts = []Mount{{Type: MountBind, Source: "/run/docker.sock", Target: "/x", CreateSource: true}}
		}, "podc does not have yet"},
		{"no device", func(p *PodSpec) { p.Container.Devices = []Device{{Host: "/dev/none-such"}} }, "/dev/none-such"},
		{"a folder of devices", func(p *PodSpec) { p.Container.Devices = []Device{{Host: "/dev"}} }, ""},
		{"a folder without devices", func(p *PodSpec) { p.Container.Devices = []Device{{Host: "/etc"}} }, "no device"},
		{"capability", func(p *PodSpec) { p.Container.CapAdd = []string{"FLY"} }, `"FLY"`},
		{"limit", func(p *PodSpec) { p.Container.Ulimits = map[string]Ulimit{"wishes": {}} }, `"wishes"`},
		{"seccomp profile", func(p *PodSpec) { p.Container.SecurityOpt = []string{"seccomp=/no/such.json"} }, "/no/such.json"},
		{"no block device", func(p *PodSpec) {
			p.Container.Resources.BlockIO = &BlockIO{ReadBps: []DeviceRate{{Path: "/dev/null", Rate: 1}}}
		}, "/dev/null"},
		{"setting of the host", func(p *PodSpec) { p.Container.Sysctls = map[string]string{"kernel.panic": "1"} }, "the whole host"},
		{"setting of the host's network", func(p *PodSpec) {
			p.Network.Mode, p.Container.Sysctls = NetworkHost, map[string]string{"net.core.somaxconn": "1"}
		}, "the host's network"},
		{"unknown setting", func(p *PodSpec) { p.Container.Sysctls = map[string]string{"net.none.such": "1"} }, "not one of this kernel"},
		{"settings", func(p *PodSpec) {
			p.Container.Sysctls = map[string]string{"net.core.somaxconn": "1", "kernel.shmmax": "1", "net.ipv4.conf.eth7.forwarding": "1"}
		}, ""},
	} {
		p := PodSpec{Name: "web"}
		tt.change(&p)
		err := e.CheckPods(t.Context(), []PodSpec{p})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"web"`)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
