package cgroups

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// On a busy machine what helped the last pod ends late: its cgroup goes all the same.
func TestCgroupsGoAfterALateHelper(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	t.Parallel()
	r := Root{ID: fmt.Sprintf("%08x", os.Getpid()), Active: filepath.Join(t.TempDir(), "active.lock"), Host: This()}
	late := exec.Command("sleep", "3")
	if err := late.Start(); err != nil {
		t.Fatal(err)
	}
	go late.Wait()
	var dirs []string
	for _, m := range mounts() {
		dir := filepath.Join(m, r.Parent())
		if err := os.MkdirAll(filepath.Join(dir, "helpers"), 0o755); err != nil {
			t.Fatal(err)
		}
		copyCpuset(dir, filepath.Join(dir, "helpers"))
		dirs = append(dirs, dir)
		if err := os.WriteFile(filepath.Join(dir, "helpers", "cgroup.procs"), []byte(strconv.Itoa(late.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.RemoveIdle(t.Context(), true); err != nil {
		t.Error(err)
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is left", dir)
			removeTree(dir, true)
		}
	}
}
