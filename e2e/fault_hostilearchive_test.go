package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// entry is one entry of a tar stream.
type entry struct {
	tar.Header
	content string
}

func file(name, content string) entry {
	return entry{tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg}, content}
}

func special(kind byte, name, link string) entry {
	return entry{tar.Header{Name: name, Mode: 0o755, Typeflag: kind, Linkname: link}, ""}
}

// tarOf is a tar stream of entries.
func tarOf(t *testing.T, entries ...entry) string {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.content))
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatal(e.Name[:min(len(e.Name), 50)], err)
		}
		w.Write([]byte(e.content))
	}
	w.Close()
	return b.String()
}

func digestOf(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

// hostileImage is an image in docker's format, of layers that are tar streams. Change makes the configuration another.
func hostileImage(t *testing.T, change func(manifest, config map[string]any), layers ...string) string {
	entries, names, diffs := []entry{}, []string{}, []string{}
	for i, l := range layers {
		names, diffs = append(names, fmt.Sprintf("%d/layer.tar", i)), append(diffs, "sha256:"+digestOf(l))
		entries = append(entries, file(names[i], l))
	}
	config := map[string]any{"architecture": "amd64", "os": "linux", "config": map[string]any{"Cmd": []string{"/x"}}, "rootfs": map[string]any{"type": "layers", "diff_ids": diffs}}
	manifest := map[string]any{"Config": "config.json", "RepoTags": []string{"localhost/hostile:1"}, "Layers": names}
	if change != nil {
		change(manifest, config)
	}
	c, _ := json.Marshal(config)
	m, _ := json.Marshal([]any{manifest})
	return tarOf(t, append(entries, file("config.json", string(c)), file("manifest.json", string(m)))...)
}

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write([]byte(s))
	w.Close()
	return b.String()
}

