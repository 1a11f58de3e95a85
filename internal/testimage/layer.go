package testimage

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// epoch is the time of every file, so that images do not depend on when they were built.
var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// tree is the content of a layer, by path without a leading slash.
type tree map[string]*entry

type entry struct {
	header tar.Header
	body   []byte
}

func (t tree) put(e entry) {
	e.header.ModTime = epoch
	e.header.AccessTime, e.header.ChangeTime = time.Time{}, time.Time{}
	e.header.Uname, e.header.Gname = "", ""
	e.header.Size = int64(len(e.body))
	t[e.header.Name] = &e
}

func (t tree) dir(name string, mode int64, uid int) {
	t.put(entry{header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode, Uid: uid, Gid: uid}})
}

func (t tree) file(name string, mode int64, body string) {
	t.put(entry{header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode}, body: []byte(body)})
}

func (t tree) link(name, target string) {
	t.put(entry{header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}})
}

// base is what every root filesystem has: the folders, users, and /bin, /lib and so on as links into /usr.
func base(users map[string]int) tree {
	t := tree{}
	t.dir("./", 0o755, 0)
	for _, d := range []string{"dev", "etc", "home", "proc", "sys", "usr", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "var", "run"} {
		t.dir(d, 0o755, 0)
	}
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		t.link(d, "usr/"+d)
	}
	t.dir("root", 0o700, 0)
	t.dir("tmp", 0o1777, 0)
	passwd, group := "root:x:0:0:root:/root:/bin/sh\n", "root:x:0:\n"
	for _, name := range slices.Sorted(maps.Keys(users)) {
		passwd += fmt.Sprintf("%s:x:%d:%d::/:/bin/sh\n", name, users[name], users[name])
		group += fmt.Sprintf("%s:x:%d:\n", name, users[name])
	}
	t.file("etc/passwd", 0o644, passwd)
	t.file("etc/group", 0o644, group)
	t.file("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n")
	return t
}

// needless are the files of packages that nobody reads in a container.
var needless = regexp.MustCompile(`^usr/share/(doc|man|locale|info|lintian|bug|bash-completion|menu|gcc|gdb|pixmaps|apport)(/|$)|^usr/lib/postgresql/[0-9]+/lib/(bitcode(/|$)|llvmjit)|^usr/share/zoneinfo/(right|posix)(/|$)|^etc/(init\.d|cron\.d|logrotate\.d|ufw)(/|$)|^(usr/)?lib/systemd(/|$)`)

// addDeb adds the files of a package, without running any of its scripts.
func (t tree) addDeb(b *builder, d deb) error {
	cmd := exec.CommandContext(b.ctx, "dpkg-deb", "--fsys-tarfile", d.path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = t.addTar(out)
	io.Copy(io.Discard, out) // or dpkg-deb would wait for a reader
	if werr := cmd.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("cannot unpack %s: %w", d.name, err)
	}
	return nil
}

func (t tree) addTar(r io.Reader) error {
	in := tar.NewReader(r)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := merged(h.Name)
		if name == "" || needless.MatchString(name) || h.Typeflag == tar.TypeDir && t[name] != nil {
			continue
		}
		body, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		clean := tar.Header{Typeflag: h.Typeflag, Name: name, Linkname: h.Linkname, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid}
		if h.Typeflag == tar.TypeLink {
			clean.Linkname = merged(h.Linkname)
		}
		t.put(entry{header: clean, body: body})
	}
}

// merged is the path of a package's file in a root where /bin, /sbin and /lib are links into /usr.
func merged(name string) string {
	name = strings.Trim(path.Clean("/"+name), "/")
	first, _, _ := strings.Cut(name, "/")
	switch first {
	case "bin", "sbin", "lib", "lib64":
		if name == first {
			return ""
		}
		return "usr/" + name
	}
	return name
}

// layer packs the tree: folders before their content, hard links after what they name.
func (t tree) layer() (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	names := slices.Sorted(maps.Keys(t))
	for _, links := range []bool{false, true} {
		for _, name := range names {
			e := t[name]
			if (e.header.Typeflag == tar.TypeLink) != links {
				continue
			}
			if err := w.WriteHeader(&e.header); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if _, err := w.Write(e.body); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
}
