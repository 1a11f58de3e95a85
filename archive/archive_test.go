package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open opens a folder for the length of the test.
func open(t testing.TB, dir string) *os.File {
	t.Helper()
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// sample is a folder with a file of every kind that needs no root, and one of its own for capabilities with it.
func sample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(at("d/deep"), 0o755), os.WriteFile(at("d/file"), []byte("content\n"), 0o640), os.Link(at("d/file"), at("d/same")),
		os.Symlink("/etc/passwd", at("d/out")), os.Symlink("file", at("d/in")), unix.Mkfifo(at("d/fifo"), 0o600), os.WriteFile(at("d/deep/"+strings.Repeat("n", 200)), nil, 0o600),
		os.WriteFile(at("d/tool"), []byte("#!"), 0o755), os.Chmod(at("d/tool"), 0o755|fs.ModeSetuid), os.Chmod(at("d"), 0o751),
		os.Chtimes(at("d"), time.Unix(1000, 0), time.Unix(1000, 0)), os.Chtimes(at("d/file"), time.Unix(2000, 0), time.Unix(2000, 0)))
	return dir
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// describe lists what is below a folder, one line a file.
func describe(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %o", rel, st.Mode)
		if d.Type()&fs.ModeSymlink == 0 {
			fmt.Fprintf(&b, " %d", st.Mtim.Sec/2000) // new ones are all of today
		}
		switch {
		case d.Type().IsRegular():
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %q %s", content, inodes[st.Ino])
			inodes[st.Ino] = rel
		case d.Type()&fs.ModeSymlink != 0:
			link, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", link)
		}
		b.WriteByte('\n')
		return nil
	})
	must(t, err)
	return b.String()
}

func TestAFolderComesOutAsItWentIn(t *testing.T) {
	src, dst := sample(t), t.TempDir()
	var stream bytes.Buffer
	must(t, Inside(open(t, src)).Pack(t.Context(), &stream, "/d", "d"))
	must(t, Below(open(t, dst)).Unpack(t.Context(), &stream, ".", &Owner{os.Getuid(), os.Getgid()}))
	if got, want := describe(t, dst), describe(t, src); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAFolderTakesAnotherName(t *testing.T) {
	src, dst := sample(t), t.TempDir()
	must(t, os.Rename(filepath.Join(src, "d"), filepath.Join(src, "other")))
	var renamed, content bytes.Buffer
	must(t, Inside(open(t, src)).Pack(t.Context(), &renamed, "other", "d"), Inside(open(t, src)).Pack(t.Context(), &content, "/other/", ""))
	must(t, Inside(open(t, dst)).Unpack(t.Context(), &renamed, "/", &Owner{os.Getuid(), os.Getgid()}))
	must(t, os.Rename(filepath.Join(src, "other"), filepath.Join(src, "d")))
	if got, want := describe(t, dst), describe(t, src); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	names := map[string]bool{}
	for r := tar.NewReader(&content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		names[h.Name] = true
	}
	if !names["file"] || !names["deep/"] || names["d"] {
		t.Errorf("the content is %v", names)
	}
}

func TestWhatIsThereIsReplacedButNoFolderByAFile(t *testing.T) {
	dst := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dst, "folder"), 0o755), os.WriteFile(filepath.Join(dst, "file"), []byte("old"), 0o600), os.Symlink("/etc/passwd", filepath.Join(dst, "link")))
	unpack := func(h *tar.Header, content string) error {
		return Inside(open(t, dst)).Unpack(t.Context(), streamOf(t, entry{h, content}), "/", nil)
	}
	must(t, unpack(regular("file"), "new"), unpack(regular("link"), "new"))
	for _, name := range []string{"file", "link"} {
		fi, err := os.Lstat(filepath.Join(dst, name))
		b, _ := os.ReadFile(filepath.Join(dst, name))
		if err != nil || !fi.Mode().IsRegular() || string(b) != "new" {
			t.Errorf("%s is %v with %q, %v", name, fi, b, err)
		}
	}
	for _, h := range []*tar.Header{regular("folder"), {Name: "file/", Typeflag: tar.TypeDir, Mode: 0o755}} {
		if err := unpack(h, ""); err == nil || !strings.Contains(err.Error(), "cannot overwrite") {
			t.Errorf("%s: %v", h.Name, err)
		}
	}
}

type entry struct {
	h       *tar.Header
	content string
}

func regular(name string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}
}

func streamOf(t testing.TB, entries ...entry) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.h.Size = int64(len(e.content))
		e.h.Uid, e.h.Gid = os.Getuid(), os.Getgid()
		must(t, w.WriteHeader(e.h))
		_, err := io.WriteString(w, e.content)
		must(t, err)
	}
	must(t, w.Close())
	return &b
}