// TestHostileArchives: no image archive breaks podc, costs much, or reaches anything outside of the store.
func TestHostileArchives(t *testing.T) {
	s := newStack(t, "services: {}\n")
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
	add := func(name, want, archive string) {
		list = append(list, hostile{name: name, want: want, files: map[string]string{"a.tar": archive}, args: []string{"load", "-q", "-i", "a.tar"}})
	}
	layer := func(name, want string, entries ...entry) {
		add("layer: "+name, want, hostileImage(t, nil, tarOf(t, entries...)))
	}
	changed := func(name, want string, change func(manifest, config map[string]any)) {
		add("configuration: "+name, want, hostileImage(t, change, good))
	}
	inConfig := func(name, want, key string, value any) {
		changed(name, want, func(_, c map[string]any) { c["config"].(map[string]any)[key] = value })
	}
	layer("up", "ok", file(up+outside+"/new", "x"))
	layer("up inside", "ok", file("a/../../../x", "x"))
	layer("absolute", "ok", file(canary, "x"))
	layer("through a link", "ok", special(tar.TypeSymlink, "l", outside), file("l/new", "x"))
	layer("through a link over the canary", "ok", special(tar.TypeSymlink, "l", outside), file("l/canary", "x"))
	layer("through a relative link", "ok", special(tar.TypeSymlink, "l", up+outside), file("l/new", "x"))
	layer("a hard link to the host", "cannot load", special(tar.TypeLink, "h", canary), file("h", "x"))
	layer("a hard link up", "cannot load", special(tar.TypeLink, "h", up+canary), file("h", "x"))
	layer("a hard link to nothing", "cannot load", special(tar.TypeLink, "h", "none"))
	layer("a hard link to itself", "cannot load", special(tar.TypeLink, "h", "h"))
	layer("a link to itself", "cannot load", special(tar.TypeSymlink, "l", "l"), file("l/x", "x"))
	layer("a hard link through a link", "cannot load", special(tar.TypeSymlink, "l", outside), special(tar.TypeLink, "h", "l/canary"), file("h", "x"))
	layer("a folder over a link", "cannot load", special(tar.TypeSymlink, "l", outside), special(tar.TypeDir, "l", ""), file("l/new", "x"))
	layer("a device", "ok", entry{tar.Header{Name: "d", Typeflag: tar.TypeBlock, Devmajor: 8, Mode: 0o666}, ""})
	layer("a strange device", "ok", entry{tar.Header{Name: "d", Typeflag: tar.TypeChar, Devmajor: 99999, Devminor: 99999}, ""})
	layer("a pipe", "ok", special(tar.TypeFifo, "p", ""))
	layer("a whiteout up", "ok", file("../.wh.canary", ""))
	layer("a whiteout of the host", "ok", file(up+outside+"/.wh.canary", ""))
	layer("a whiteout through a link", "ok", special(tar.TypeSymlink, "l", outside), file("l/.wh.canary", ""))
	layer("a whiteout of nothing", "cannot load", file(".wh.", ""))
	layer("a whiteout of the root", "cannot load", file(".wh...", ""))
	layer("an opaque root", "ok", file(".wh..wh..opq", ""))
	layer("an opaque link", "ok", special(tar.TypeSymlink, "l", outside), file("l/.wh..wh..opq", ""))
	layer("a name of nothing", "cannot load", file("", "x"))
	layer("a name of dots", "cannot load", file("..", "x"))
	layer("a long name", "cannot load", file(strings.Repeat("n", 300), "x"))
	layer("a long path", "cannot load", file(strings.Repeat("p/", 3000)+"x", "x"))
	layer("100 folders", "ok", file(strings.Repeat("p/", 100)+"x", "x"))
	layer("2000 folders", "more than 100 folders deep", file(strings.Repeat("p/", 2000)+"x", "x"))
	layer("2000 files through links to links", "more than 100 folders deep", func() (list []entry) {
		at := ""
		for i := range 16 {
			list = append(list, file(at+strings.Repeat("p/", 90)+"x", ""), special(tar.TypeSymlink, fmt.Sprint("l", i), at+strings.Repeat("p/", 90)))
			at = fmt.Sprint("l", i, "/")
		}
		for i := range 2000 {
			list = append(list, file(fmt.Sprint(at, i), ""))
		}
		return list
	}()...)
	layer("control characters", "ok", file("\x1b[31m\a", "x"))
	layer("no text", "ok", file("\xff\xfe", "x"))
	layer("setuid", "ok", entry{tar.Header{Name: "s", Mode: 0o6755, Typeflag: tar.TypeReg}, "x"})
	layer("a large owner", "ok", entry{tar.Header{Name: "s", Mode: 0o755, Uid: 1 << 31, Gid: 1 << 31, Typeflag: tar.TypeReg}, "x"})
	layer("the same twice", "cannot load", file("x", "1"), file("x", "2"), special(tar.TypeDir, "x", ""), file("x/y", "3"))
	layer("an attribute of the host's", "ok", entry{tar.Header{Name: "s", Mode: 0o755, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}}, "x"})
	layer("a large attribute", "cannot load", entry{tar.Header{Name: "s", Mode: 0o755, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"SCHILY.xattr.user.a": strings.Repeat("x", 500_000)}}, "x"})
	// More would measure ext4, which takes no inode again within 5 s: where as many files were just removed, a new one costs it 0.3 ms.
	layer("1000 files", "ok", func() (list []entry) {
		for i := range 1000 {
			list = append(list, file(fmt.Sprint("f", i), ""))
		}
		return list
	}()...)
	layer("8 MB of nothing", "ok", file("zero", strings.Repeat("\x00", 8<<20)))
	add("layer: holes", "sparse files", hostileImage(t, nil, sparse(t, "s", holes)))
	add("layer: a small hole", "ok", hostileImage(t, nil, sparse(t, "s", 1<<20)))
	add("holes", "sparse files", withoutEnd(sparse(t, "0/layer.tar", holes))+hostileImage(t, nil, good))
	add("layer: cut off", "ok", hostileImage(t, nil, good[:600]))
	add("layer: no tar", "cannot load", hostileImage(t, nil, strings.Repeat("no tar ", 200)))
	add("layer: empty", "ok", hostileImage(t, nil, ""))
	add("layer: compressed", "cannot load", hostileImage(t, nil, gzipped(good)))
	add("layer: 8 MB compressed", "cannot load", hostileImage(t, nil, gzipped(tarOf(t, file("zero", strings.Repeat("\x00", 8<<20))))))
	add("600 layers", "600 layers", hostileImage(t, nil, func() (list []string) {
		for i := range 600 {
			list = append(list, tarOf(t, file(fmt.Sprint("f", i), "x")))
		}
		return list
	}()...))
	add("no layers", "ok", hostileImage(t, nil))
	changed("another digest", "cannot load", func(_, c map[string]any) {
		c["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digestOf("x")}}
	})
	changed("no digest", "cannot load", func(_, c map[string]any) { c["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"x"}} })
	changed("a digest that is a path", "cannot load", func(_, c map[string]any) {
		c["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"sha256:../../x"}}
	})
	changed("more digests than layers", "cannot load", func(_, c map[string]any) {
		c["rootfs"] = map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digestOf(good), "sha256:" + digestOf(good)}}
	})
	changed("no rootfs", "cannot load", func(_, c map[string]any) { delete(c, "rootfs") })
	changed("rootfs null", "cannot load", func(_, c map[string]any) { c["rootfs"] = nil })
	changed("another machine", "ok", func(_, c map[string]any) { c["architecture"] = "s390x" })
	changed("another system", "ok", func(_, c map[string]any) { c["os"] = "windows" })
	changed("a layer outside", "cannot load", func(m, _ map[string]any) { m["Layers"] = []string{up + canary} })
	changed("a layer that is not there", "cannot load", func(m, _ map[string]any) { m["Layers"] = []string{"none"} })
	changed("layers null", "cannot load", func(m, _ map[string]any) { m["Layers"] = nil })
	changed("a configuration outside", "cannot load", func(m, _ map[string]any) { m["Config"] = up + canary })
	changed("a configuration that is not there", "cannot load", func(m, _ map[string]any) { m["Config"] = "none" })
	changed("a tag with control characters", "cannot load", func(m, _ map[string]any) { m["RepoTags"] = []string{"\x1b[31m:\a"} })
	changed("a tag that is a path", "cannot load", func(m, _ map[string]any) { m["RepoTags"] = []string{"../../x:y"} })
	changed("many tags", "ok", func(m, _ map[string]any) {
		var tags []string
		for i := range 2000 {
			tags = append(tags, fmt.Sprint("localhost/t:", i))
		}
		m["RepoTags"] = tags
	})
	inConfig("environment with NUL", "ok", "Env", []string{"A=\x00"})
	inConfig("environment without a name", "ok", "Env", []string{"=x", "y"})
	inConfig("a user that is none", "ok", "User", "99999999999:x:y")
	inConfig("a relative folder", "ok", "WorkingDir", "../../x")
	inConfig("volumes over the kernel's", "ok", "Volumes", map[string]any{"/proc": nil, "/": nil})
	inConfig("a label with an escape", "ok", "Labels", map[string]string{"\x1b[31m": "\a"})
	inConfig("a type that is another", "cannot load", "Env", 5)
	add("no manifest", "cannot load", tarOf(t, file("x", "x")))
	add("a manifest that is null", "holds no image", tarOf(t, file("manifest.json", "null")))
	add("a manifest that is empty", "holds no image", tarOf(t, file("manifest.json", "[]")))
	add("a manifest that is no JSON", "cannot load", tarOf(t, file("manifest.json", "[{")))
	add("a manifest that is deep", "cannot load", tarOf(t, file("manifest.json", strings.Repeat("[", 100_000))))
	add("a manifest that is a link", "cannot load", tarOf(t, special(tar.TypeSymlink, "manifest.json", canary)))
	add("a manifest that is a pipe", "cannot load", tarOf(t, special(tar.TypeFifo, "manifest.json", "")))
	add("an OCI index without blobs", "cannot load", tarOf(t, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+digestOf("x")+`","size":1}]}`)))
	add("an OCI digest that is a path", "cannot load", tarOf(t, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+up+canary+`","size":5}]}`)))
	add("an OCI blob of another digest", "cannot load", tarOf(t, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:`+digestOf("x")+`","size":1}]}`), file("blobs/sha256/"+digestOf("x"), "y")))
	add("an OCI file that leads out", "holds no image", tarOf(t, file("oci-layout", `{"imageLayoutVersion":"1.0.0"}`), special(tar.TypeSymlink, "blobs", outside), file("blobs/new", "x"), file("index.json", "{}")))
	add("nothing", "cannot load", "")
	add("no tar", "cannot load", strings.Repeat("x", 10_000))
	add("zeros", "cannot load", strings.Repeat("\x00", 10_000))
	add("cut off", "cannot load", hostileImage(t, nil, good)[:2000])
	add("compressed and cut off", "cannot load", gzipped(hostileImage(t, nil, good))[:100])
	add("compressed", "ok", gzipped(hostileImage(t, nil, good)))
	checkAll(t, s, list)
	s.podc("image", "prune", "-a", "-f")
	if b, err := os.ReadFile(canary); err != nil || string(b) != "whole" {
		t.Errorf("the canary: %q, %v", b, err)
	}
	if found, _ := os.ReadDir(outside); len(found) != 1 {
		t.Errorf("something was written beside the canary: %v", found)
	}
}
