package engine

import (
	"strings"
	"testing"
	"time"

	"podc.example/podc/netstack"
)

// TestValues: what the kernel or the runtime would not take is refused of a spec, before anything is made, as of a compose file.
func TestValues(t *testing.T) {
	negative, big := -time.Second, 5000
	for want, change := range map[string]func(*PodSpec){
		"no name of a host":         func(p *PodSpec) { p.Hostname = "a b" },
		"longer than 64":            func(p *PodSpec) { p.Domainname = strings.Repeat("a", 65) },
		"U+0000":                    func(p *PodSpec) { p.Labels = map[string]string{"a": "x\x00y"} },
		"more than one line":        func(p *PodSpec) { p.Labels = map[string]string{"a\nb": ""} },
		"alias: \"a b\"":            func(p *PodSpec) { p.Network.Endpoints = []netstack.Endpoint{{Network: "n", Aliases: []string{"a b"}}} },
		"name server: \"x\"":        func(p *PodSpec) { p.Network.DNS = []string{"x"} },
		"extra host: \"\"":          func(p *PodSpec) { p.Network.ExtraHosts = []string{"=1.2.3.4"} },
		"search domain: \"a b\"":    func(p *PodSpec) { p.Network.DNSSearch = []string{"a b"} },
		"is not one word":           func(p *PodSpec) { p.Network.DNSOptions = []string{"ndots:1 x"} },
		"has no name":               func(p *PodSpec) { p.Container.Env = []string{"=x"} },
		"no name of an environment": func(p *PodSpec) { p.Container.Env = []string{"A B=x"} },
		"variable A: \"\\x1b[31m\"": func(p *PodSpec) { p.Container.Env = []string{"A=\x1b[31m"} },
		"variable A is longer":      func(p *PodSpec) { p.Container.Env = []string{"A=" + strings.Repeat("x", 128<<10)} },
		"the kernel takes 2048 KiB": func(p *PodSpec) { p.Container.Command = strings.Split(strings.Repeat("x,", 300_000), ",") },
		"the argument \"a\\x00\"":   func(p *PodSpec) { p.Container.Command = []string{"a\x00"} },
		"not an absolute path":      func(p *PodSpec) { p.Container.WorkingDir = "srv" },
		"user: 4294967295":          func(p *PodSpec) { p.Container.User = "4294967295" },
		"user: -1":                  func(p *PodSpec) { p.Container.User = "-1" },
		"group: -1":                 func(p *PodSpec) { p.Container.GroupAdd = []string{"-1"} },
		"the value \"1\\n2\"":       func(p *PodSpec) { p.Container.Sysctls = map[string]string{"net.core.somaxconn": "1\n2"} },
		"no name of a setting":      func(p *PodSpec) { p.Container.Sysctls = map[string]string{"net./../../x": "1"} },
		"soft limit 2 is above":     func(p *PodSpec) { p.Container.Ulimits = map[string]Ulimit{"nofile": {Soft: 2, Hard: 1}} },
		"leads upwards":             func(p *PodSpec) { p.Container.CgroupParent = "a/../../b" },
		"no OCI runtime":            func(p *PodSpec) { p.Container.Runtime = "./x" },
		"a name of more than 255": func(p *PodSpec) {
			p.Container.Mounts = []Mount{{Type: MountTmpfs, Target: "/" + strings.Repeat("a", 256)}}
		},
		"no size of a file system":      func(p *PodSpec) { p.Container.ShmSize = 1 },
		"5 is no limit of memory":       func(p *PodSpec) { p.Container.Resources.Memory = 5 },
		"needs a mem_limit":             func(p *PodSpec) { p.Container.Resources.MemorySwap = 10 << 20 },
		"no number of processors":       func(p *PodSpec) { p.Container.Resources.CPUs = -1 },
		"no list of processors":         func(p *PodSpec) { p.Container.Resources.Cpuset = "a" },
		"pids: -2":                      func(p *PodSpec) { p.Container.Resources.Pids = -2 },
		"oom score: 5000":               func(p *PodSpec) { p.Container.OOMScoreAdj = &big },
		"is negative":                   func(p *PodSpec) { p.Container.StopGrace = &negative },
		"timeout: 1µs is less than":     func(p *PodSpec) { p.Container.Health = &HealthCheck{Timeout: time.Microsecond} },
		"begins with \"echo\" rather":   func(p *PodSpec) { p.Container.Health = &HealthCheck{Test: []string{"echo"}} },
		"hook: the argument \"a\\x00\"": func(p *PodSpec) { p.Container.PreStop = []Hook{{Command: []string{"a\x00"}}} },
	} {
		p := PodSpec{Name: "web", Group: "g"}
		change(&p)
		if err := new(Engine).CheckPods(t.Context(), []PodSpec{p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("before all: %v, want %q", err, want)
		}
		if err := checkSpec(p, Image{Layers: []string{"/x"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("at the creation: %v, want %q", err, want)
		}
	}
}
