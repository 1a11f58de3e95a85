package e2e

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sparse is an entry of a file that is all hole, in the form of PAX; Go writes none.
func sparse(t *testing.T, name string, size int64) string {
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=" + name, fmt.Sprint("GNU.sparse.realsize=", size)} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r) // of two digits each
	}
	header := []byte(withoutEnd(tarOf(t, file("pax", records))))
	header[156] = tar.TypeXHeader
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	spots := fmt.Sprintf("1\n%d\n0\n", size)
	return string(header) + tarOf(t, file(name, spots+strings.Repeat("\x00", 512-len(spots))))
}

// withoutEnd is a tar stream that another may follow.
func withoutEnd(stream string) string { return stream[:len(stream)-1024] }

// holes is more than is taken of sparse files, and yet no disk is full if it is.
const holes = 3 << 30

// TestHostileStreams: no tar stream that is copied into a container reaches anything outside of the container, or costs much.
func TestHostileStreams(t *testing.T) {
	s := newStack(t, "services: {a: {image: localhost/podc-busybox, scale: 2}}\n")
	s.load("busybox")
	s.podc("create")
	outside := filepath.Join(filepath.Dir(s.dir), "outside")
	if err := os.MkdirAll(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	canary := filepath.Join(outside, "canary")
	if err := os.WriteFile(canary, []byte("whole"), 0o644); err != nil {
		t.Fatal(err)
	}
	up := strings.Repeat("../", 30)
	good := tarOf(t, file("x", "x"))
	var list []hostile
	var folders []entry
	raw := func(name, want, stream string) {
		dir := fmt.Sprint("c", len(list))
		folders = append(folders, special(tar.TypeDir, dir, ""))
		args := []string{"-p", "p", "cp", "--index", "1", "-", "a:/" + dir}
		if len(list)%2 == 1 {
			args = []string{"container", "cp", "-", "p-a-2:/" + dir}
		}
		list = append(list, hostile{name: name, want: want, args: args, files: map[string]string{"stdin": stream}})
	}
	add := func(name, want string, entries ...entry) { raw(name, want, tarOf(t, entries...)) }
	each := func(n int, of func(i int) []entry) (all []entry) {
		for i := range n {
			all = append(all, of(i)...)
		}
		return all
	}
	add("up", "ok", file(up+outside+"/new", "x"))
	add("up inside", "ok", file("a/../../../x", "x"))
	add("absolute", "ok", file(canary, "x"))
	add("through a link", "not a directory", special(tar.TypeSymlink, "l", outside), file("l/new", "x"))
	add("through a relative link", "not a directory", special(tar.TypeSymlink, "l", up+outside), file("l/canary", "x"))
	add("through a link to the process", "cannot copy", special(tar.TypeSymlink, "l", "/proc/self/root"), file("l"+canary, "x"))
	add("through a link to podc's folder", "cannot copy", special(tar.TypeSymlink, "l", "/proc/self/cwd"), file("l/x", "x"))
	add("over a link", "ok", special(tar.TypeSymlink, "l", canary), file("l", "x"))
	add("a folder over a link", "cannot overwrite", special(tar.TypeSymlink, "l", outside), special(tar.TypeDir, "l", ""), file("l/new", "x"))
	add("a link to itself", "too many levels", special(tar.TypeSymlink, "l", "l"), file("l/x", "x"))
	add("a hard link to the host", "no such file", special(tar.TypeLink, "h", canary), file("h", "x"))
	add("a hard link up", "no such file", special(tar.TypeLink, "h", up+canary), file("h", "x"))
	add("a hard link through a link", "no such file", special(tar.TypeSymlink, "l", outside), special(tar.TypeLink, "h", "l/canary"), file("h", "x"))
	add("a hard link to a link", "ok", special(tar.TypeSymlink, "l", canary), special(tar.TypeLink, "h", "l"), file("h", "x"))
	add("a hard link to itself", "no such file", special(tar.TypeLink, "h", "h"))
	add("a hard link to a folder", "cannot copy", special(tar.TypeDir, "d", ""), special(tar.TypeLink, "h", "d"))
	add("a hard link to nothing", "cannot copy", special(tar.TypeLink, "h", ""))
	add("a device", "ok", entry{tar.Header{Name: "d", Typeflag: tar.TypeBlock, Devmajor: 8, Mode: 0o666}, ""})
	add("a strange device", "ok", entry{tar.Header{Name: "d", Typeflag: tar.TypeChar, Devmajor: 99999, Devminor: 99999}, ""})
	add("a pipe", "ok", special(tar.TypeFifo, "p", ""))
	add("over a pipe", "ok", special(tar.TypeFifo, "p", ""), file("p", "x"))
	add("a kind that is none", "are not known", special('Z', "z", ""))
	add("setuid", "ok", entry{tar.Header{Name: "s", Mode: 0o6755, Typeflag: tar.TypeReg}, "x"})
	add("a large owner", "ok", entry{tar.Header{Name: "s", Uid: 1 << 31, Gid: 1 << 31, Typeflag: tar.TypeReg}, "x"})
	add("an owner that is none", "is not between", entry{tar.Header{Name: "s", Uid: 1<<32 - 1, Gid: 1 << 40, Typeflag: tar.TypeReg}, "x"})
	add("a negative owner", "is not between", entry{tar.Header{Name: "s", Uid: -1, Gid: -1, Typeflag: tar.TypeReg, Format: tar.FormatGNU}, "x"})
	add("a time beyond all times", "ok", entry{tar.Header{Name: "s", ModTime: time.Unix(1<<55, 0), Typeflag: tar.TypeReg, Format: tar.FormatPAX}, "x"})
	add("an attribute of the host's", "ok", entry{tar.Header{Name: "s", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}}, "x"})
	add("capabilities that are none", "set the capabilities", entry{tar.Header{Name: "s", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "x"}}, "x"})
	add("a name of nothing", "ok", file("", "x"))
	add("a name of dots", "ok", file("..", "x"))
	add("control characters", "ok", file("\x1b[31m\a", "x"))
	add("control characters in what fails", "cannot overwrite", special(tar.TypeDir, "\x1b[31m\a", ""), file("\x1b[31m\a", "x"))
	add("no text", "ok", file("\xff\xfe", "x"))
	add("a long name", "255 bytes", file(strings.Repeat("n", 256), "x"))
	add("a name of 500 KB", "4095 bytes", file(strings.Repeat("n", 500_000), "x"))
	add("a link of 500 KB", "4095 bytes", special(tar.TypeSymlink, "l", strings.Repeat("n", 500_000)))
	add("a path of 500 KB", "4095 bytes", file(strings.Repeat("p/", 250_000)+"x", "x"))
	add("2000 folders", "ok", file(strings.Repeat("p/", 2000)+"x", "x"))
	add("300 times 2000 folders", "ok", each(300, func(i int) []entry {
		return []entry{file(fmt.Sprint(strings.Repeat("p/", 2000), i), "x"), file(fmt.Sprint(i), "x")}
	})...)
	add("1000 files through links to links", "ok", each(1016, func(i int) []entry {
		at := ""
		if i > 0 {
			at = fmt.Sprintf("l%d/", min(i-1, 15))
		}
		if i > 15 {
			return []entry{file(fmt.Sprint(at, i), "")}
		}
		return []entry{file(at+strings.Repeat("p/", 300)+"x", ""), special(tar.TypeSymlink, fmt.Sprint("l", i), at+strings.Repeat("p/", 300))}
	})...)
	add("1000 files", "ok", each(1000, func(i int) []entry { return []entry{file(fmt.Sprint(i), "")} })...)
	add("1000 folders", "ok", each(1000, func(i int) []entry { return []entry{special(tar.TypeDir, fmt.Sprint(i), "")} })...)
	add("20,000 times the same", "ok", each(20_000, func(int) []entry { return []entry{special(tar.TypeDir, "d", "")} })...)
	add("one file and folder in turns", "cannot overwrite", file("x", "1"), special(tar.TypeDir, "x", ""))
	add("8 MB of nothing", "ok", file("zero", strings.Repeat("\x00", 8<<20)))
	raw("holes", "sparse", sparse(t, "s", holes))
	raw("many holes", "sparse", strings.Repeat(withoutEnd(sparse(t, "s", 600<<20)), 2))
	raw("a small hole", "ok", sparse(t, "s", 1<<20))
	raw("nothing", "ok", "")
	raw("zeros", "ok", strings.Repeat("\x00", 10_000))
	raw("no tar", "invalid tar header", strings.Repeat("x", 10_000))
	raw("cut off", "unexpected EOF", tarOf(t, file("x", strings.Repeat("x", 1000)))[:700])
	raw("cut off in the header", "unexpected EOF", good[:300])
	raw("a bad checksum", "invalid tar header", strings.Replace(good, "x", "y", 1))
	raw("a bad checksum later", "invalid tar header", good[:1024]+strings.Replace(good, "x", "y", 1))
	raw("compressed", "cannot read the tar stream", gzipped(good))
	var several []hostile
	for _, h := range list[len(list)-6:] {
		h.args = []string{"-p", "p", "cp", "-", "a:/tmp"}
		h.name += ", to several"
		several = append(several, h)
	}
	cmd := s.cmd(t.Context(), "cp", "-", "a:/")
	cmd.Stdin = strings.NewReader(tarOf(t, folders...))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	checkAll(t, s, append(list, several...))
	if b, err := os.ReadFile(canary); err != nil || string(b) != "whole" {
		t.Errorf("the canary: %q, %v", b, err)
	}
	if found, _ := os.ReadDir(outside); len(found) != 1 {
		t.Errorf("something was written beside the canary: %v", found)
	}
}
