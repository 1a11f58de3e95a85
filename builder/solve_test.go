package builder

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/buildkit/client"

	"podc.example/podc/api"
)

func TestSolveOf(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("FROM scratch\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile")
	write("sub/other")
	for name, c := range map[string]struct {
		build  api.Build
		attrs  map[string]string
		locals string // the names of folders that are read
	}{
		"least": {api.Build{Context: dir}, map[string]string{"filename": "Dockerfile"}, "context dockerfile"},
		"all": {api.Build{
			Context: dir, Dockerfile: filepath.Join(dir, "sub/other"), Target: "t", Args: map[string]string{"A": "b"}, Labels: map[string]string{"l": "v"},
			Platforms: []string{"linux/amd64"}, Pull: true, NoCacheFilter: []string{"a", "b"}, Network: "none", ExtraHosts: []string{"h=192.0.2.1"}, ShmSize: 5, Memory: 6,
			Ulimits: map[string]api.Ulimit{"nofile": {Soft: 1, Hard: 2}, "core": {Soft: 3, Hard: 3}}, Contexts: map[string]string{"x": dir, "y": "docker-image://z"},
		}, map[string]string{
			"filename": "other", "target": "t", "build-arg:A": "b", "label:l": "v", "platform": "linux/amd64", "image-resolve-mode": "pull", "no-cache": "a,b",
			"force-network-mode": "none", "add-hosts": "h=192.0.2.1", "shm-size": "5", "memory": "6", "ulimit": "core=3:3,nofile=1:2",
			"context:x": "local:x", "context:y": "docker-image://z",
		}, "context dockerfile x"},
		"inline":   {api.Build{Context: dir, Inline: "FROM scratch"}, map[string]string{"filename": "Dockerfile"}, "context dockerfile"},
		"remote":   {api.Build{Context: "https://example.com/x.git", Dockerfile: "D"}, map[string]string{"context": "https://example.com/x.git", "filename": "D"}, ""},
		"no cache": {api.Build{Context: dir, NoCache: true}, map[string]string{"filename": "Dockerfile", "no-cache": ""}, "context dockerfile"},
	} {
		opt, err := solveOf(c.build, t.TempDir())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		delete(opt.FrontendAttrs, "cmdline")
		if !maps.Equal(opt.FrontendAttrs, c.attrs) {
			t.Errorf("%s: got %q", name, opt.FrontendAttrs)
		}
		for _, local := range strings.Fields(c.locals) {
			if opt.LocalMounts[local] == nil {
				t.Errorf("%s: %s is not read", name, local)
			}
		}
		if len(opt.LocalMounts) != len(strings.Fields(c.locals)) {
			t.Errorf("%s: reads %d folders", name, len(opt.LocalMounts))
		}
	}
}

func TestSolveOfRefuses(t *testing.T) {
	dir := t.TempDir()
	inline := func(b api.Build) api.Build { b.Context, b.Inline = dir, "FROM scratch"; return b }
	for name, c := range map[string]struct {
		build api.Build
		is    func(error) bool
	}{
		"no Dockerfile":      {api.Build{Context: dir}, errdefs.IsNotFound},
		"no folder":          {api.Build{Context: filepath.Join(dir, "gone"), Inline: "FROM scratch"}, errdefs.IsNotFound},
		"no named folder":    {inline(api.Build{Contexts: map[string]string{"x": filepath.Join(dir, "gone")}}), errdefs.IsInvalidArgument},
		"syntax":             {api.Build{Context: dir, Inline: "# syntax=example.com/mine:1\nFROM scratch"}, errdefs.IsNotImplemented},
		"platform":           {inline(api.Build{Platforms: []string{"linux/s390x"}}), errdefs.IsNotImplemented},
		"platforms":          {inline(api.Build{Platforms: []string{"linux/amd64", "linux/arm64"}}), errdefs.IsNotImplemented},
		"no platform":        {inline(api.Build{Platforms: []string{"linux/"}}), errdefs.IsInvalidArgument},
		"syntax argument":    {inline(api.Build{Args: map[string]string{"BUILDKIT_SYNTAX": "x"}}), errdefs.IsNotImplemented},
		"network":            {inline(api.Build{Network: "mine"}), errdefs.IsNotImplemented},
		"cache type":         {inline(api.Build{CacheFrom: []string{"type=s3,bucket=x"}}), errdefs.IsNotImplemented},
		"cache notation":     {inline(api.Build{CacheTo: []string{"type=local,dest"}}), errdefs.IsInvalidArgument},
		"agent":              {inline(api.Build{SSH: map[string]string{"default": filepath.Join(dir, "gone")}}), errdefs.IsInvalidArgument},
		"a folder as a file": {api.Build{Context: dir, Dockerfile: dir}, errdefs.IsInvalidArgument},
	} {
		if _, err := solveOf(c.build, t.TempDir()); err == nil || !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCacheEntry(f *testing.F) {
	for _, s := range []string{"app:1", "type=local,dest=/x", `type=registry,"ref=a,b"`, "type=", "=", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := cacheEntry(s)
		if err == nil && e.Type != "registry" && e.Type != "local" && e.Type != "inline" {
			t.Errorf("%q is of the type %q", s, e.Type)
		}
	})
}

// A step that fails is told by its name, and with what it wrote last; those that are given up for it are not.
func TestExplain(t *testing.T) {
	var heard []api.Progress
	tell := teller{id: "x", tell: func(e api.Progress) { heard = append(heard, e) }}
	began := time.Now()
	tell.hear(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "a", Name: "[1/2] RUN a", Started: &began}, {Digest: "b", Name: "[2/2] RUN b", Started: &began}}})
	tell.hear(&client.SolveStatus{Logs: []*client.VertexLog{{Vertex: "a", Data: []byte("one\ntwo\n")}}})
	tell.hear(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "a", Name: "[1/2] RUN a", Started: &began, Completed: &began, Error: "exit code: 1"}}})
	tell.hear(&client.SolveStatus{Vertexes: []*client.Vertex{{Digest: "b", Name: "[2/2] RUN b", Started: &began, Completed: &began, Error: "context canceled"}}})
	err := tell.explain(t.Context(), os.ErrInvalid)
	if got := err.Error(); got != "[1/2] RUN a: invalid argument\none\ntwo" {
		t.Errorf("%q", got)
	}
	if len(heard) != 5 || heard[0].Step != 1 || heard[1].Step != 2 || heard[2].Log != "one\ntwo\n" || heard[3].Status != "Error" {
		t.Errorf("%+v", heard)
	}
}
