package disk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// fullDisk is a small file system with a state file, and no byte free.
func fullDisk(t *testing.T) (path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("podc-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("cannot mount a tmpfs: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	path = filepath.Join(dir, "state.json")
	if err := WriteJSON(path, map[string]string{"status": "running", "why": "it was asked for"}, Volatile); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "filler"), bytes.Repeat([]byte{1}, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	return path
}

func TestStateCanBeReplacedOnAFullDisk(t *testing.T) {
	path := fullDisk(t)
	for _, want := range []string{"x", "something longer than what was there before, by a good deal"} {
		if err := WriteJSON(path, map[string]string{"status": want}, Volatile); err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := ReadJSON(path, &got); err != nil || got["status"] != want || len(got) != 1 {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".tmp-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAFullDiskIsAnErrorThatHarmsNothing(t *testing.T) {
	path := fullDisk(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func() error{
		"a durable file":        func() error { return WriteJSON(path, "x", Durable) },
		"a new file":            func() error { return WriteJSON(path+"2", "x", Volatile) },
		"one that does not fit": func() error { return WriteFile(path, bytes.Repeat([]byte{' '}, 9000), 0o600, Volatile) },
	} {
		if err := write(); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s changed the file to %q, %v", name, after, err)
		}
	}
}

func TestReadersSeeOneOrTheOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteJSON(path, "a", Volatile); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 200 {
			if err := WriteJSON(path, "a", Volatile); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		var got string
		if err := ReadJSON(path, &got); err != nil || got != "a" {
			t.Fatalf("got %q, %v", got, err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"", "{", `{"a": 1`, "\x00\x00"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var v any
		if err := ReadJSON(path, &v); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: %v", content, err)
		}
	}
	var v any
	if err := ReadJSON(path+"no", &v); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
