package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// While a namespace is being pinned, or let go, there is an ordinary file: whoever looks then finds as little as without it.
func TestAFileWithoutItsPinIsNoNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := filepath.Join(t.TempDir(), "net")
	for _, there := range []bool{false, true} {
		if there {
			if err := os.WriteFile(path, nil, 0o400); err != nil {
				t.Fatal(err)
			}
		}
		if err := InNetNS(path, func() error { return nil }); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a file: %t; the error is %v", there, err)
		}
	}
}
