package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func write(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func happened(w *Watch) bool {
	select {
	case <-w.Events:
		return true
	case <-time.After(5 * time.Second):
		return false
	}
}

func TestAllWhoWatchAFolderAreTold(t *testing.T) {
	var w Watcher
	dir, other := t.TempDir(), t.TempDir()
	var watches []*Watch
	for _, d := range []string{dir, dir, other} {
		s, err := w.Dir(d)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		watches = append(watches, s)
	}
	write(t, dir, "a")
	if !happened(watches[0]) || !happened(watches[1]) {
		t.Error("a file was written, and somebody is not told")
	}
	watches[0].Close()
	write(t, dir, "b")
	if !happened(watches[1]) {
		t.Error("the end of one subscription ends another")
	}
	write(t, other, "c")
	if !happened(watches[2]) {
		t.Error("the watch of one folder ends that of another")
	}
	if len(watches[0].events) > 0 {
		t.Error("who does not listen any more is told")
	}
}

func TestTheEndOfAFolderIsTold(t *testing.T) {
	var w Watcher
	dir := filepath.Join(t.TempDir(), "dir")
	if _, err := w.Dir(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := w.Dir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if !happened(s) {
		t.Error("it is gone, and nobody is told")
	}
	s.Close()
	new(Watch).Close() // which has nothing to end
}
