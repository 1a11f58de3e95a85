package oci

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/tools/txtar"

	"podc.example/podc/api"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Each archive holds a container as JSON and the OCI configuration that must follow from it. The syscall list of the seccomp
// profile is left out: it is another project's, and long.
func TestSpecGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var c Container
			if err := json.Unmarshal(a.Files[0].Data, &c); err != nil {
				t.Fatal(err)
			}
			got := renderSpec(t, c)
			if *update {
				a.Files = append(a.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) < 2 || string(a.Files[1].Data) != got {
				t.Errorf("config.json differs (go test ./engine/oci -run Golden -update, then look at the diff); got:\n%s", got)
			}
		})
	}
}

func renderSpec(t *testing.T, c Container) string {
	t.Helper()
	s, err := c.Generate()
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	if s.Linux.Seccomp != nil {
		s.Linux.Seccomp.Syscalls = nil
		s.Linux.Seccomp.Architectures = nil
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func TestSpecRefuses(t *testing.T) {
	valid := func() Container {
		return Container{Image: api.ImageConfig{Cmd: []string{"/bin/true"}}, Host: Host{Caps: []string{"CAP_CHOWN"}, Rlimits: map[string]uint64{"RLIMIT_NOFILE": 20000}}}
	}
	for _, tt := range []struct {
		name   string
		change func(*Container)
		want   string
	}{
		{"no command", func(c *Container) { c.Image.Cmd = nil }, "no command to run"},
		{"unknown capability", func(c *Container) { c.Spec.CapAdd = []string{"FLY"} }, `cannot add capability "FLY"`},
		{"limit above podc's own", func(c *Container) { c.Spec.Ulimits = map[string]api.Ulimit{"nofile": {Soft: 1, Hard: 30000}} }, "the limit of podc itself is 20000"},
		{"unknown limit", func(c *Container) { c.Spec.Ulimits = map[string]api.Ulimit{"wishes": {Soft: 3, Hard: 3}} }, `ulimit "wishes" is not known`},
		{"unknown security option", func(c *Container) { c.Spec.SecurityOpt = []string{"seccmp=unconfined"} }, `security option "seccmp=unconfined"`},
		{"swappiness on v2", func(c *Container) {
			c.Host.CgroupV2, c.Host.Lacks, c.Spec.Resources.Swappiness = true, []string{limitSwappiness}, new(int64(1))
		}, "swappiness cannot be set: cgroups v2"},
		{"swap without accounting", func(c *Container) {
			c.Host.Lacks, c.Spec.Resources.MemorySwap = []string{limitSwap}, 1<<30
		}, "a limit of memory and swap cannot be set: the kernel"},
		{"bad device rule", func(c *Container) { c.Spec.DeviceRules = []string{"c 1 rwm"} }, `device rule "c 1 rwm" is not valid`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.change(&c)
			_, err := c.Generate()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsPermissionDenied(err) && !errdefs.IsFailedPrecondition(err) {
				t.Errorf("class of %v", err)
			}
		})
	}
}

func TestMergeEnv(t *testing.T) {
	got := api.MergeEnv([]string{"A=1", "B=2"}, []string{"B=3", "C", "=x", "*", "D="}, []string{"A=4"})
	want := []string{"A=4", "B=3", "D="}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestArgumentsThatFit(t *testing.T) {
	long := strings.Repeat("x", 32*os.Getpagesize())
	for _, tt := range []struct {
		name      string
		args, env []string
		stack     uint64
		want      string
	}{
		{"all fits", []string{"sh", long[1:]}, []string{"A=" + long[3:]}, 8 << 20, ""},
		{"an argument", []string{"sh", long}, nil, 8 << 20, "an argument of the command is too long"},
		{"a variable", []string{"sh"}, []string{"A=1", "BIG=" + long}, 8 << 20, "the variable BIG is too long"},
		{"all of them", slices.Repeat([]string{long[1:]}, 20), nil, 8 << 20, "command and environment are too long"},
		{"with a larger stack", slices.Repeat([]string{long[1:]}, 20), nil, 64 << 20, ""},
		{"with no limit", slices.Repeat([]string{long[1:]}, 50), nil, math.MaxUint64, "command and environment are too long"},
	} {
		err := CheckArguments(tt.args, tt.env, tt.stack)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.want) || !errdefs.IsInvalidArgument(err)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}
