package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sound is a machine that lacks nothing: programs that say their versions, and files of a kernel.
func sound(t *testing.T) Host {
	t.Helper()
	dir := t.TempDir()
	h := Host{Root: filepath.Join(dir, "root"), Path: filepath.Join(dir, "bin"), Helpers: filepath.Join(dir, "libexec"), DataRoot: dir, RunRoot: dir,
		PluginDirs: []string{"/elsewhere", "/opt/cni/bin"}}
	h.program(t, "conmon", "conmon version 2.1.12\ncommit: 1")
	h.program(t, "crun", "crun version 1.20\nspec: 1.0.0")
	for _, name := range helperPrograms {
		write(t, filepath.Join(h.Helpers, name), "", 0o755)
	}
	for path, content := range map[string]string{
		"/proc/sys/kernel/osrelease":               "6.1.0-13-amd64\n",
		"/proc/sys/kernel/seccomp/actions_avail":   "kill_process errno allow\n",
		"/proc/filesystems":                        "nodev\tproc\nnodev\toverlay\n",
		"/proc/sys/net/ipv4/ip_forward":            "1\n",
		"/proc/sys/fs/inotify/max_user_instances":  "1024\n",
		"/proc/sys/kernel/pid_max":                 "4194304\n",
		"/proc/sys/net/netfilter/nf_conntrack_max": "262144\n",
		"/proc/self/limits":                        "Max open files            1024                 1048576              files\n",
		"/sys/fs/cgroup/cgroup.controllers":        "cpuset cpu io memory pids\n",
		"/etc/resolv.conf":                         "search example.org\nnameserver 192.0.2.1\n",
		"/etc/subuid":                              "containers:1:65536\n",
		"/etc/subgid":                              "containers:1:65536\n",
		"/opt/cni/bin/macvlan":                     "",
	} {
		write(t, h.file(path), content, 0o755)
	}
	for _, kind := range spaces {
		write(t, h.file("/proc/self/ns/"+kind), "", 0o444)
	}
	return h
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
		t.Fatal(err)
	}
}

// program puts one on PATH that says what it is told to.
func (h Host) program(t *testing.T, name, says string) {
	t.Helper()
	write(t, filepath.Join(h.Path, name), "#!/bin/sh\ncat <<'END'\n"+says+"\nEND\n", 0o755)
}

func TestASoundMachineLacksNothing(t *testing.T) {
	for _, f := range Examine(context.Background(), sound(t)) {
		if f.State != OK && f.Name != "data root" { // which is the real disk
			t.Errorf("%+v", f)
		}
	}
}

