package engine

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/engine/logfile"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// recordedPod is the engine of a pod "web" that only has a record and the folder of a log.
func recordedPod(t *testing.T, log api.LogConfig) *Engine {
	t.Helper()
	dir := t.TempDir()
	e, err := Open(Config{Root: dir + "/data", RunRoot: dir + "/run"})
	if err != nil {
		t.Fatal(err)
	}
	p := &pod{e: e, record: record{ID: api.NewID(), Created: time.Now(), Spec: api.PodSpec{Name: "web", Group: "g", Container: api.ContainerSpec{Log: log}}}}
	p.state = state{Status: api.StatusRunning, Started: time.Now(), Init: kernel.Find(os.Getpid())}
	if err := errors.Join(os.MkdirAll(e.paths.bundle("web"), 0o700), os.MkdirAll(e.paths.runPod("web"), 0o700), p.saveRecord(), p.save()); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNoLogIsAnError(t *testing.T) {
	e := recordedPod(t, api.LogConfig{Driver: "none"})
	err := e.Logs(t.Context(), "web", logfile.Options{}, func(api.LogLine) error { return nil })
	if !errdefs.IsFailedPrecondition(err) {
		t.Errorf("got %v", err)
	}
	if err := e.Logs(t.Context(), "nobody", logfile.Options{}, nil); !errdefs.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

func TestDamagedStateDoesNotHideTheLog(t *testing.T) {
	e := recordedPod(t, api.LogConfig{})
	if err := os.WriteFile(e.paths.log("web"), []byte("2026-01-02T03:04:05.000000006+00:00 stdout F kept\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFile(e.paths.state("web"), []byte("{"), 0o600, disk.Volatile); err != nil {
		t.Fatal(err)
	}
	if got := e.lastLines("web", 5); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("read %q", got)
	}
}
