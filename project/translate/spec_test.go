package translate

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/api"
	"podc.example/podc/dockerapi"
	"podc.example/podc/engine/oci"
	"podc.example/podc/project"
)

// What becomes of a field of a container's spec: a change of it makes another hash, is named among the reasons of a plan, is shown by
// inspect, and is in the configuration that the runtime gets.
const (
	hashed    = "hashed"
	named     = "named"
	shown     = "shown"
	generated = "generated"
)

// unless says of a field what does not become of it, and why.
var unless = map[string]map[string]string{
	"Image":        {generated: "it is a name for people: the layers are mounted"},
	"ImageID":      {named: "the plan compares images itself", generated: "the layers are mounted"},
	"StdinOpen":    {generated: "conmon holds it open"},
	"StdinOnce":    {named: "compose files have no key for it", generated: "conmon closes it"},
	"Files":        {shown: "docker shows neither configs nor secrets"},
	"VolumesFrom":  {generated: "they have become mounts when the pod was made"},
	"CgroupParent": {generated: "it is part of the path of the cgroup"},
	"Runtime":      {generated: "it is which runtime"},
	"Expose":       {generated: "it is for people"},
	"PostStart":    {shown: "docker knows no hooks", generated: "they are run by exec"},
	"PreStop":      {shown: "docker knows no hooks", generated: "they are run by exec"},
	"StopSignal":   {generated: "podc sends it"},
	"StopGrace":    {generated: "podc waits for it"},
	"Restart":      {generated: "the monitor applies it"},
	"Health":       {generated: "the monitor runs it"},
	"Log":          {generated: "conmon writes it"},
}

// samples are values of fields for which not any will do.
var samples = map[string]any{
	"User":        "1",
	"CapAdd":      []string{"NET_ADMIN"},
	"CapDrop":     []string{"CHOWN"},
	"SecurityOpt": []string{"no-new-privileges"},
	"DeviceRules": []string{"c 1:3 rwm"},
	"GroupAdd":    []string{"5"},
	"Ulimits":     map[string]api.Ulimit{"nofile": {Soft: 5, Hard: 5}},
	"CgroupNS":    "private",
	"StopSignal":  "SIGINT",
	"Expose":      []string{"80/tcp"},
	"Env":         []string{"A=1"},
	"Health":      &api.HealthCheck{Test: []string{"CMD", "true"}, Interval: time.Minute},
	"Mounts":      []api.Mount{{Type: api.MountBind, Source: "/x", Target: "/y"}},
	"Files":       []api.File{{Target: "/run/secrets/x", Source: "/x"}},
	"Devices":     []api.Device{{Host: "/dev/x", Container: "/dev/x"}},
	"Restart":     api.RestartPolicy{Name: "always"},
	"Log":         api.LogConfig{Driver: "local", MaxSize: 1 << 20},
}

// TestEveryFieldOfASpecIsAccountedFor: one that is added has to be hashed, named, shown and generated, or unless says why not.
func TestEveryFieldOfASpecIsAccountedFor(t *testing.T) {
	before := fates(api.ContainerSpec{Command: []string{"/x"}})
	names := []string{}
	for _, part := range []string{"", "Resources"} { // what a container may use is as good as fields of its own
		of := func(c *api.ContainerSpec) reflect.Value {
			if part == "" {
				return reflect.ValueOf(c).Elem()
			}
			return reflect.ValueOf(c).Elem().FieldByName(part)
		}
		for i := range of(new(api.ContainerSpec)).NumField() {
			c := api.ContainerSpec{Command: []string{"/x"}}
			name, value := of(&c).Type().Field(i).Name, of(&c).Field(i)
			names = append(names, name)
			if s, ok := samples[name]; ok {
				value.Set(reflect.ValueOf(s))
			} else {
				fill(value)
			}
			account(t, name, before, fates(c))
		}
	}
	for name := range unless {
		if !slices.Contains(names, name) {
			t.Errorf("there is no field %s", name)
		}
	}
}

func account(t *testing.T, name string, before, after map[string]string) {
	t.Helper()
	for fate, was := range before {
		why, excused := unless[name][fate]
		switch changed := after[fate] != was; {
		case !changed && !excused:
			t.Errorf("a change of %s is not %s, and nothing says why", name, fate)
		case changed && excused:
			t.Errorf("a change of %s is %s, though %q", name, fate, why)
		}
	}
}

// fates are what becomes of a spec, as text.
func fates(c api.ContainerSpec) map[string]string {
	pod := api.PodSpec{Name: "web", Group: "g", Container: c}
	s := project.Service{Pod: pod}
	digests := map[string]string{}
	for _, f := range c.Files {
		digests["secrets."+f.Target] = "content"
	}
	digestKey("key").fingerprint(&s, nil, digests)
	entrypoint, command := api.EffectiveCommand(c, api.ImageConfig{})
	seen := api.Pod{Spec: pod, Args: slices.Concat(entrypoint, command), Exposed: api.EffectivePorts(c, api.ImageConfig{})}
	inspect := dockerapi.InspectContainer(dockerapi.ContainerFacts{Pod: seen, VolumePath: func(string) string { return "" }})
	config, err := configure(c).Generate()
	return map[string]string{hashed: s.Hash, named: text(s.Facets), shown: text(inspect), generated: text(config) + fmt.Sprint(err)}
}

// configure collects what the configuration follows from, as the engine does of a container that runs.
func configure(c api.ContainerSpec) oci.Container {
	all := oci.Container{Spec: c, Host: oci.Host{
		Caps: []string{"CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_RESOURCE"}, Rlimits: map[string]uint64{"RLIMIT_NOFILE": 20000}, Stack: 8 << 20,
	}}
	if c.User != "" {
		all.User.UID = 1
	}
	if len(c.GroupAdd) > 0 {
		all.User.Groups = []int{5}
	}
	for _, m := range c.Mounts {
		all.Mounts = append(all.Mounts, oci.UserMount(m, m.Source, true))
	}
	for _, f := range c.Files {
		all.Files = append(all.Files, specs.Mount{Destination: f.Target, Type: "bind"})
	}
	if io := c.Resources.BlockIO; io != nil {
		all.BlockIO = &specs.LinuxBlockIO{Weight: &io.Weight}
	}
	for _, d := range c.Devices {
		all.Devices = append(all.Devices, specs.LinuxDevice{Path: d.Container, Type: "c"})
	}
	return all
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
