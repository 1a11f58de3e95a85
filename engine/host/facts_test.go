package host

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/engine/oci"
)

var update = flag.Bool("update", false, "rewrite golden files")

// testPod is what an engine would have gathered of a pod: its files are mounted at a fixed place, its namespaces pinned at others.
type testPod struct {
	Pod      api.PodSpec
	Image    api.ImageConfig
	User     oci.Identity
	Devices  []specs.LinuxDevice
	Mounts   []specs.Mount
	Borrowed []string // kinds of namespaces that are the machine's
}

// Each archive holds a pod, and the configuration that it has on every machine of testdata/hosts.txtar: what differs between them follows
// from their facts, whatever machine the test runs on. The syscalls of the seccomp profile are another project's.
func TestOnePodOnManyHosts(t *testing.T) {
	hosts := readHosts(t)
	pods, err := filepath.Glob("testdata/pods/*.txtar")
	if err != nil || len(pods) == 0 {
		t.Fatal("no pods", err)
	}
	for _, path := range pods {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var p testPod
		if err := json.Unmarshal(a.Files[0].Data, &p); err != nil {
			t.Fatal(path, err)
		}
		want := slices.Clone(a.Files[1:])
		a.Files = a.Files[:1]
		for _, h := range hosts {
			a.Files = append(a.Files, txtar.File{Name: h.name, Data: []byte(p.on(t, h.facts.Host()))})
		}
		if *update {
			if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for i, got := range a.Files[1:] {
			if i >= len(want) || want[i].Name != got.Name || string(want[i].Data) != string(got.Data) {
				t.Errorf("%s on %s differs (go test ./engine/host -run Hosts -update, then look at the diff); got:\n%s", path, got.Name, got.Data)
			}
		}
	}
}

// machine is one of testdata/hosts.txtar.
type machine struct {
	name  string
	facts Facts
}

func readHosts(t *testing.T) (list []machine) {
	t.Helper()
	a, err := txtar.ParseFile("testdata/hosts.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range a.Files {
		m := machine{name: file.Name}
		if err := json.Unmarshal(file.Data, &m.facts); err != nil {
			t.Fatal(file.Name, err)
		}
		list = append(list, m)
	}
	return list
}

// What only the owner of a machine can have, a user is refused, with the reason; the owner gets it.
func TestWhatOnlyTheOwnerOfAMachineCanHave(t *testing.T) {
	hosts := readHosts(t)
	owner, user := hosts[0].facts.Host(), hosts[1].facts.Host()
	for _, tt := range []struct {
		what   string
		change func(*testPod)
		want   string
	}{
		{"rules for devices", func(p *testPod) { p.Pod.Container.DeviceRules = []string{"c 189:* rwm"} }, "a rule for devices cannot be set"},
		{"processors of which none were handed on", func(p *testPod) { p.Pod.Container.Resources.Cpuset = "0" }, "a choice of processors cannot be set"},
		{"traffic with disks", func(p *testPod) { p.Pod.Container.Resources.BlockIO = &api.BlockIO{Weight: 100} }, "a weight of block devices cannot be set"},
		{"ids beyond those of the user", func(p *testPod) { p.User.UID = 99999 }, "cannot run as user or group 99999: the ids of this host's containers end at 65536"},
		{"a group beyond them", func(p *testPod) { p.User.Groups = []int{0, 65537} }, "cannot run as user or group 65537"},
		{"safety from the OOM killer", func(p *testPod) { p.Pod.Container.OOMScoreAdj = new(-500) }, "cannot set the OOM score to -500: that of podc itself is 200"},
		{"more files than podc", func(p *testPod) {
			p.Pod.Container.Ulimits = map[string]api.Ulimit{"nofile": {Soft: 600000, Hard: 600000}}
		},
			"cannot set ulimit nofile to 600000: the limit of podc itself is 524288"},
	} {
		p := testPod{Image: api.ImageConfig{Cmd: []string{"/app"}}}
		tt.change(&p)
		if got := p.on(t, owner); strings.HasPrefix(got, "error") {
			t.Errorf("%s, as root: %s", tt.what, got)
		}
		if got := p.on(t, user); !strings.HasPrefix(got, "error: "+tt.want) {
			t.Errorf("%s, as a user: got %.200s, want %s", tt.what, got, tt.want)
		}
	}
}

// on is the configuration of a pod on a host, or why there is none.
func (p testPod) on(t *testing.T, h Host) string {
	t.Helper()
	cgroup := cgroups.Root{ID: "0123abcd", Host: h.Cgroups}.Of("c0ffee", p.Pod.Container.CgroupParent)
	c := oci.Container{
		ID: "c0ffee", Hostname: "web", Spec: p.Pod.Container, Image: p.Image, Rootfs: "/data/merged", CgroupPath: cgroup, User: p.User,
		Mounts: p.Mounts, Devices: p.Devices, HostPID: slices.Contains(p.Borrowed, "pid"), Namespaces: map[string]string{}, Host: h.Host,
	}
	for _, kind := range []string{"net", "ipc", "uts"} {
		if !slices.Contains(p.Borrowed, kind) {
			c.Namespaces[kind] = "/run/ns/" + kind
		}
	}
	var err error
	if c.BlockIO, err = BlockIO(c.Spec.Resources.BlockIO, h.Host); err != nil {
		return "error: " + err.Error() + "\n"
	}
	s, err := c.Generate()
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if s.Linux.Seccomp != nil {
		s.Linux.Seccomp.Syscalls, s.Linux.Seccomp.Architectures = nil, nil
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// What podc finds out of this machine is what it is: a process that may do all that root may is in the user namespace of the start.
func TestTheFactsOfThisMachine(t *testing.T) {
	f := facts()
	if len(f.IDs) == 0 || f.Rlimits["RLIMIT_NOFILE"] == 0 || f.Stack == 0 {
		t.Errorf("not all is known: %+v", f)
	}
	h := f.Host()
	if trusted := unix.Setxattr(t.TempDir(), "trusted.podc-test", []byte{'1'}, 0) == nil; trusted && h.UserXattrs {
		t.Error("attributes that only root sets could be used")
	}
	if again := f.Host(); h.Lacks == nil && again.Lacks != nil || !slices.Equal(h.Lacks, again.Lacks) {
		t.Error("a host does not follow from its facts alone")
	}
}

func TestLimitsThatAreLacked(t *testing.T) {
	const (
		swap, swappiness, oom              = "a limit of memory and swap", "swappiness", "exemption from the OOM killer"
		pids, cpu, cpuset, memory, devices = "a limit of processes", "a share of the processors' time", "a choice of processors", "a limit of memory", "a rule for devices"
		all, enabled, subtree, offered     = "cpuset cpu io memory pids", "cpu memory pids", "cgroup.subtree_control", "cgroup.controllers"
	)
	none := []string{swappiness, oom}
	for _, tt := range []struct {
		what  string
		v2    bool
		files map[string]string
		want  []string
	}{
		{"a fresh boot, where nobody has enabled io", true, map[string]string{offered: all, subtree: enabled, "system.slice/memory.swap.max": "max"}, none},
		{"nothing is enabled yet", true, map[string]string{offered: all, subtree: ""}, none},
		{"all is enabled", true, map[string]string{offered: all, subtree: "io memory", "a/memory.swap.max": "", "a/io.weight": "", "a/io.max": ""}, none},
		{"no weights are enabled, and no swap is counted", true, map[string]string{offered: all, subtree: "io memory", "a/io.max": ""},
			[]string{swap, swappiness, oom, oci.LimitWeight, oci.LimitWeightDevice}},
		{"memory alone", true, map[string]string{offered: "memory"}, []string{swappiness, oom, pids, cpu, cpuset, oci.LimitWeight, oci.LimitWeightDevice, oci.LimitRate}},
		{"v1", false, map[string]string{"memory/memory.limit_in_bytes": "", "memory/memory.swappiness": "", "memory/memory.oom_control": "", "pids/tasks": "", "cpu/cpu.shares": "",
			"cpuset/cpuset.cpus": "", "devices/tasks": "", "blkio/blkio.bfq.weight": "", "blkio/blkio.throttle.read_bps_device": ""}, []string{swap, oci.LimitWeightDevice}},
		{"v1 with one controller", false, map[string]string{"pids/tasks": ""},
			[]string{memory, swap, swappiness, oom, cpu, cpuset, devices, oci.LimitWeight, oci.LimitWeightDevice, oci.LimitRate}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				path := filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content+"\n"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			h := hierarchies(dir, tt.v2)
			h.BPF = true
			if got := h.Lacks(); !slices.Equal(got, tt.want) {
				t.Errorf("got %s, want %s", strings.Join(got, ", "), strings.Join(tt.want, ", "))
			}
		})
	}
}
