package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

func TestAPodSaysWhatItRuns(t *testing.T) {
	p := &pod{record: record{Image: api.Image{Config: api.ImageConfig{Entrypoint: []string{"/app"}, Cmd: []string{"serve"}, ExposedPorts: []string{"80/tcp"}}}}}
	if v := p.view(); !slices.Equal(v.Args, []string{"/app", "serve"}) || !slices.Equal(v.Exposed, []string{"80/tcp"}) {
		t.Errorf("runs %q, exposes %q", v.Args, v.Exposed)
	}
	p.Spec.Container.Command = []string{"migrate"}
	if v := p.view(); !slices.Equal(v.Args, []string{"/app", "migrate"}) {
		t.Errorf("runs %q", v.Args)
	}
}

// From its last breath to the record of its end a container is seen running, or ended with its code: never ended without one,
// unless nobody is left who could tell it.
func TestAnEndIsSeenWithItsCodeAtEveryMoment(t *testing.T) {
	e, err := Open(Config{Root: t.TempDir(), RunRoot: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Repeat("ab", 32)
	write := func(path string, v any) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := disk.WriteJSON(path, v, disk.Volatile); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(when string, status api.Status, code int, known bool) {
		t.Helper()
		p, err := e.Pod("a")
		if err != nil || p.Status != status || p.ExitCode != code || p.ExitKnown != known {
			t.Errorf("%s it is %s, exit code %d (known: %t), %v", when, p.Status, p.ExitCode, p.ExitKnown, err)
		}
	}
	started := time.Now().Add(-time.Minute)
	running := state{Boot: kernel.BootID(), ID: id, Status: api.StatusRunning, Started: started, Init: kernel.Find(os.Getpid()), Conmon: kernel.Find(os.Getpid())}
	write(e.paths.spec("a"), record{ID: id, Spec: api.PodSpec{Name: "a"}})
	write(e.paths.state("a"), running)
	expect("while it runs", api.StatusRunning, 0, false)

	ended := running
	ended.Init = kernel.Process{Pid: os.Getpid(), Start: 1} // the pid is another process by now
	write(e.paths.state("a"), ended)
	expect("until conmon has noted its end", api.StatusRunning, 0, false)

	write(e.paths.exit(id), 7)
	expect("once conmon has noted its end", api.StatusExited, 7, true)

	write(e.paths.last("a"), lastRun{Started: started, Finished: time.Now(), ExitCode: 7, ExitKnown: true})
	expect("while its end is put on record", api.StatusExited, 7, true)
	settled := ended
	settled.Status, settled.Settled = api.StatusExited, true
	write(e.paths.state("a"), settled)
	expect("when its end is on record", api.StatusExited, 7, true)
	os.Remove(e.paths.exit(id))
	expect("when it is settled", api.StatusExited, 7, true)

	ended.Conmon = kernel.Process{}
	write(e.paths.state("a"), ended)
	expect("when conmon died before it noted anything", api.StatusExited, 255, false)
}

func TestNobodyIsAttachedToNothing(t *testing.T) {
	if s, err := plainEngine(t).Attach(t.Context(), "nothing"); !isMissing(err) || s != nil {
		t.Errorf("%v %v", s, err)
	}
}
