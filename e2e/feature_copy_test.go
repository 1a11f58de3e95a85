package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestCopying(t *testing.T) {
	withEachOverlay(t, func(t *testing.T, env ...string) {
		t.Parallel()
		s := newStack(t, `
services:
  web:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    scale: 2
    volumes: ['data:/data', './host:/host:ro', {type: tmpfs, target: /scratch}]
  done: {image: localhost/podc-busybox, command: sh -c 'echo left > /left', volumes: ['data:/data']}
  fresh: {image: localhost/podc-busybox, command: sleep 1000, volumes: ['fresh:/new'], profiles: [never]}
  locked: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, read_only: true}
volumes: {data: {}, fresh: {}}
`, "host/there", "on the host\n", "d/a", "a\n", "d/sub/b", "b\n", "file", "file\n")
		s.env = env
		s.load("busybox")
		at := func(name string) string { return filepath.Join(s.dir, name) }
		must := func(errs ...error) {
			t.Helper()
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
		}
		must(os.Symlink("file", at("link")), os.Symlink("d", at("dirlink")), os.Chown(at("file"), 1234, 4321), os.Chmod(at("file"), 0o751|os.ModeSetuid))
		s.podc("up", "-d", "--wait", "web", "locked")
		s.podc("up", "done")
		s.podc("create", "fresh")

		s.behaves("a file goes in, to each replica, as root's, or as whose it was", func(s *stack) {
			s.podc("cp", "file", "web:/tmp/f")
			s.podc("cp", "-a", "--index", "2", "file", "web:/tmp/kept")
			for _, index := range []string{"1", "2"} {
				if out := s.podc("exec", "-T", "--index", index, "web", "stat", "-c", "%u %g %a", "/tmp/f"); out != "0 0 4751\n" {
					s.t.Errorf("in #%s it is %q", index, out)
				}
			}
			if out := s.podc("exec", "-T", "--index", "2", "web", "stat", "-c", "%u %g %a", "/tmp/kept"); out != "1234 4321 4751\n" {
				s.t.Errorf("with -a it is %q", out)
			}
			s.fails(1, "exec", "-T", "--index", "1", "web", "test", "-e", "/tmp/kept")
		})
		s.behaves("it comes out again, as whose who asks, or as whose it was", func(s *stack) {
			s.podc("cp", "--index", "2", "web:/tmp/kept", "out")
			s.podc("cp", "-a", "--index", "2", "web:/tmp/kept", "out-a")
			for name, owner := range map[string]uint32{"out": uint32(os.Getuid()), "out-a": 1234} {
				fi, err := os.Stat(at(name))
				b, _ := os.ReadFile(at(name))
				if err != nil || fi.Sys().(*syscall.Stat_t).Uid != owner || string(b) != "file\n" || fi.Mode() != 0o751|os.ModeSetuid {
					s.t.Errorf("%s is %v with %q, %v", name, fi, b, err)
				}
			}
		})
		s.behaves("folders go into folders that are there, or take the name", func(s *stack) {
			s.podc("cp", "--index=1", "d", "web:/tmp/new")
			s.podc("cp", "--index=1", "d", "web:/tmp/new")
			s.podc("cp", "--index=1", "d/.", "web:/tmp/content/")
			s.podc("cp", "--index=1", "d/sub/.", "web:/tmp/content")
			s.says("web", "cd /tmp; cat new/a new/d/a new/d/sub/b content/a content/b content/sub/b", "a\na\nb\na\nb\nb")
			s.podc("cp", "web:/tmp/new", "back")
			s.podc("cp", "web:/tmp/new/.", "back")
			for _, name := range []string{"back/a", "back/d/sub/b", "back/sub/b"} {
				if b, err := os.ReadFile(at(name)); err != nil || len(b) != 2 {
					s.t.Errorf("%s: %q, %v", name, b, err)
				}
			}
			contains(s.t, s.fails(1, "cp", "d", "web:/tmp/f"), "cannot copy d to p-web-1:/tmp/f", "a folder cannot take its place")
			contains(s.t, s.fails(1, "cp", "file", "web:/tmp/none/"), "/tmp/none/ does not exist")
			contains(s.t, s.fails(1, "cp", "file/", "web:/tmp"), "file/ is no folder")
			contains(s.t, s.fails(1, "cp", "web:/nothing", "."), "/nothing does not exist")
			contains(s.t, s.fails(1, "cp", "file", "web:/nowhere/at/all"), "/nowhere/at")
		})
		s.behaves("a link stays one, unless what it leads to is asked for", func(s *stack) {
			s.podc("cp", "--index=1", "link", "web:/tmp/l")
			s.podc("cp", "--index=1", "-L", "link", "web:/tmp/followed")
			s.podc("cp", "--index=1", "--follow-link", "dirlink", "web:/tmp/dir")
			s.says("web", "readlink /tmp/l; cat /tmp/followed /tmp/dir/sub/b; test -L /tmp/followed || echo a file", "file\nfile\nb\na file")
			s.podc("exec", "-T", "web", "ln", "-s", "/tmp/f", "/tmp/inside")
			s.podc("cp", "web:/tmp/inside", "inside")
			s.podc("cp", "-L", "web:/tmp/inside", "inside-followed")
			if link, err := os.Readlink(at("inside")); err != nil || link != "/tmp/f" {
				s.t.Errorf("the link leads to %q, %v", link, err)
			}
			if b, err := os.ReadFile(at("inside-followed")); err != nil || string(b) != "file\n" {
				s.t.Errorf("it has %q, %v", b, err)
			}
		})
		s.behaves("no link leads out of a container", func(s *stack) {
			must(os.WriteFile(at("canary"), []byte("alive\n"), 0o600))
			s.podc("exec", "-T", "web", "sh", "-c", fmt.Sprintf("ln -s %s /tmp/away; ln -s / /tmp/root; ln -s %s/canary /tmp/canary", s.dir, s.dir))
			s.fails(1, "cp", "-L", "web:/tmp/canary", "stolen")
			s.fails(1, "cp", "--index=1", "file", "web:/tmp/away/canary")
			s.podc("cp", "--index=1", "file", "web:/tmp/root/top") // the container's own root
			s.says("web", "cat /top", "file")
			if b, _ := os.ReadFile(at("canary")); string(b) != "alive\n" {
				s.t.Errorf("the canary is %q", b)
			}
			if _, err := os.Lstat(at("stolen")); err == nil {
				s.t.Error("it was copied")
			}
		})
		s.behaves("volumes, and what is mounted, are seen as in the container", func(s *stack) {
			s.podc("cp", "--index=1", "file", "web:/data/v")
			s.podc("cp", "--index=1", "file", "web:/scratch/m")
			s.says("web", "cat /data/v /scratch/m", "file\nfile")
			s.podc("cp", "web:/host/there", "there")
			contains(s.t, s.fails(1, "cp", "--index=1", "file", "web:/host/no"), "read-only")
			contains(s.t, s.fails(1, "cp", "file", "locked:/no"), "read-only")
			s.podc("cp", "--index=1", "file", "web:/etc/hosts") // a single file is mounted there
			s.says("web", "cat /etc/hosts", "file")
		})
		s.behaves("containers that do not run have their files too", func(s *stack) {
			s.podc("cp", "done:/left", "left")
			s.podc("cp", "done:/data/v", "from-volume")
			s.podc("cp", "file", "done:/left2")
			s.podc("cp", "done:/left2", "left2")
			s.podc("cp", "file", "fresh:/new/early")
			for _, name := range []string{"left", "left2", "from-volume", filepath.Join(s.root, "volumes/p_fresh/_data/early")} {
				if !filepath.IsAbs(name) {
					name = at(name)
				}
				if _, err := os.Stat(name); err != nil {
					s.t.Error(err)
				}
			}
			s.podc("start", "done")
		})
		s.behaves("tar streams go in and out", func(s *stack) {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			must(w.WriteHeader(&tar.Header{Name: "x/", Typeflag: tar.TypeDir, Mode: 0o750, Uid: 77}), w.WriteHeader(&tar.Header{Name: "x/y", Typeflag: tar.TypeReg, Mode: 0o640, Uid: 77, Gid: 88, Size: 2}))
			w.Write([]byte("y\n"))
			must(w.Close())
			in := func(args ...string) ([]byte, error) {
				cmd := s.cmd(s.t.Context(), append([]string{"cp"}, args...)...)
				cmd.Stdin = bytes.NewReader(b.Bytes())
				return cmd.CombinedOutput()
			}
			if out, err := in("-", "web:/tmp"); err != nil {
				s.t.Fatalf("%v: %s", err, out)
			}
			for _, index := range []string{"1", "2"} {
				if out := s.podc("exec", "-T", "--index", index, "web", "stat", "-c", "%u %g %a", "/tmp/x/y"); out != "77 88 640\n" {
					s.t.Errorf("in #%s it is %q", index, out)
				}
			}
			if out, err := in("-", "web:/tmp/f"); err == nil || !strings.Contains(string(out), "no folder") {
				s.t.Errorf("onto a file: %v, %s", err, out)
			}
			var names []string
			for r := tar.NewReader(strings.NewReader(s.podc("cp", "web:/tmp/x", "-"))); ; {
				h, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				must(err)
				names = append(names, fmt.Sprint(h.Name, " ", h.Uid))
			}
			if !slices.Equal(names, []string{"x/ 77", "x/y 77"}) {
				s.t.Errorf("out came %q", names)
			}
		})
		s.behaves("containers of run are copied to if asked for", func(s *stack) {
			s.podc("run", "-d", "--name", "p-once", "done", "sleep", "1000")
			s.podc("cp", "file", "done:/without")
			s.podc("cp", "--all", "file", "done:/with")
			root := fmt.Sprintf("/proc/%d/root", s.pid("p-once"))
			if _, err := os.Stat(root + "/with"); err != nil {
				s.t.Error(err)
			}
			if _, err := os.Stat(root + "/without"); err == nil {
				s.t.Error("it was copied unasked")
			}
			s.podc("rm", "-sf", "done")
		})
		s.behaves("what makes no sense is refused", func(s *stack) {
			for _, args := range [][]string{{"web:/a", "locked:/b"}, {"a", "b"}, {"web:/a"}, {"web:", "b"}, {"--index=7", "file", "web:/x"}, {"file", "nobody:/x"}} {
				s.fails(1, append([]string{"cp"}, args...)...)
			}
			if out := s.podc("--dry-run", "cp", "file", "web:/dry"); out != "" {
				s.t.Errorf("it printed %q", out)
			}
			s.fails(1, "exec", "-T", "web", "test", "-e", "/dry")
		})
	})
}
