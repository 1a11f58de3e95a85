package local_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"podc.example/podc/control"
	"podc.example/podc/control/controltest"
	"podc.example/podc/control/local"
	"podc.example/podc/internal/podcimage"
	"podc.example/podc/internal/testimage"
)

func TestSuite(t *testing.T) {
	podc, _ := open(t)
	controltest.Run(t, controltest.Podc{Control: podc, Image: testimage.Ref(testimage.Busybox), Archive: archiveOf(t, testimage.Probe)})
}

// open returns podc on this machine, with roots and helpers of the test's own, and busybox in its store.
func open(t *testing.T) (*control.Control, local.Config) {
	t.Helper()
	if os.Geteuid() != 0 || testing.Short() {
		t.Skip("needs root and the real machine")
	}
	for _, program := range []string{"conmon", "crun"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	cfg := local.Config{
		Root: filepath.Join(dir, "root"), RunRoot: filepath.Join(dir, "run"), Helpers: filepath.Join(dir, "bin"), Dir: dir,
		Env: map[string]string{"PATH": os.Getenv("PATH"), "NETCONFPATH": filepath.Join(dir, "no-networks")},
	}
	build(t, cfg.Helpers, "podc-monitor", "CGO_ENABLED=0")
	build(t, cfg.Helpers, podcimage.Program, "CGO_ENABLED=1")
	podc, err := local.Open(cfg)
	if err == nil {
		_, err = podc.Images.Load(t.Context(), control.Archive{File: archiveOf(t, testimage.Busybox)}, control.ImageWatch{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return podc, cfg
}

func archiveOf(t *testing.T, image string) string {
	t.Helper()
	path, err := testimage.Build(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(t *testing.T, into, program, env string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", filepath.Join(into, program), "podc.example/podc/cmd/"+program)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