// Streams that try to leave the folder: each may fail or write within it, and must not touch the canary beside it.
func TestNoStreamLeavesTheFolder(t *testing.T) {
	link := func(name, to string) entry {
		return entry{&tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink}, ""}
	}
	hard := func(name, to string) entry {
		return entry{&tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink}, ""}
	}
	evil := func(name string) entry { return entry{regular(name), "evil"} }
	for name, entries := range map[string][]entry{
		"dots":               {evil("../canary")},
		"absolute":           {evil("/../../canary")},
		"through a link":     {link("a", ".."), evil("a/canary")},
		"absolute link":      {link("a", "@"), evil("a/canary")},
		"link to the file":   {link("a", "@/canary"), evil("a")},
		"two links":          {link("a", "."), link("a/b", ".."), evil("a/b/canary")},
		"hard link":          {hard("a", "../canary"), evil("a")},
		"hard link absolute": {hard("a", "@/canary"), evil("a")},
		"hard link to link":  {link("l", "@/canary"), hard("a", "l"), evil("a")},
		"link as folder":     {link("a", "@"), {&tar.Header{Name: "a/", Typeflag: tar.TypeDir, Mode: 0o777}, ""}, evil("a/canary")},
	} {
		for kind, tree := range map[string]func(*os.File) Tree{"inside": Inside, "below": Below} {
			outside := t.TempDir()
			root := filepath.Join(outside, "root")
			must(t, os.Mkdir(root, 0o755), os.WriteFile(filepath.Join(outside, "canary"), []byte("alive"), 0o600))
			var real []entry
			for _, e := range entries {
				h := *e.h
				h.Linkname = strings.ReplaceAll(h.Linkname, "@", outside)
				real = append(real, entry{&h, e.content})
			}
			err := tree(open(t, root)).Unpack(t.Context(), streamOf(t, real...), "/", nil)
			if b, rerr := os.ReadFile(filepath.Join(outside, "canary")); rerr != nil || string(b) != "alive" {
				t.Errorf("%s, %s: the canary is %q, %v (unpacking: %v)", name, kind, b, rerr, err)
			}
			if names, _ := os.ReadDir(outside); len(names) != 2 {
				t.Errorf("%s, %s: outside there is %v", name, kind, names)
			}
		}
	}
}

// A folder that is swapped for a link to the outside, over and over, while files are read and written through it.
func TestSwappingAFolderForALinkLeadsNowhere(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(outside, "root")
	secret := filepath.Join(outside, "secret")
	must(t, os.MkdirAll(filepath.Join(root, "a/d"), 0o755), os.Mkdir(secret, 0o755), os.WriteFile(filepath.Join(secret, "f"), []byte("classified"), 0o600),
		os.WriteFile(filepath.Join(root, "a/d/f"), []byte("public"), 0o600), os.Symlink(secret, filepath.Join(root, "link")))
	var swaps atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		a, b := filepath.Join(root, "a/d"), filepath.Join(root, "link")
		for {
			select {
			case <-stop:
				return
			default:
			}
			if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
				swaps.Add(1)
			}
		}
	}()
	dir := open(t, root)
	for i := 0; i < 500 || swaps.Load() < 500; i++ {
		var b bytes.Buffer
		Inside(dir).Pack(t.Context(), &b, "/a/d/f", "f") // any error will do
		Inside(dir).Pack(t.Context(), &b, "/a", "a")
		if bytes.Contains(b.Bytes(), []byte("classified")) {
			t.Fatal("the secret was read")
		}
		for _, tree := range []Tree{Inside(dir), Below(dir)} {
			tree.Unpack(t.Context(), streamOf(t, entry{regular("f"), "public"}, entry{regular("d/f"), "public"}), "/a/d", nil)
			tree.Unpack(t.Context(), streamOf(t, entry{regular("a/d/g"), "evil"}), "/", nil)
		}
	}
	close(stop)
	<-stopped
	if b, err := os.ReadFile(filepath.Join(secret, "f")); err != nil || string(b) != "classified" {
		t.Errorf("the secret is %q, %v", b, err)
	}
	if names, _ := os.ReadDir(secret); len(names) != 1 {
		t.Errorf("beside it there is %v", names)
	}
}

func TestAFileThatShrinksIsFilledUp(t *testing.T) {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "f"), []byte("short"), 0o600))
	f, err := os.Open(filepath.Join(dir, "f"))
	must(t, err)
	defer f.Close()
	var b bytes.Buffer
	p := &packer{ctx: context.Background(), tar: tar.NewWriter(&b), buf: make([]byte, 8)}
	must(t, p.tar.WriteHeader(&tar.Header{Name: "f", Size: 20, Mode: 0o600}), p.copyContent(int(f.Fd()), "f", 20), p.tar.Close())
	r := tar.NewReader(&b)
	r.Next()
	if got, _ := io.ReadAll(r); string(got) != "short"+strings.Repeat("\x00", 15) {
		t.Errorf("got %q", got)
	}
}

func TestResolveFollowsLinksWithinTheRoot(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "etc"), 0o755), os.Symlink("/etc", filepath.Join(dir, "conf")), os.Symlink("../gone", filepath.Join(dir, "etc/dangling")),
		os.Symlink("loop", filepath.Join(dir, "loop")))
	tree := Inside(open(t, dir))
	for name, want := range map[string]string{"/conf": "/etc", "/etc/dangling": "/gone", "/etc": "/etc", "/nothing": "/nothing"} {
		if got, err := tree.Resolve(name); err != nil || got != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if _, err := tree.Resolve("/loop"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a loop is %v", err)
	}
}

// Whatever a stream is, unpacking it ends, and leaves nothing outside of the folder.
func FuzzUnpack(f *testing.F) {
	for _, name := range []string{"a", "../a", "a/b", "/a"} {
		b, _ := io.ReadAll(streamOf(f, entry{&tar.Header{Name: name, Linkname: "../x", Typeflag: tar.TypeSymlink}, ""}, entry{regular(name + "/c"), "text"}))
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		outside := t.TempDir()
		root := filepath.Join(outside, "root")
		must(t, os.Mkdir(root, 0o755))
		Inside(open(t, root)).Unpack(t.Context(), bytes.NewReader(stream), "/", &Owner{os.Getuid(), os.Getgid()})
		Below(open(t, root)).Unpack(t.Context(), bytes.NewReader(stream), "/", &Owner{os.Getuid(), os.Getgid()})
		if names, _ := os.ReadDir(outside); len(names) != 1 {
			t.Errorf("outside there is %v", names)
		}
	})
}
