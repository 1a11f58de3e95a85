package oci

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestLimitsThatAreLacked(t *testing.T) {
	none := []string{limitSwappiness, limitOOM}
	for _, tt := range []struct {
		what  string
		v2    bool
		files map[string]string
		want  []string
	}{
		{"a fresh boot, where nobody has enabled io", true, map[string]string{
			"cgroup.controllers": "cpuset cpu io memory pids", "cgroup.subtree_control": "cpu memory pids", "system.slice/memory.swap.max": "max"}, none},
		{"nothing is enabled yet", true, map[string]string{"cgroup.controllers": "cpuset cpu io memory pids", "cgroup.subtree_control": ""}, none},
		{"all is enabled", true, map[string]string{"cgroup.controllers": "io memory", "cgroup.subtree_control": "io memory",
			"a/memory.swap.max": "", "a/io.weight": "", "a/io.max": ""}, none},
		{"no weights are enabled, and no swap is counted", true, map[string]string{"cgroup.controllers": "io memory", "cgroup.subtree_control": "io memory", "a/io.max": ""},
			[]string{limitSwap, limitSwappiness, limitOOM, LimitWeight, LimitWeightDevice}},
		{"no io controller", true, map[string]string{"cgroup.controllers": "memory"}, []string{limitSwappiness, limitOOM, LimitWeight, LimitWeightDevice, LimitRate}},
		{"v1", false, map[string]string{"memory/memory.swappiness": "", "memory/memory.oom_control": "", "blkio/blkio.bfq.weight": "", "blkio/blkio.throttle.read_bps_device": ""},
			[]string{limitSwap, LimitWeightDevice}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range tt.files {
				path := filepath.Join(dir, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content+"\n"), 0o644)); err != nil {
					t.Fatal(err)
				}
			}
			if got := LackedLimits(dir, tt.v2); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
