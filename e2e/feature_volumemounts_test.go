package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"
)

// TestVolumesThatAreMounts uses the options of the driver local.
func TestVolumesThatAreMounts(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/seeded, command: sleep 1000, stop_signal: SIGKILL}
services:
  a: {<<: *sleep, volumes: ['folder:/folder', 'memory:/memory', 'sealed:/sealed', 'empty:/seed']}
  b: {<<: *sleep, volumes: ['memory:/memory']}
  c: {<<: *sleep, volumes: ['folder:/seed', {type: volume, source: plain, target: /part, volume: {subpath: sub/dir}}], depends_on: [maker]}
  maker: {<<: *sleep, command: sh -c 'mkdir -p /plain/sub/dir; echo part > /plain/sub/dir/f; ln -s /etc /plain/out; ln -s ../../.. /plain/up; sleep 1000', volumes: ['plain:/plain'],
    healthcheck: {test: test -L /plain/up, interval: 100ms}}
volumes:
  folder: {driver_opts: {type: none, o: bind, device: "${DIR}/folder"}}
  empty: {driver_opts: {type: none, o: bind, device: "${DIR}/empty"}}
  sealed: {driver_opts: {type: none, o: "bind,ro,noexec", device: "${DIR}/folder"}}
  memory: {driver_opts: {type: tmpfs, device: tmpfs, o: "size=1m,mode=750,uid=7"}}
  plain: {}
