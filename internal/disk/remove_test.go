package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemoveTreeLeavesWhatIsMounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	base := t.TempDir()
	tree, theirs := filepath.Join(base, "tree"), filepath.Join(base, "theirs")
	err := errors.Join(os.MkdirAll(filepath.Join(tree, "a/b/mount"), 0o755), os.MkdirAll(filepath.Join(tree, "empty"), 0o755), os.Mkdir(theirs, 0o755),
		os.WriteFile(filepath.Join(theirs, "canary"), nil, 0o600), os.WriteFile(filepath.Join(tree, "a/file"), nil, 0o600),
		os.WriteFile(filepath.Join(tree, "a/target"), nil, 0o600), os.Symlink(theirs, filepath.Join(tree, "link")))
	for i := range 3 * namesAtOnce {
		err = errors.Join(err, os.WriteFile(filepath.Join(tree, "a/b", fmt.Sprint(i)), nil, 0o600))
	}
	err = errors.Join(err, unix.Mount(theirs, filepath.Join(tree, "a/b/mount"), "", unix.MS_BIND, ""),
		unix.Mount(filepath.Join(theirs, "canary"), filepath.Join(tree, "a/target"), "", unix.MS_BIND, ""))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := RemoveTree(tree); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(tree); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left: %v", err)
	}
	if _, err := os.Stat(filepath.Join(theirs, "canary")); err != nil {
		t.Errorf("what was mounted is deleted: %v", err)
	}
	if err := RemoveTree(filepath.Join(base, "no/such")); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(base, "plain"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RemoveTree(filepath.Join(base, "plain") + "/"); err != nil {
		t.Error(err)
	}
}

func TestTwoMayRemoveTheSame(t *testing.T) {
	base := t.TempDir()
	tree := filepath.Join(base, "tree")
	for range 40 {
		for i := range 3 {
			if err := os.MkdirAll(filepath.Join(tree, fmt.Sprint(i), "a", "b"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		both := make(chan error, 2)
		for range cap(both) {
			go func() { both <- RemoveTree(tree) }()
		}
		if err := errors.Join(<-both, <-both); err != nil {
			t.Fatal(err)
		}
	}
}
