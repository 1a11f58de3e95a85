package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"podc.example/podc/api"
)

func TestCheckPods(t *testing.T) {
	e := plainEngine(t)
	linked := filepath.Join(t.TempDir(), "run")
	if err := os.Symlink("/run", linked); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*api.PodSpec)
		want   string // empty: it is possible
	}{
		{"nothing", func(*api.PodSpec) {}, ""},
		{"a bind of nothing", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/no/such", Target: "/x"}}
		}, "/no/such does not exist"},
		{"a bind that is made", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/no/such", Target: "/x", CreateSource: true}}
		}, ""},
		{"a bind of a socket", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/no/such/x.sock", Target: "/x", CreateSource: true}}
		}, "is not made as a folder"},
		{"a bind of what a program makes", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/var/run/no-such", Target: "/x", CreateSource: true}}
		}, "is not made as a folder"},
		{"a bind of docker's socket", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/run/docker.sock", Target: "/x", CreateSource: true}}
		}, "podc does not have yet"},
		{"no device", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/dev/none-such"}} }, "/dev/none-such"},
		{"a folder of devices", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/dev"}} }, ""},
		{"a folder without devices", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/etc"}} }, "no device"},
		{"capability", func(p *api.PodSpec) { p.Container.CapAdd = []string{"FLY"} }, `"FLY"`},
		{"capability that is dropped", func(p *api.PodSpec) { p.Container.CapDrop = []string{"FLY"} }, `"FLY"`},
		{"processor", func(p *api.PodSpec) { p.Container.Resources.Cpuset = "0,9999" }, "no processor 9999"},
		{"all processors", func(p *api.PodSpec) { p.Container.Resources.CPUQuota = -1 }, ""},
		{"a device in /proc", func(p *api.PodSpec) {
			p.Container.Devices = []api.Device{{Host: "/dev/null", Container: "/proc/uptime"}}
		}, "lies in /proc"},
		{"a device for /dev/shm", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/dev/zero", Container: "/dev/./shm"}} }, "/dev/shm is a folder"},
		{"a device for /dev", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/dev/zero", Container: "/dev/"}} }, "/dev is a folder"},
		{"a device in /dev/pts", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/dev/zero", Container: "/dev/pts/7"}} }, "lies in /dev/pts"},
		{"a device in /dev/shm", func(p *api.PodSpec) { p.Container.Devices = []api.Device{{Host: "/dev/zero", Container: "/dev/shm/x"}} }, ""},
		{"a bind through a link to /run", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: linked + "/no-such", Target: "/x", CreateSource: true}}
		}, "is not made as a folder"},
		{"a bind of a missing device", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/dev/no-such", Target: "/x", CreateSource: true}}
		}, "is not made as a folder"},
		{"limit", func(p *api.PodSpec) { p.Container.Ulimits = map[string]api.Ulimit{"wishes": {}} }, `"wishes"`},
		{"seccomp profile", func(p *api.PodSpec) { p.Container.SecurityOpt = []string{"seccomp=/no/such.json"} }, "/no/such.json"},
		{"a seccomp profile that is none", func(p *api.PodSpec) { p.Container.SecurityOpt = []string{"seccomp=/etc/passwd"} }, "is no seccomp profile"},
		{"an action of a seccomp profile", func(p *api.PodSpec) {
			p.Container.SecurityOpt = []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_FLY"}]}`}
		}, `no action "SCMP_ACT_FLY"`},
		{"a hook that works in /proc", func(p *api.PodSpec) {
			p.Container.PreStop = []api.Hook{{Command: []string{"x"}, WorkingDir: "/proc/sys"}}
		}, ""},
		{"a seccomp profile that asks for capabilities", func(p *api.PodSpec) {
			p.Container.SecurityOpt = []string{`seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["bpf"],"action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_BPF"]}}]}`}
		}, ""},
		{"a bind below a file", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/etc/passwd/x/y", Target: "/x", CreateSource: true}}
		}, "/etc/passwd is not a folder"},
		{"a bind below a socket", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/no/such.sock/x", Target: "/x", CreateSource: true}}
		}, "by its name it is a socket"},
		{"a bind over /dev", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/tmp", Target: "/dev"}}
		}, "it has no null"},
		{"a file in /sys", func(p *api.PodSpec) { p.Container.Files = []api.File{{Target: "/sys/no-such"}} }, "nothing at /sys/no-such"},
		{"a file in a file", func(p *api.PodSpec) { p.Container.Files = []api.File{{Target: "/a"}, {Target: "/a/b"}} }, "/a/b lies in /a, which is a file"},
		{"a mount in a file", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/etc/passwd", Target: "/a"}, {Type: api.MountTmpfs, Target: "/a/b/c"}}
		}, "/a/b/c lies in /a, which is a file"},
		{"a working directory in /sys", func(p *api.PodSpec) { p.Container.WorkingDir = "/sys/no-such" }, "nothing at /sys/no-such"},
		{"a working directory in /proc", func(p *api.PodSpec) { p.Container.WorkingDir = "/proc/self/fd/7" }, "where no container may work"},
		{"an option of a tmpfs", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountTmpfs, Target: "/t", TmpfsOptions: []string{"noexec", "mpol=sideways"}}}
		}, `the option "mpol=sideways"`},
		{"options of a tmpfs", func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountTmpfs, Target: "/t", TmpfsOptions: []string{"noexec", "nr_inodes=1k", "size=10%", "uid=7"}}}
		}, ""},
		{"a text for a number", func(p *api.PodSpec) { p.Container.Sysctls = map[string]string{"net.core.somaxconn": "many"} }, "takes numbers such as"},
		{"an unknown setting of interfaces", func(p *api.PodSpec) { p.Container.Sysctls = map[string]string{"net.ipv4.conf.eth7.nosuch": "1"} }, "not one of this kernel"},
		{"no open files", func(p *api.PodSpec) { p.Container.Ulimits = map[string]api.Ulimit{"nofile": {}} }, "no container can start"},
		{"a cgroup of another root", func(p *api.PodSpec) { p.Container.CgroupParent = "/x/podc-0123abcd" }, "another root of podc"},
		{"a cgroup", func(p *api.PodSpec) { p.Container.CgroupParent = "/x/podc-mine" }, ""},
		{"no block device", func(p *api.PodSpec) {
			p.Container.Resources.BlockIO = &api.BlockIO{ReadBps: []api.DeviceRate{{Path: "/dev/null", Rate: 1}}}
		}, "/dev/null"},
		{"setting of the host", func(p *api.PodSpec) { p.Container.Sysctls = map[string]string{"kernel.panic": "1"} }, "the whole host"},
		{"setting of the host's network", func(p *api.PodSpec) {
			p.Network.Mode, p.Container.Sysctls = api.NetworkHost, map[string]string{"net.core.somaxconn": "1"}
		}, "the host's network"},
		{"unknown setting", func(p *api.PodSpec) { p.Container.Sysctls = map[string]string{"net.none.such": "1"} }, "not one of this kernel"},
		{"settings", func(p *api.PodSpec) {
			p.Container.Sysctls = map[string]string{"net.core.somaxconn": "1", "kernel.shmmax": "1", "net.ipv4.conf.eth7.forwarding": "1"}
		}, ""},
	} {
		p := api.PodSpec{Name: "web"}
		tt.change(&p)
		err := e.CheckPods(t.Context(), []api.PodSpec{p})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"web"`)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