`, "folder/file", "of the host\n", "empty/.keep", "")
	s.env = []string{"DIR=" + s.dir}
	if err := os.Remove(filepath.Join(s.dir, "empty/.keep")); err != nil {
		t.Fatal(err)
	}
	s.load("busybox")
	s.loadImage("localhost/seeded", derived(t, v1.Config{}, imageFile{"seed/", 0o751, 5, ""}, imageFile{"seed/f", 0o644, 0, "seed\n"}, imageFile{"seed/d/", 0o755, 0, ""}, imageFile{"seed/d/g", 0o600, 7, "deep\n"}))
	s.podc("up", "-d", "--wait", "maker", "a", "b")
	s.podc("up", "-d")
	s.behaves("a bind is the folder itself", func(s *stack) {
		s.says("a", "cat /folder/file; echo new > /folder/made", "of the host")
		if b, err := os.ReadFile(filepath.Join(s.dir, "folder/made")); err != nil || string(b) != "new\n" {
			s.t.Errorf("%q, %v", b, err)
		}
		s.says("a", "cat /sealed/file; touch /sealed/x 2>/dev/null || echo read-only; grep -c ' /sealed .*noexec' /proc/mounts", "of the host\nread-only\n1")
	})
	s.behaves("an empty one is filled from the image, another is not", func(s *stack) {
		s.says("a", "cat /seed/f /seed/d/g; stat -c '%a %u' /seed /seed/d/g; ls -a /seed | wc -l", "seed\ndeep\n751 5\n600 7\n4")
		s.says("c", "ls /seed", "file\nmade")
	})
	s.behaves("a tmpfs is one for all who use it, of the size and mode asked for, and gone with the last", func(s *stack) {
		s.sh("a", "echo shared > /memory/x")
		s.says("b", "cat /memory/x; stat -c '%a %u' /memory; df -k /memory | tail -1 | tr -s ' ' | cut -d' ' -f2", "shared\n750 7\n1024")
		s.podc("stop", "a")
		s.says("b", "cat /memory/x", "shared")
		s.podc("stop", "b")
		if n := len(mountsOf(s.t, filepath.Join(s.root, "volumes"))); n != 1 { // folder, by c
			s.t.Errorf("%d volumes are mounted", n)
		}
		s.podc("start", "b")
		s.says("b", "ls /memory | wc -l", "0")
	})
	s.behaves("a subpath is what is mounted, and no link leads out of the volume", func(s *stack) {
		s.says("c", "cat /part/f; ls /part", "part\nf")
		for subpath, want := range map[string]string{"out/passwd": "no such file", "up/etc": "no such file", "none": "no such file"} {
			s.write("bad.yaml", "services: {d: {image: localhost/seeded, command: ls /x, volumes: [{type: volume, source: plain, target: /x, volume: {subpath: "+subpath+"}}]}}\nvolumes: {plain: {}}\n")
			contains(s.t, s.fails(1, "-f", "bad.yaml", "up", "-d"), "p-d-1", subpath, want)
		}
	})
	s.behaves("a mount that nobody uses is found, and let go of", func(s *stack) {
		s.podc("stop")
		path := filepath.Join(s.root, "volumes/p_memory/_data")
		if err := unix.Mount("tmpfs", path, "tmpfs", 0, ""); err != nil {
			s.t.Fatal(err)
		}
		contains(s.t, s.fails(1, "system", "check"), path, "no running container uses")
		s.podc("system", "check", "--repair")
		if n := len(mountsOf(s.t, filepath.Join(s.root, "volumes"))); n != 0 {
			s.t.Errorf("%d volumes are mounted", n)
		}
	})
	s.behaves("its end is that of the mount, not of what was mounted", func(s *stack) {
		s.podc("up", "-d", "a")
		s.podc("down", "-v", "-t", "0", "--remove-orphans")
		if b, err := os.ReadFile(filepath.Join(s.dir, "folder/file")); err != nil || string(b) != "of the host\n" {
			s.t.Errorf("%q, %v", b, err)
		}
		if left := append(mountsOf(s.t, s.root+"/pods"), mountsOf(s.t, s.root+"/volumes")...); len(left) > 0 {
			s.t.Errorf("left: %v", left)
		}
	})
	s.behaves("what cannot be mounted is refused before anything is made", func(s *stack) {
		s.write("bad.yaml", "services: {d: {image: localhost/seeded, command: x, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {type: none, o: bind, device: /no/such}}}\n")
		out := s.fails(1, "-f", "bad.yaml", "up", "-d")
		if contains(s.t, out, "/no/such", "p_vol"); strings.Contains(out, "Creating") {
			s.t.Errorf("something was made: %s", out)
		}
		s.write("bad.yaml", "services: {d: {image: localhost/seeded, command: x, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {type: ext9, device: /dev/none}}}\n")
		contains(s.t, s.fails(1, "-f", "bad.yaml", "up", "-d"), "p_vol", "ext9")
		contains(s.t, s.fails(1, "volume", "create", "-o", "size=1", "v"), "no option \"size\"")
		s.podc("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device="+s.dir, "byhand")
		contains(s.t, s.podc("volume", "inspect", "byhand"), `"o": "bind"`)
		s.podc("volume", "rm", "byhand")
	})
}

// mountsOf lists what is mounted below a folder.
func mountsOf(t *testing.T, dir string) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); strings.HasPrefix(f[1], dir+"/") {
			list = append(list, f[1])
		}
	}
	return list
}

// TestImagesAsVolumes mounts what is in images.
func TestImagesAsVolumes(t *testing.T) {
	withEachOverlay(t, func(t *testing.T, env ...string) {
		s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  user:
    <<: *sleep
    volumes:
      - {type: image, source: localhost/data, target: /data}
      - {type: image, source: other, target: /part, image: {subpath: etc/deep}}
  other: {image: localhost/other, command: sleep 1000, stop_signal: SIGKILL}
`)
		s.env = env
		s.load("busybox")
		data := func(content string) v1.Image {
			return derived(t, v1.Config{}, imageFile{"file", 0o644, 0, content})
		}
		s.loadImage("localhost/data", data("one"))
		s.loadImage("localhost/other", derived(t, v1.Config{}, imageFile{"etc/deep/", 0o755, 0, ""}, imageFile{"etc/deep/f", 0o644, 0, "deep"}))
		s.podc("up", "-d")
		s.behaves("their files are there, to be read only", func(s *stack) {
			s.says("user", "cat /data/file /part/f; ls /part; touch /data/x 2>/dev/null || echo read-only", "onedeepf\nread-only")
		})
		s.behaves("another image of that name is another volume", func(s *stack) {
			s.loadImage("localhost/data", data("two"))
			s.podc("up", "-d")
			s.says("user", "cat /data/file", "two")
			labels, _ := s.record("p-user-1")["spec"].(map[string]any)["labels"].(map[string]any)
			contains(s.t, fmt.Sprint(labels["com.docker.compose.image-volume-digest"]), "/data=sha256:", "/part=sha256:")
			contains(s.t, s.podc("plan"), "nothing to do")
		})
		s.behaves("they are not deleted while they are mounted", func(s *stack) {
			contains(s.t, s.fails(1, "image", "rm", "localhost/data"), "in use by p")
		})
		s.behaves("a stopped pod mounts nothing", func(s *stack) {
			s.podc("stop", "user")
			for _, m := range mountsOf(s.t, filepath.Join(s.root, "pods")) {
				if strings.Contains(m, "p-user-1") {
					s.t.Errorf("%s is still mounted", m)
				}
			}
			s.podc("start", "user")
			s.says("user", "cat /data/file", "two")
		})
		s.behaves("one that is missing is refused by name", func(s *stack) {
			s.write("bad.yaml", "services: {d: {image: localhost/podc-busybox, pull_policy: never, volumes: [{type: image, source: localhost/none-such, target: /x}]}}\n")
			contains(s.t, s.fails(1, "-f", "bad.yaml", "up", "-d"), "localhost/none-such")
		})
	})
}

