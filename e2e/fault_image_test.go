package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"podc.example/podc/internal/testimage"
)

// A load that is killed at any moment leaves a store that works, and the next one completes it.
func TestAKilledLoadIsCompletedByTheNext(t *testing.T) {
	s := newStack(t, web)
	archive, err := testimage.Build(t.Context(), "busybox")
	if err != nil {
		t.Fatal(err)
	}
	kills := 0
	for hit, after := true, 20*time.Millisecond; hit; after += 25 * time.Millisecond {
		hit = s.killedAfter(after, func(c *exec.Cmd) { s.killAll(c) }, "load", "-q", "-i", archive)
		if hit {
			kills++
		}
		s.podc("image", "ls")
		s.podc("load", "-q", "-i", archive)
		if out := s.podc("image", "ls"); strings.Count(out, "podc-busybox") != 1 {
			t.Errorf("killed after %s, the next load left:\n%s", after, out)
		}
		if out, err := s.try("system", "check"); err != nil {
			t.Errorf("killed after %s: %v\n%s", after, err, out)
		}
		s.podc("image", "rm", "localhost/podc-busybox")
	}
	if left, _ := os.ReadDir(filepath.Join(s.root, "storage", "tmp")); len(left) > 0 {
		t.Errorf("temporary files stay: %v", left)
	}
	t.Logf("%d kills hit a running podc", kills)
	s.podc("load", "-q", "-i", archive)
	s.podc("up", "-d")
}
