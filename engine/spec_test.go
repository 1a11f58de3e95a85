package engine

import (
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
	"golang.org/x/tools/txtar"
	"podc.example/podc/api"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Each archive holds a container as JSON and the OCI configuration that must follow from it. The syscall list of the seccomp
// profile is left out: it is another project's, and long.
func TestSpecGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/spec/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var c container
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
				t.Errorf("config.json differs (go test ./engine -run Golden -update, then look at the diff); got:\n%s", got)
			}
		})
	}
}

func renderSpec(t *testing.T, c container) string {
	t.Helper()
	s, err := c.spec()
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
	valid := func() container {
		return container{Image: api.ImageConfig{Cmd: []string{"/bin/true"}}, Host: host{Caps: []string{"CAP_CHOWN"}, Rlimits: map[string]uint64{"RLIMIT_NOFILE": 20000}}}
	}
	for _, tt := range []struct {
		name   string
		change func(*container)
		want   string
	}{
		{"no command", func(c *container) { c.Image.Cmd = nil }, "no command to run"},
		{"unknown capability", func(c *container) { c.Spec.CapAdd = []string{"FLY"} }, `cannot add capability "FLY"`},
		{"limit above podc's own", func(c *container) { c.Spec.Ulimits = map[string]api.Ulimit{"nofile": {Soft: 1, Hard: 30000}} }, "the limit of podc itself is 20000"},
		{"unknown limit", func(c *container) { c.Spec.Ulimits = map[string]api.Ulimit{"wishes": {Soft: 3, Hard: 3}} }, `ulimit "wishes" is not known`},
		{"unknown security option", func(c *container) { c.Spec.SecurityOpt = []string{"seccmp=unconfined"} }, `security option "seccmp=unconfined"`},
		{"swappiness on v2", func(c *container) {
			c.Host.CgroupV2, c.Host.Lacks, c.Spec.Resources.Swappiness = true, []string{limitSwappiness}, ptr(int64(1))
		}, "mem_swappiness cannot be set: cgroups v2"},
		{"swap without accounting", func(c *container) {
			c.Host.Lacks, c.Spec.Resources.MemorySwap = []string{limitSwap}, 1<<30
		}, "memswap_limit cannot be set: the kernel"},
		{"bad device rule", func(c *container) { c.Spec.DeviceRules = []string{"c 1 rwm"} }, `device rule "c 1 rwm" is not valid`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.change(&c)
			_, err := c.spec()
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

func TestLookupUser(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
	write("group", "app:x:1001:\nextra:x:2000:app\nmore:x:3000:\n")
	for _, tt := range []struct {
		spec   string
		groups []string
		want   identity
	}{
		{"", nil, identity{Groups: []int{0}, Home: "/root"}},
		{"app", nil, identity{UID: 1000, GID: 1001, Groups: []int{1001, 2000}, Home: "/home/app"}},
		{"app:more", []string{"extra", "5"}, identity{UID: 1000, GID: 3000, Groups: []int{5, 2000, 3000}, Home: "/home/app"}},
		{"4711", nil, identity{UID: 4711, Groups: []int{0}, Home: "/"}},
	} {
		got, err := lookupUser(root, tt.spec, tt.groups)
		if err != nil || got.UID != tt.want.UID || got.GID != tt.want.GID || got.Home != tt.want.Home || !slices.Equal(got.Groups, tt.want.Groups) {
			t.Errorf("lookupUser(%q, %q) = %+v, %v; want %+v", tt.spec, tt.groups, got, err, tt.want)
		}
	}
	for _, spec := range []string{"nobody-here", "-1", "4294967296", "app:none"} {
		if _, err := lookupUser(root, spec, nil); !errdefs.IsInvalidArgument(err) {
			t.Errorf("lookupUser(%q) = %v, want an invalid argument", spec, err)
		}
	}
}

// Nothing in an image may make podc read outside of it or block.
func TestAccountFilesAreNotTrusted(t *testing.T) {
	root := t.TempDir()
	etc := filepath.Join(root, "etc")
	if err := errors.Join(os.MkdirAll(etc, 0o755), os.Symlink("/etc/passwd", filepath.Join(etc, "passwd"))); err != nil {
		t.Fatal(err)
	}
	if id, err := lookupUser(root, "root", nil); err == nil {
		t.Errorf("a link out of the image was followed: %+v", id)
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
		err := checkArguments(tt.args, tt.env, tt.stack)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.HasPrefix(err.Error(), tt.want) || !errdefs.IsInvalidArgument(err)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// What a runtime says has a class from there on.
func TestClassesOfWhatRuntimesSay(t *testing.T) {
	for said, want := range map[string]error{
		"executable file `nope` not found in $PATH: No such file or directory": errdefs.ErrNotFound,
		`exec: "/etc/passwd": permission denied`:                               errdefs.ErrPermissionDenied,
		"open executable: Permission denied":                                   errdefs.ErrPermissionDenied,
		`exec: "/etc": is a directory`:                                         errdefs.ErrPermissionDenied,
		"Failed to write /run/x: No space left on device":                      unix.ENOSPC,
	} {
		if err := runtimeFailed("/usr/bin/crun", said, nil); !errors.Is(err, want) {
			t.Errorf("%q is no %v", said, want)
		}
	}
}

func TestReasonsAreSaidOnce(t *testing.T) {
	err := runtimeFailed("/usr/bin/crun", "executable file `nope` not found in $PATH: No such file or directory", nil)
	if want := `crun: exec: "nope": executable file not found in $PATH`; err.Error() != want || !errdefs.IsNotFound(err) {
		t.Errorf("%q, want %q", err, want)
	}
	root := t.TempDir()
	if _, err := lookupUser(root, "nobody2", nil); err == nil || err.Error() != `cannot find user "nobody2" in the image: no matching entries in passwd file` {
		t.Error(err)
	}
}