// TestBinds mounts folders of the host that have mounts below.
func TestBinds(t *testing.T) {
	s := newStack(t, `
x-sleep: &sleep {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  sealed: {<<: *sleep, volumes: [{type: bind, source: ./host, target: /x, read_only: true}, {type: bind, source: ./host, target: /y, read_only: true, bind: {recursive: readonly}}]}
  top: {<<: *sleep, volumes: [{type: bind, source: ./host, target: /x, read_only: true, bind: {recursive: writable, selinux: z}}]}
  follows: {<<: *sleep, volumes: [{type: bind, source: ./shared, target: /x, bind: {propagation: rslave}}]}
  gives: {<<: *sleep, privileged: true, volumes: [{type: bind, source: ./shared, target: /x, bind: {propagation: rshared}}]}
  apart: {<<: *sleep, volumes: [{type: bind, source: ./shared, target: /x}]}
`, "host/below/x", "", "shared/later/x", "", "shared/given/x", "", "alone/x", "")
	s.load("busybox")
	below, shared := filepath.Join(s.dir, "host/below"), filepath.Join(s.dir, "shared")
	err := errors.Join(unix.Mount("tmpfs", below, "tmpfs", 0, "size=64k"), unix.Mount(shared, shared, "", unix.MS_BIND, ""), unix.Mount("", shared, "", unix.MS_SHARED, ""))
	t.Cleanup(func() {
		for _, m := range []string{below, shared + "/later", shared + "/given", shared} {
			unix.Unmount(m, unix.MNT_DETACH)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.podc("up", "-d")
	s.behaves("read-only holds for all below, unless told otherwise", func(s *stack) {
		s.says("sealed", "for d in x y; do touch /$d/new /$d/below/new 2>/dev/null || echo read-only; done; ls /x/below | wc -l", "read-only\nread-only\n0")
		s.says("top", "touch /x/new 2>/dev/null || echo read-only; touch /x/below/new && echo written", "read-only\nwritten")
	})
	s.behaves("mounts come and go with propagation only", func(s *stack) {
		if err := unix.Mount("tmpfs", shared+"/later", "tmpfs", 0, "size=64k"); err != nil {
			s.t.Fatal(err)
		}
		for service, want := range map[string]string{"follows": "1", "gives": "1", "apart": "0"} {
			s.says(service, "grep -c ' /x/later tmpfs' /proc/mounts || true", want)
		}
		s.sh("gives", "mount -t tmpfs x /x/given && touch /x/given/inside")
		if !exists(shared + "/given/inside") {
			s.t.Error("a mount of the container did not reach the host")
		}
		s.says("follows", "ls /x/given", "inside")
	})
	s.behaves("a source that is not shared is refused before anything is made", func(s *stack) {
		if exec.Command("findmnt", "-no", "PROPAGATION", "-T", s.dir).Run() != nil {
			s.t.Skip("findmnt is missing")
		}
		out, _ := exec.Command("findmnt", "-no", "PROPAGATION", "-T", s.dir).Output()
		if strings.Contains(string(out), "shared") {
			s.t.Skip("everything is shared here")
		}
		s.write("bad.yaml", "services: {d: {image: localhost/podc-busybox, volumes: [{type: bind, source: ./alone, target: /x, bind: {propagation: shared}}]}}\n")
		contains(s.t, s.fails(1, "-f", "bad.yaml", "up", "-d"), "p-d-1", "not a shared mount")
	})
}

// withEachOverlay runs a test with overlays as this kernel has them, and as kernels before 6.8 do.
func withEachOverlay(t *testing.T, test func(t *testing.T, env ...string)) {
	t.Run("layers as this kernel takes them", func(t *testing.T) { test(t) })
	t.Run("layers in one string", func(t *testing.T) { test(t, "PODC_OVERLAY_OPTIONS=1") })
}
