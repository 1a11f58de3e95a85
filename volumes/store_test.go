package volumes

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// Repair finds a folder without a record, and before it gets to it a command makes a volume of that name.
func TestAStrayThatBecameAVolumeIsKept(t *testing.T) {
	s := Open(t.TempDir())
	if err := os.MkdirAll(s.Path("v"), 0o755); err != nil {
		t.Fatal(err)
	}
	strays, err := s.Strays()
	if err != nil || len(strays) != 1 {
		t.Fatalf("strays: %v, %v", strays, err)
	}
	if _, err := s.Create(t.Context(), api.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveStray(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("v"); err != nil {
		t.Errorf("the new volume: %v", err)
	}
}

// A folder that podc did not make, or of which it has lost the record, holds data that somebody may miss.
func TestDataWithoutARecordIsKept(t *testing.T) {
	s := Open(t.TempDir())
	if _, err := s.Create(t.Context(), api.Volume{Name: "lost"}); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.Path("lost"), "data")
	theirs := filepath.Join(s.dir, "theirs", "file")
	err := errors.Join(os.WriteFile(data, nil, 0o600), os.Remove(s.record("lost")), os.Mkdir(filepath.Dir(theirs), 0o700), os.WriteFile(theirs, nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if strays, err := s.Strays(); err != nil || !maps.Equal(strays, map[string]bool{"lost": false, "theirs": false}) {
		t.Errorf("strays: %v, %v", strays, err)
	}
	for _, name := range []string{"lost", "theirs"} {
		if err := errors.Join(s.RemoveStray(t.Context(), name), s.Remove(t.Context(), name)); err != nil {
			t.Error(err)
		}
	}
	for _, path := range []string{data, theirs} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Create(t.Context(), api.Volume{Name: "lost"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(data); err != nil {
		t.Errorf("made anew, it has lost its data: %v", err)
	}
	// A removal that was cut short goes on.
	if err := os.Rename(s.record("lost"), s.removed("lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), api.Volume{Name: "lost"}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next of that name has what was to go: %v", err)
	}
	if err := os.Rename(s.record("lost"), s.removed("lost")); err != nil {
		t.Fatal(err)
	}
	if err := s.RemoveStray(t.Context(), "lost"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(s.Path("lost"))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a removal that was cut short has left its folder: %v", err)
	}
}

// A process died between the removal of a volume and that of its lock.
func TestALockOfNoVolumeIsAStray(t *testing.T) {
	s := Open(t.TempDir())
	l, err := s.lock(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	if strays, err := s.Strays(); err != nil || len(strays) > 0 {
		t.Errorf("while it is held: %v, %v", strays, err)
	}
	l.Unlock()
	strays, err := s.Strays()
	if err != nil || !maps.Equal(strays, map[string]bool{"v": true}) {
		t.Fatalf("strays: %v, %v", strays, err)
	}
	if err := s.RemoveStray(t.Context(), "v"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.locks()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of locks: %v", err)
	}
	if err := os.Mkdir(s.locks(), 0o700); err != nil {
		t.Fatal(err)
	}
	if strays, err := s.Strays(); err != nil || len(strays) > 0 {
		t.Errorf("of a folder of locks: %v, %v", strays, err)
	}
	if _, err := os.Stat(s.locks()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty folder of locks: %v", err)
	}
}

func TestADamagedRecordHarmsOneVolumeAndNoData(t *testing.T) {
	s := Open(t.TempDir())
	for _, name := range []string{"bad", "good"} {
		if _, err := s.Create(t.Context(), api.Volume{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(s.record("bad"), 10); err != nil {
		t.Fatal(err)
	}
	list, err := s.List()
	if _, good := list["good"]; err != nil || !good || len(list) != 1 {
		t.Errorf("list: %v, %v", list, err)
	}
	if _, err := s.Create(t.Context(), api.Volume{Name: "bad"}); !errors.Is(err, disk.ErrDamaged) {
		t.Errorf("creation over it: %v", err)
	}
	if d := s.Damaged(); d["bad"] == nil || len(d) != 1 {
		t.Errorf("damaged: %v", d)
	}
	if strays, err := s.Strays(); err != nil || len(strays) > 0 {
		t.Errorf("strays: %v, %v", strays, err)
	}
}

func TestASeedCutShortIsTakenUpAgain(t *testing.T) {
	s := Open(t.TempDir())
	if _, err := s.Create(t.Context(), api.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(filepath.Dir(s.Path("v")), ".seed", "half")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	source := t.TempDir()
	if err := os.WriteFile(filepath.Join(source, "f"), []byte("x"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := s.Seed(t.Context(), "v", source); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(s.Path("v"), "f")); err != nil || string(b) != "x" {
		t.Errorf("seeded: %q, %v", b, err)
	}
	if _, err := os.Stat(filepath.Join(s.Path("v"), "half")); err == nil {
		t.Error("half of the first try is in the volume")
	}
	os.Remove(filepath.Join(s.Path("v"), "f"))
	if err := s.Seed(t.Context(), "v", source); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.Path("v"), "f")); err == nil {
		t.Error("a volume was seeded twice")
	}
}

func TestAFillingCutShortGoesOn(t *testing.T) {
	s := Open(t.TempDir())
	if _, err := s.Create(t.Context(), api.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	source := t.TempDir()
	for path, text := range map[string]string{s.seed("v") + "/rest": "rest", s.Path("v") + "/moved": "moved", source + "/new": "new"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o750), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Seed(t.Context(), "v", source); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(s.Path("v"))
	if err != nil || len(entries) != 2 || entries[0].Name() != "moved" || entries[1].Name() != "rest" {
		t.Errorf("the volume has %v, %v", entries, err)
	}
	if v, err := s.Get("v"); err != nil || !v.Seeded {
		t.Errorf("the record says %+v, %v", v, err)
	}
}

// Whoever mounts a volume first need not be the one whose image has something for it, and may run by then.
func TestAVolumeIsFilledByTheFirstThatHasSomething(t *testing.T) {
	s := Open(t.TempDir())
	if _, err := s.Create(t.Context(), api.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	mounted, err := os.Open(s.Path("v"))
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()
	bare, other, full := t.TempDir(), t.TempDir(), t.TempDir()
	if err := errors.Join(os.Chmod(bare, 0o700), os.Chmod(other, 0o711), os.Chmod(full, 0o750), os.WriteFile(filepath.Join(full, "f"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		source string
		mode   os.FileMode
		files  int
	}{{bare, 0o700, 0}, {other, 0o700, 0}, {full, 0o750, 1}, {bare, 0o750, 1}} {
		if err := s.Seed(t.Context(), "v", step.source); err != nil {
			t.Fatal(err)
		}
		fi, err := mounted.Stat()
		entries, rerr := os.ReadDir(s.Path("v"))
		now, serr := os.Stat(s.Path("v"))
		if err := errors.Join(err, rerr, serr); err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != step.mode || len(entries) != step.files || !os.SameFile(fi, now) {
			t.Errorf("after %+v: mode %o, %v", step, fi.Mode().Perm(), entries)
		}
	}
}

func TestNamesDoNotLeaveTheStore(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "volume.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Open(filepath.Join(dir, "store", "volumes"))
	if _, err := s.Get("../.."); !errdefs.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if err := s.Remove(t.Context(), "../.."); !errdefs.IsInvalidArgument(err) {
		t.Errorf("got %v", err)
	}
}

func TestLabelsThatAreNoneAreRefused(t *testing.T) {
	s := Open(t.TempDir())
	for key, value := range map[string]string{"": "x", "a\nb": "x", "a": "\x1b[31m"} {
		if _, err := s.Create(t.Context(), api.Volume{Name: "v", Labels: map[string]string{key: value}}); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", key, err)
		}
	}
	if _, err := s.Get("v"); !errdefs.IsNotFound(err) {
		t.Errorf("it is there: %v", err)
	}
}
