package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine/oci"
)

func TestLookupUser(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n")
	write("group", "app:x:1001:\nextra:x:2000:app\nmore:x:3000:\n")
	for _, tt := range []struct {
		spec   string
		groups []string
		want   oci.Identity
	}{
		{"", nil, oci.Identity{Groups: []int{0}, Home: "/root"}},
		{"app", nil, oci.Identity{UID: 1000, GID: 1001, Groups: []int{1001, 2000}, Home: "/home/app"}},
		{"app:more", []string{"extra", "5"}, oci.Identity{UID: 1000, GID: 3000, Groups: []int{5, 2000, 3000}, Home: "/home/app"}},
		{"4711", nil, oci.Identity{UID: 4711, Groups: []int{0}, Home: "/"}},
	} {
		got, err := LookupUser(root, tt.spec, tt.groups)
		if err != nil || got.UID != tt.want.UID || got.GID != tt.want.GID || got.Home != tt.want.Home || !slices.Equal(got.Groups, tt.want.Groups) {
			t.Errorf("lookupUser(%q, %q) = %+v, %v; want %+v", tt.spec, tt.groups, got, err, tt.want)
		}
	}
	for _, spec := range []string{"nobody-here", "-1", "4294967296", "app:none"} {
		if _, err := LookupUser(root, spec, nil); !errdefs.IsInvalidArgument(err) {
			t.Errorf("lookupUser(%q) = %v, want an invalid argument", spec, err)
		}
	}
}

// Nothing in an image may make podc read outside of it or block.
func TestAccountFilesAreNotTrusted(t *testing.T) {
	root := t.TempDir()
	etc := filepath.Join(root, "etc")
	if err := errors.Join(os.MkdirAll(etc, 0o755), os.Symlink("/etc/passwd", filepath.Join(etc, "passwd"))); err != nil {
		t.Fatal(err)
	}
	if id, err := LookupUser(root, "root", nil); err == nil {
		t.Errorf("a link out of the image was followed: %+v", id)
	}
}

func TestWhyThereIsNoUserIsSaidOnce(t *testing.T) {
	root := t.TempDir()
	if _, err := LookupUser(root, "nobody2", nil); err == nil || err.Error() != `cannot find user "nobody2" in the image: no matching entries in passwd file` {
		t.Error(err)
	}
}
