package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"podc.example/podc/engine/rootfs"
)

func TestAWorkingDirectoryLeadsNowhereInProc(t *testing.T) {
	root, volume := t.TempDir(), t.TempDir()
	for link, to := range map[string]string{
		root + "/direct": "/proc/self/fd/7", root + "/chain": "direct", root + "/up": "../../../proc/1", root + "/fine": "srv/app/../www",
		volume + "/inside": "/proc/self/cwd",
	} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"data", "srv/app", "srv/www"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mounts := []specs.Mount{{Type: "proc", Destination: "/proc"}, {Type: "bind", Source: volume, Destination: "/data"}}
	for dir, want := range map[string]string{
		"/": "/", "/proc": "/proc", "/srv/www": "/srv/www", "/fine": "/srv/www", "/made/by/the/runtime": "/made/by/the/runtime", "/data": "/data",
		"/proc/self/fd/7": "", "/proc/../proc/1/cwd": "", "/direct": "", "/chain": "", "/up/cwd": "", "/data/inside": "",
	} {
		got, err := rootfs.ResolveWorkingDir(root, mounts, dir)
		if got != want || errdefs.IsInvalidArgument(err) != (want == "") {
			t.Errorf("%s is %q, want %q; %v", dir, got, want, err)
		}
	}
}
