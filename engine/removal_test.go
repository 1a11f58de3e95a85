package engine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
)

// Only what bears the mark of podc's own is cleared away.
func TestRepairLeavesFilesOfOthers(t *testing.T) {
	e := realEngine(t)
	trash := filepath.Join(e.paths.trash(), api.NewID())
	theirs := []string{filepath.Join(e.paths.trash(), "letters", "file"), filepath.Join(e.paths.pods(), "whales", "file")}
	for _, path := range append(theirs, filepath.Join(trash, "file")) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Checker().Repair(t.Context()); err != nil {
		t.Error(err)
	}
	if err := e.Tidy(t.Context(), "t"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(trash); err == nil {
		t.Error("what a removal left is still there")
	}
	for _, path := range theirs {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if found, err := e.Checker().Check(t.Context()); err != nil || len(found) != 1 {
		t.Errorf("check: %v, %v", found, err)
	}
	if err := os.RemoveAll(filepath.Dir(theirs[1])); err != nil {
		t.Error(err)
	}
}

// What somebody has mounted in the folders of a pod or a volume outlives these.
func TestRemovalLeavesWhatOthersMounted(t *testing.T) {
	e := realEngine(t)
	s := shell("p1", "true")
	s.Container.Mounts = []api.Mount{{Type: api.MountVolume, Target: "/v"}}
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
	if err := e.RemovePod(t.Context(), "p1", api.RemoveOptions{Volumes: true}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(canary); err != nil {
		t.Error(err)
	}
	if err := e.RemovePod(t.Context(), "p1", api.RemoveOptions{}); err != nil {
		t.Error(err)
	}
}

// conmon may be dismissed while it writes how the container ended.
func TestAnUnfinishedExitGoesWithItsPod(t *testing.T) {
	e := realEngine(t)
	s := shell("p1", "sleep 1000")
	mustRun(t, e, s, busybox(t))
	p, err := e.read("p1")
	if err != nil {
		t.Fatal(err)
	}
	unfinished := e.paths.exit(p.ID) + ".X1Y2Z3"
	if err := os.WriteFile(unfinished, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := e.RemovePod(t.Context(), "p1", api.RemoveOptions{Force: true, Volumes: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(unfinished); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", unfinished, err)
	}
}
