package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// onSmallDisk puts the folders of a stack on a file system of their own, and returns what fills it to the last byte. It must
// be called before anything is loaded, and the project must be down when the test ends.
func (s *stack) onSmallDisk(size string) (fill func() (empty func())) {
	s.t.Helper()
	dir := filepath.Dir(s.root)
	compose, err := os.ReadFile(filepath.Join(s.dir, "compose.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mount("podc-e2e", dir, "tmpfs", 0, "size="+size); err != nil {
		s.t.Skip("cannot mount a tmpfs: ", err)
	}
	s.t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			s.t.Errorf("something still uses the disk: %v", err)
			syscall.Unmount(dir, syscall.MNT_DETACH)
		}
	})
	s.write("compose.yaml", string(compose))
	return func() func() {
		s.t.Helper()
		path := filepath.Join(dir, "filler")
		f, err := os.Create(path)
		if err != nil {
			s.t.Fatal(err)
		}
		defer f.Close()
		for block := bytes.Repeat([]byte{1}, 1<<16); len(block) > 0; {
			if _, err := f.Write(block); err != nil {
				if !errors.Is(err, syscall.ENOSPC) {
					s.t.Fatal(err)
				}
				block = block[:len(block)/2]
			}
		}
		return func() { os.Remove(path) }
	}
}

// With no byte free podc says so, damages nothing, and can still stop and remove what there is.
func TestAFullDisk(t *testing.T) {
	s := newStack(t, three, "key.txt", "secret")
	fill := s.onSmallDisk("64m")
	s.write("key.txt", "secret")
	s.load("busybox")

	empty := fill()
	out := s.fails(1, "up", "-d")
	if !strings.Contains(out, "no space left on device") {
		t.Errorf("up does not say what is wrong:\n%s", out)
	}
	s.podc("down", "-v", "-t", "0")
	empty()
	s.podc("up", "-d")
	s.exec("db", "sh", "-c", "echo precious > /data/file")

	empty = fill()
	s.podc("ps", "-a")
	s.podc("stop", "-t", "0", "web")
	if r := s.ps()["p-web-1"]; r.State != "exited" {
		t.Errorf("web is %s", r.State)
	}
	s.podc("down", "-t", "0")
	for name := range census(s) {
		if strings.HasPrefix(name, "file "+s.root+"/pods") || strings.HasPrefix(name, "process ") || strings.HasPrefix(name, "cgroup ") {
			t.Errorf("left behind: %s", name)
		}
	}
	empty()
	s.podc("up", "-d")
	if got := s.exec("db", "cat", "/data/file"); got != "precious" {
		t.Errorf("the volume holds %q", got)
	}
	s.podc("down", "-v", "-t", "0")
}
