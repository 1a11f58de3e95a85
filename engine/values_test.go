package engine

import (
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
)

// TestValues: what the kernel or the runtime would not take is refused of a spec, before anything is made, as of a compose file.
func TestValues(t *testing.T) {
	negative, big := -time.Second, 5000
	for want, change := range map[string]func(*api.PodSpec){
		"no name of a host":  func(p *api.PodSpec) { p.Hostname = "a b" },
		"longer than 64":     func(p *api.PodSpec) { p.Domainname = strings.Repeat("a", 65) },
		"U+0000":             func(p *api.PodSpec) { p.Labels = map[string]string{"a": "x\x00y"} },
		"more than one line": func(p *api.PodSpec) { p.Labels = map[string]string{"a\nb": ""} },
		"alias: \"a b\"": func(p *api.PodSpec) {
			p.Network.Endpoints = []api.Endpoint{{Network: "n", Aliases: []string{"a b"}}}
		},
		"name server: \"x\"":        func(p *api.PodSpec) { p.Network.DNS = []string{"x"} },
		"extra host: \"\"":          func(p *api.PodSpec) { p.Network.ExtraHosts = []string{"=1.2.3.4"} },
		"search domain: \"a b\"":    func(p *api.PodSpec) { p.Network.DNSSearch = []string{"a b"} },
		"is not one word":           func(p *api.PodSpec) { p.Network.DNSOptions = []string{"ndots:1 x"} },
		"has no name":               func(p *api.PodSpec) { p.Container.Env = []string{"=x"} },
		"no name of an environment": func(p *api.PodSpec) { p.Container.Env = []string{"A B=x"} },
		"variable A: \"\\x1b[31m\"": func(p *api.PodSpec) { p.Container.Env = []string{"A=\x1b[31m"} },
		"variable A is longer":      func(p *api.PodSpec) { p.Container.Env = []string{"A=" + strings.Repeat("x", 128<<10)} },
		"the kernel takes 2048 KiB": func(p *api.PodSpec) { p.Container.Command = strings.Split(strings.Repeat("x,", 300_000), ",") },
		"the argument \"a\\x00\"":   func(p *api.PodSpec) { p.Container.Command = []string{"a\x00"} },
		"not an absolute path":      func(p *api.PodSpec) { p.Container.WorkingDir = "srv" },
		"user: 4294967295":          func(p *api.PodSpec) { p.Container.User = "4294967295" },
		"user: -1":                  func(p *api.PodSpec) { p.Container.User = "-1" },
		"group: -1":                 func(p *api.PodSpec) { p.Container.GroupAdd = []string{"-1"} },
		"the value \"1\\n2\"":       func(p *api.PodSpec) { p.Container.Sysctls = map[string]string{"net.core.somaxconn": "1\n2"} },
		"no name of a setting":      func(p *api.PodSpec) { p.Container.Sysctls = map[string]string{"net./../../x": "1"} },
		"soft limit 2 is above":     func(p *api.PodSpec) { p.Container.Ulimits = map[string]api.Ulimit{"nofile": {Soft: 2, Hard: 1}} },
		"leads upwards":             func(p *api.PodSpec) { p.Container.CgroupParent = "a/../../b" },
		"no OCI runtime":            func(p *api.PodSpec) { p.Container.Runtime = "./x" },
		"a name of more than 255": func(p *api.PodSpec) {
			p.Container.Mounts = []api.Mount{{Type: api.MountTmpfs, Target: "/" + strings.Repeat("a", 256)}}
		},
		"no size of a file system":      func(p *api.PodSpec) { p.Container.ShmSize = 1 },
		"5 is no limit of memory":       func(p *api.PodSpec) { p.Container.Resources.Memory = 5 },
		"needs a mem_limit":             func(p *api.PodSpec) { p.Container.Resources.MemorySwap = 10 << 20 },
		"no number of processors":       func(p *api.PodSpec) { p.Container.Resources.CPUs = -1 },
		"no list of processors":         func(p *api.PodSpec) { p.Container.Resources.Cpuset = "a" },
		"pids: -2":                      func(p *api.PodSpec) { p.Container.Resources.Pids = -2 },
		"oom score: 5000":               func(p *api.PodSpec) { p.Container.OOMScoreAdj = &big },
		"is negative":                   func(p *api.PodSpec) { p.Container.StopGrace = &negative },
		"timeout: 1µs is less than":     func(p *api.PodSpec) { p.Container.Health = &api.HealthCheck{Timeout: time.Microsecond} },
		"begins with \"echo\" rather":   func(p *api.PodSpec) { p.Container.Health = &api.HealthCheck{Test: []string{"echo"}} },
		"hook: the argument \"a\\x00\"": func(p *api.PodSpec) { p.Container.PreStop = []api.Hook{{Command: []string{"a\x00"}}} },
	} {
		p := api.PodSpec{Name: "web", Group: "g"}
		change(&p)
		if err := plainEngine(t).CheckPods(t.Context(), []api.PodSpec{p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("before all: %v, want %q", err, want)
		}
		if err := checkSpec(p, api.Image{Layers: []string{"/x"}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("at the creation: %v, want %q", err, want)
		}
	}
}
