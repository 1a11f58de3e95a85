package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Nothing that an image or a volume holds decides that a mount lands on /proc, /sys or /dev.
func TestNoLinkLeadsAMountToTheKernelsFiles(t *testing.T) {
	e := realEngine(t)
	img := busybox(t)
	layer := img.Layers[0]
	for link, to := range map[string]string{"p": "/proc", "q": "../../p/", "s": "sys", "secrets": "/dev", "away": "/tmp/away"} {
		if err := os.Symlink(to, filepath.Join(layer, link)); err != nil {
			t.Fatal(err)
		}
	}
	linked := img
	linked.Layers = []string{filepath.Join(t.TempDir(), "etc"), layer}
	if err := errors.Join(os.MkdirAll(linked.Layers[0], 0o755), os.Symlink("/proc/sys", filepath.Join(linked.Layers[0], "etc"))); err != nil {
		t.Fatal(err)
	}
	declares := func(volume string) api.Image {
		i := img
		i.Config.Volumes = []string{volume}
		return i
	}
	host := t.TempDir()
	if err := errors.Join(os.Symlink("/sys", filepath.Join(host, "l")), os.Mkdir(filepath.Join(host, "folder"), 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.volumes.Create(t.Context(), api.Volume{Name: "v"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../proc", filepath.Join(e.volumes.Path("v"), "l")); err != nil {
		t.Fatal(err)
	}
	bind := func(target string) api.Mount { return api.Mount{Type: api.MountBind, Source: host, Target: target} }
	for _, tt := range []struct {
		name   string
		img    api.Image
		mounts []api.Mount
		files  []api.File
	}{
		{"a volume of the image", declares("/p"), nil, nil},
		{"a volume of the image, by name", declares("/proc"), nil, nil},
		{"a volume of the image, below", declares("/sys/fs/x/"), nil, nil},
		{"a bind", img, []api.Mount{bind("/p")}, nil},
		{"a bind below", img, []api.Mount{bind("/q/sys/kernel")}, nil},
		{"a tmpfs", img, []api.Mount{{Type: api.MountTmpfs, Target: "/s"}}, nil},
		{"a secret", img, nil, []api.File{{Target: "/secrets/token", Content: []byte("x")}}},
		{"by the content of a bind", img, []api.Mount{bind("/b"), {Type: api.MountTmpfs, Target: "/b/l/fs"}}, nil},
		{"by the content of a volume", img, []api.Mount{{Type: api.MountVolume, Source: "v", Target: "/b"}, {Type: api.MountTmpfs, Target: "/b/l"}}, nil},
		{"by the content of a part", img, []api.Mount{{Type: api.MountVolume, Source: "v", Target: "/b"}, bind("/c"), {Type: api.MountTmpfs, Target: "/c/folder/../l/x"}}, nil},
		{"podc's own files", linked, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := shell("refused", "true")
			s.Container.Mounts, s.Container.Files = tt.mounts, tt.files
			err := e.CreatePod(t.Context(), s, tt.img)
			if err == nil {
				err = e.StartPod(t.Context(), s.Name)
			}
			if err == nil || !errdefs.IsInvalidArgument(err) {
				t.Errorf("got %v, want a refusal", err)
			}
			if err := e.RemovePod(t.Context(), s.Name, api.RemoveOptions{Force: true, Volumes: true}); err != nil {
				t.Error(err)
			}
		})
	}
	if err := e.volumes.Remove(t.Context(), "v"); err != nil {
		t.Error(err)
	}

	// Links that lead elsewhere are followed, within the container; what is named itself may be mounted on.
	s := shell("p1", "test -d /away/host/folder && test -d /dev/shm/b/folder && test -e /tmp/away/token && ls /sys/folder && test -c /dev/null")
	s.Container.Mounts = []api.Mount{bind("/away/host"), bind("/dev/shm/b"), bind("/sys")}
	s.Container.Files = []api.File{{Target: "/away/token", Content: []byte("x")}}
	mustRun(t, e, s, img)
	if p, out := outcome(t, e, "p1"); p.ExitCode != 0 {
		t.Errorf("exit code %d: %s", p.ExitCode, out)
	}
	if _, err := os.Stat("/tmp/away"); err == nil {
		t.Error("the link was followed on the host")
	}
}

// The host's own folders may be bound; nothing is made in them.
func TestHostDevAndSysMayBeBound(t *testing.T) {
	e := realEngine(t)
	listing := func() string {
		names, err := filepath.Glob("/dev/*")
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(names, " ")
	}
	before := listing()
	s := shell("p1", "echo x >/dev/null && ls /sys/kernel && ls /dev")
	s.Container.Init = true
	s.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: "/dev", Target: "/dev"}, {Type: api.MountBind, Source: "/sys", Target: "/sys", ReadOnly: true},
		{Type: api.MountBind, Source: t.TempDir(), Target: "/etc"}} // which hides podc's own
	mustRun(t, e, s, busybox(t))
	if p, out := outcome(t, e, "p1"); p.ExitCode != 0 || !strings.Contains(out, "null\n") {
		t.Errorf("exit code %d: %s", p.ExitCode, out)
	}
	if after := listing(); after != before {
		t.Errorf("/dev was %s, and is %s", before, after)
	}
}

// A runtime leaves what is at a device's place as it is, and says nothing.
func TestADeviceIsInItsPlaceOrRefused(t *testing.T) {
	e, img := realEngine(t), busybox(t)
	for link, to := range map[string]string{"away": "/tmp", "null": "/dev/null", "tty": "/dev/zero"} {
		if err := os.Symlink(to, filepath.Join(img.Layers[0], link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []string{"/bin/busybox", "/bin", "/etc/hosts", "/tty", "/dev/init"} {
		s := shell("refused", "true")
		s.Container.Init, s.Container.Devices = true, []api.Device{{Host: "/dev/null", Container: at}}
		err := e.CreatePod(t.Context(), s, img)
		if err == nil {
			err = e.StartPod(t.Context(), s.Name)
		}
		if err == nil || !errdefs.IsFailedPrecondition(err) || !strings.Contains(err.Error(), "/dev/null") || !strings.Contains(err.Error(), at) {
			t.Errorf("%s: %v", at, err)
		}
		if err := e.RemovePod(t.Context(), s.Name, api.RemoveOptions{Force: true, Volumes: true}); err != nil {
			t.Error(err)
		}
	}

	s := shell("p1", "for at in /n /tmp/n /new/n /dev/null /null /dev/shm/n /dev/zero /devices/zero; do test -c $at || exit 1; done; test -f /devices/null")
	for _, at := range []string{"/n", "/away/n", "/new/n", "/dev/null", "/null", "/dev/shm/n", "/dev/zero"} {
		s.Container.Devices = append(s.Container.Devices, api.Device{Host: "/dev/null", Container: at})
	}
	// What the service itself mounts in place of one device of a folder is meant.
	s.Container.Devices = append(s.Container.Devices, api.Device{Host: "/dev", Container: "/devices"})
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Container.Mounts = []api.Mount{{Type: api.MountBind, Source: file, Target: "/devices/null"}}
	mustRun(t, e, s, img)
	if p, out := outcome(t, e, "p1"); p.ExitCode != 0 {
		t.Errorf("exit code %d: %s", p.ExitCode, out)
	}
}