// Each thing that is wrong is found, is as grave as it is, and comes with what to do.
func TestWhatIsWrongIsFound(t *testing.T) {
	remove := func(path string) func(*testing.T, *Host) {
		return func(t *testing.T, h *Host) {
			if err := os.RemoveAll(h.file(path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	put := func(path, content string) func(*testing.T, *Host) {
		return func(t *testing.T, h *Host) { write(t, h.file(path), content, 0o644) }
	}
	says := func(name, text string) func(*testing.T, *Host) {
		return func(t *testing.T, h *Host) { h.program(t, name, text) }
	}
	for _, tt := range []struct {
		what  string
		wrong func(*testing.T, *Host)
		name  string
		state State
		text  string
	}{
		{"not root", func(_ *testing.T, h *Host) { h.UID = 1000 }, "user", Missing, "runs as root"},
		{"no conmon", func(t *testing.T, h *Host) { os.Remove(filepath.Join(h.Path, "conmon")) }, "conmon", Missing, "not found"},
		{"an old conmon", says("conmon", "conmon version 1.9"), "conmon", Missing, "podc needs"},
		{"a crun with holes", says("crun", "crun version 1.8.1"), "crun", Warning, "CVE-2024-21626"},
		{"a crun that says nothing", says("crun", "hello"), "crun", Missing, "hello"},
		{"a runc with holes", says("runc", "runc version 1.1.5+ds1"), "runc", Warning, "1.1.12"},
		{"no helper", func(t *testing.T, h *Host) { os.Remove(filepath.Join(h.Helpers, "podc-monitor")) }, "podc-monitor", Missing, "not in"},
		{"no plugins", remove("/opt/cni"), "cni plugins", Warning, "macvlan"},
		{"plugins where networks do not look", func(_ *testing.T, h *Host) { h.PluginDirs = []string{"/elsewhere"} }, "cni plugins", Warning, "macvlan"},
		{"no /proc", remove("/proc/sys/kernel/osrelease"), "kernel", Missing, "osrelease"},
		{"an old kernel", put("/proc/sys/kernel/osrelease", "5.10.0-30-amd64"), "kernel", Missing, "5.15"},
		{"no pid namespaces", remove("/proc/self/ns/pid"), "namespaces", Missing, "pid"},
		{"no seccomp", remove("/proc/sys/kernel/seccomp"), "seccomp", Missing, "filter"},
		{"AppArmor without its parser", put("/sys/module/apparmor/parameters/enabled", "Y\n"), "apparmor", Warning, "no profile"},
		{"no overlayfs", put("/proc/filesystems", "nodev\tproc\n"), "overlayfs", Missing, "does not have it"},
		{"no cgroups", remove("/sys/fs/cgroup"), "cgroups", Missing, "none mounted"},
		{"cgroups without controllers", put("/sys/fs/cgroup/cgroup.controllers", "\n"), "cgroups", Missing, "without controllers"},
		{"no memory controller", put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu pids"), "cgroups", Warning, "memory"},
		{"hybrid cgroups", func(t *testing.T, h *Host) {
			remove("/sys/fs/cgroup/cgroup.controllers")(t, h)
			put("/sys/fs/cgroup/memory/cgroup.procs", "")(t, h)
			put("/sys/fs/cgroup/unified/cgroup.controllers", "hugetlb")(t, h)
		}, "cgroups", Missing, "hugetlb"},
		{"no forwarding", remove("/proc/sys/net/ipv4"), "ip_forward", Missing, "IPv4"},
		{"no resolv.conf", remove("/etc/resolv.conf"), "dns", Warning, "no such file"},
		{"no servers", put("/etc/resolv.conf", "search example.org\n"), "dns", Warning, "names no server"},
		{"few files", put("/proc/self/limits", "Max open files            1024                 1024              files\n"), "limits", Warning, "1024"},
		{"few inotify instances", put("/proc/sys/fs/inotify/max_user_instances", "8"), "limits", Warning, "inotify"},
		{"no sub-ids", put("/etc/subgid", ""), "sub-ids", Warning, "/etc/subgid"},
		{"a probe that fails", func(_ *testing.T, h *Host) {
			h.Probes = []Probe{{Name: "networks", Mend: "modprobe", Needed: true, Try: func(context.Context) error { return errors.New("no bridges") }}}
		}, "networks", Missing, "no bridges"},
		{"a probe that can be done without", func(_ *testing.T, h *Host) {
			h.Probes = []Probe{{Name: "ports", Mend: "end it", Try: func(context.Context) error { return errors.New("80 is taken") }}}
		}, "ports", Warning, "80 is taken"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			h := sound(t)
			tt.wrong(t, &h)
			found := Examine(context.Background(), h)
			for _, f := range found {
				if f.Name != tt.name {
					continue
				}
				if f.State != tt.state || !strings.Contains(f.Text, tt.text) || f.Mend == "" {
					t.Errorf("found %+v", f)
				}
				if Healthy(found) == (tt.state == Missing) {
					t.Errorf("healthy: %t", Healthy(found))
				}
				return
			}
			t.Errorf("not found among %v", found)
		})
	}
}

func TestOtherWaysToBeSound(t *testing.T) {
	h := sound(t)
	if err := os.Remove(h.file("/sys/fs/cgroup/cgroup.controllers")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"cpu,cpuacct", "cpuset", "memory", "pids"} {
		write(t, h.file("/sys/fs/cgroup/"+dir+"/cgroup.procs"), "", 0o644)
	}
	write(t, h.file("/proc/filesystems"), "nodev\tproc\n", 0o644)
	write(t, h.file("/lib/modules/6.1.0-13-amd64/kernel/fs/overlayfs/overlay.ko.xz"), "", 0o644)
	write(t, h.file("/proc/sys/net/ipv4/ip_forward"), "0\n", 0o644)
	for _, f := range Examine(context.Background(), h) {
		if f.State != OK && f.Name != "data root" {
			t.Errorf("%+v", f)
		}
	}
}

func TestRoomOfRoots(t *testing.T) {
	h := Host{DataRoot: t.TempDir()}
	for _, tt := range []struct {
		least, few uint64
		want       State
	}{{0, 0, OK}, {0, 1 << 62, Warning}, {1 << 62, 1 << 62, Missing}} {
		if f := h.room("data root", filepath.Join(h.DataRoot, "not", "yet"), tt.least, tt.few); f.State != tt.want {
			t.Errorf("%+v, want %s", f, tt.want)
		}
	}
}

func TestOlder(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"1.8.1", "1.14.1", true}, {"1.14.1", "1.8.1", false}, {"1.14", "1.14.1", true}, {"1.14.1", "1.14.1", false},
		{"1.1.5+ds1", "1.1.12", true}, {"6.1.0-13-amd64", "5.4", false}, {"2", "2.0", false}, {"", "1", true},
	} {
		t.Run(fmt.Sprint(tt.a, " ", tt.b), func(t *testing.T) {
			if got := older(tt.a, tt.b); got != tt.want {
				t.Error(got)
			}
		})
	}
}
