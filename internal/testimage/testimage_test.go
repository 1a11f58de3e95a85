package testimage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestReproducible builds an image twice, from the same packages and from nothing else in common.
func TestReproducible(t *testing.T) {
	shared, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Build(t.Context(), Busybox); err != nil {
		t.Skip(err) // no apt, or no network: then there are no test images at all
	}
	var archives [2][]byte
	var names [2]string
	for i := range archives {
		dir := t.TempDir()
		t.Setenv("PODC_TEST_CACHE", dir)
		if err := os.Symlink(filepath.Join(shared, "debs"), filepath.Join(dir, "debs")); err != nil {
			t.Fatal(err)
		}
		path, err := Build(t.Context(), Busybox)
		if err != nil {
			t.Fatal(err)
		}
		names[i] = filepath.Base(path)
		if archives[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if names[0] != names[1] || !bytes.Equal(archives[0], archives[1]) {
		t.Errorf("%s and %s differ", names[0], names[1])
	}
}

func TestMerged(t *testing.T) {
	for in, want := range map[string]string{
		"./bin/sh": "usr/bin/sh", "./lib/": "", "./usr/lib/x": "usr/lib/x", "./": "", "../../etc/x": "etc/x", "lib64/ld.so": "usr/lib64/ld.so",
	} {
		if got := merged(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}
