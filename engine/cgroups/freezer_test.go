package cgroups

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// The v2 freezer, wherever the kernel has one mounted, be it beside v1.
func TestTheUnifiedFreezerFreezesAndThaws(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	mount := mountsByController()[""]
	if mount == "" {
		t.Skip("no cgroup v2 is mounted")
	}
	f := Freezer{dir: filepath.Join(mount, "podc-test-"+strconv.Itoa(os.Getpid())), unified: true}
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer unix.Rmdir(f.dir)
	var w kernel.Watcher
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.Freeze(ctx, &w); err != nil || !f.frozen() || !f.Asked() {
		t.Errorf("frozen %v, asked %v, %v", f.frozen(), f.Asked(), err)
	}
	if err := f.Thaw(); err != nil || f.Asked() {
		t.Errorf("after thawing: asked %v, %v", f.Asked(), err)
	}
}
