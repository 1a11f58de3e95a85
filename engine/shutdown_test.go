package engine

import (
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
)

// A command that is at work when everything is being stopped starts nothing more; one that is given later may.
func TestAStartAtTheEndOfTheMachine(t *testing.T) {
	root := t.TempDir()
	open := func() *Engine {
		e, err := Open(Config{Root: filepath.Join(root, "data"), RunRoot: filepath.Join(root, "run"), Helpers: root})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	before := open()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(before.Shutdown().allowStart())
	must(before.Shutdown().NoteTermination())
	if !before.Shutdown().Noted() {
		t.Error("a SIGTERM keeps no policy from a restart")
	}
	must(before.Shutdown().Note())
	must(before.Shutdown().NoteTermination()) // which must not shorten it
	if n, ok := before.Shutdown().last(); !ok || n.Until != 0 {
		t.Errorf("noted %+v %t", n, ok)
	}
	if err := before.Shutdown().allowStart(); !errdefs.IsFailedPrecondition(err) {
		t.Errorf("a start that is under way: %v", err)
	}
	must(open().Shutdown().allowStart())
	must(before.Shutdown().allowStart())
	if before.Shutdown().Noted() {
		t.Error("a start that was asked for leaves restarts forbidden")
	}
}
