package controltest

import (
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

var volumes = []behaviour{
	{"a volume is made, found and removed", stored},
	{"only volumes that nobody uses are pruned", volumesPruned},
}

// volume makes a volume.
func (s *suite) volume(v api.Volume) string {
	s.Helper()
	return must(s.Volumes.Create(s.ctx, v))(s).Name
}

// using is a service with a volume.
func (s *suite) using(volume string) {
	s.Helper()
	a := s.sleeper("a")
	a.Pod.Container.Mounts = []api.Mount{{Type: api.MountVolume, Source: volume, Target: "/data"}}
	s.up(a)
}

func stored(s *suite) {
	s.volume(api.Volume{Name: "v", Labels: map[string]string{"a": "b"}})
	anonymous := s.volume(api.Volume{})
	if anonymous == "" {
		s.Error("an anonymous volume has no name")
	}
	s.using("v")
	equal(s, "name", must(s.Volumes.Inspect(s.ctx, "v"))(s).Name, "v")
	for filter, want := range map[string]string{"label=a=b": "v", "name=^v$": "v", "dangling=true": anonymous, "dangling=false": "v", "driver=none": ""} {
		key, value, _ := strings.Cut(filter, "=")
		var got []string
		for _, v := range must(s.Volumes.List(s.ctx, control.Filters{key: {value}}))(s) {
			got = append(got, v.Name)
		}
		equal(s, filter, strings.Join(got, " "), want)
	}
	s.is(s.Volumes.Remove(s.ctx, "v"), errdefs.IsFailedPrecondition)
	s.ok(s.Containers.Remove(s.ctx, nameOf("a"), api.RemoveOptions{Force: true, Volumes: true}))
	s.ok(s.Volumes.Remove(s.ctx, "v"))
	s.is(s.Volumes.Remove(s.ctx, "v"), errdefs.IsNotFound)
}

func volumesPruned(s *suite) {
	s.volume(api.Volume{Name: "used"})
	s.volume(api.Volume{Name: "free"})
	anonymous := s.volume(api.Volume{})
	s.using("used")
	equal(s, "removed", strings.Join(must(s.Volumes.Prune(s.ctx, control.Filters{"label": {"a"}}, true))(s).Names, " "), "")
	equal(s, "removed", strings.Join(must(s.Volumes.Prune(s.ctx, nil, false))(s).Names, " "), anonymous)
	equal(s, "removed", strings.Join(must(s.Volumes.Prune(s.ctx, nil, true))(s).Names, " "), "free")
	equal(s, "name", must(s.Volumes.Inspect(s.ctx, "used"))(s).Name, "used")
}
