package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// small is a file system of a few megabytes.
type small struct {
	t   *testing.T
	dir string
}

// onSmallDisk puts the folders of a stack on a file system of their own, of kind tmpfs or ext4, which is made. It must be called
// before anything is loaded, and the project must be down when the test ends.
func (s *stack) onSmallDisk(kind string) small {
	s.t.Helper()
	dir := filepath.Dir(s.root)
	compose, err := os.ReadFile(filepath.Join(s.dir, "compose.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	switch kind {
	case "tmpfs":
		err = syscall.Mount("podc-e2e", dir, "tmpfs", 0, "size=64m")
	default:
		image := filepath.Join(s.t.TempDir(), "disk")
		if err = errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 96<<20)); err != nil {
			s.t.Fatal(err)
		}
		out, merr := exec.Command("mkfs."+kind, "-q", "-m", "0", image).CombinedOutput()
		if merr == nil {
			out, merr = exec.Command("mount", "-o", "loop", image, dir).CombinedOutput()
		}
		if err = merr; err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err != nil {
		s.t.Skip("cannot make a small file system: ", err)
	}
	s.t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			s.t.Errorf("something still uses the disk: %v", err)
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
	s.write("compose.yaml", string(compose))
	return small{s.t, dir}
}

// fill leaves at most so many bytes free, a multiple of 4096. What it wrote before goes with empty.
func (d small) fill(left int64) {
	d.t.Helper()
	f, err := os.CreateTemp(d.dir, "filler-")
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for block := bytes.Repeat([]byte{1}, 1<<16); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				d.t.Fatal(err)
			}
			block = block[:len(block)/2]
		}
	}
	fi, err := f.Stat()
	if err == nil {
		err = f.Truncate(max(0, fi.Size()-left))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d small) empty() {
	paths, _ := filepath.Glob(filepath.Join(d.dir, "filler-*"))
	for _, p := range paths {
		os.Remove(p)
	}
}

// With no room, or hardly any, podc says so, damages nothing, and can still stop and remove what there is, and check.
func TestAFullDisk(t *testing.T) {
	for _, c := range []struct {
		kind string
		left int64
	}{{"tmpfs", 0}, {"ext4", 4096}} {
		t.Run(fmt.Sprintf("%s with %d bytes left", c.kind, c.left), func(t *testing.T) {
			returning := strings.Replace(three, "web: {", "web: {restart: unless-stopped, ", 1) // of which a stop is noted with a sync
			s := newStack(t, returning, "key.txt", "secret", "compose.override.yaml", networksAt(44, "default", "inner"))
			disk := s.onSmallDisk(c.kind)
			s.write("key.txt", "secret")
			s.load("busybox")
			full := func() {
				t.Helper()
				if out := s.fails(1, "up", "-d"); !strings.Contains(strings.ToLower(out), "no space left on device") {
					t.Errorf("up does not say what is wrong:\n%s", out)
				}
			}
			// An up for which there is room enough at first, and not for all of it.
			for _, room := range []int64{c.left, 8 << 10, 24 << 10, 128 << 10} {
				disk.fill(room)
				full()
				disk.fill(c.left)
				s.podc("ps", "-a")
				s.podc("down", "-v", "-t", "0")
				s.podc("system", "check")
				disk.empty()
			}
			s.podc("up", "-d")
			s.exec("db", "sh", "-c", "echo precious > /data/file")

			disk.fill(c.left)
			s.podc("ps", "-a")
			s.podc("system", "check")
			s.podc("stop", "-t", "0", "web")
			if r := s.ps()["p-web-1"]; r.State != "exited" {
				t.Errorf("web is %s", r.State)
			}
			s.podc("down", "-t", "0")
			s.podc("system", "check")
			for name := range census(s) {
				if strings.HasPrefix(name, "file "+s.root+"/pods") || strings.HasPrefix(name, "process ") || strings.HasPrefix(name, "cgroup ") {
					t.Errorf("left behind: %s", name)
				}
			}
			disk.empty()
			s.podc("up", "-d")
			if got := s.exec("db", "cat", "/data/file"); got != "precious" {
				t.Errorf("the volume holds %q", got)
			}

			// The machine starts again with no room, whatever its run root lies on.
			disk.fill(c.left)
			s.powerCut()
			after := s.boot().after(s)
			for name, r := range after.ps() {
				if r.State != "exited" {
					t.Errorf("after a reboot %s is %s", name, r.State)
				}
			}
			after.podc("down", "-v", "-t", "0")
			after.podc("system", "check")
		})
	}
}
