package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What somebody has mounted in the folders of a pod or a volume outlives these.
func TestRemovalLeavesWhatOthersMounted(t *testing.T) {
	e := realEngine(t)
	s := shell("p1", "true")
	s.Container.Mounts = []Mount{{Type: MountVolume, Target: "/v"}}
	if err := e.CreatePod(t.Context(), s, busybox(t)); err != nil {
		t.Fatal(err)
	}
	p, err := e.read("p1")
	if err != nil {
		t.Fatal(err)
	}
	theirs := t.TempDir()
	canary := filepath.Join(theirs, "canary")
	if err := os.WriteFile(canary, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{e.paths.diff("p1"), e.volumes.Path(p.Volumes["/v"]), e.paths.runPod("p1")} {
		at := filepath.Join(dir, "mounted")
		if err := errors.Join(os.Mkdir(at, 0o755), unix.Mount(theirs, at, "", unix.MS_BIND, "")); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.RemovePod(t.Context(), "p1", RemoveOptions{Volumes: true}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(canary); err != nil {
		t.Error(err)
	}
	if err := e.RemovePod(t.Context(), "p1", RemoveOptions{}); err != nil {
		t.Error(err)
	}
}
