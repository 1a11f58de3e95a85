package container

import (
	"strings"
	"testing"
)

func TestSplitPlace(t *testing.T) {
	for arg, want := range map[string][2]string{
		"web:/etc": {"web", "/etc"}, "web:a:b": {"web", "a:b"}, "./a:b": {"", "./a:b"}, "/a:b": {"", "/a:b"}, "file": {"", "file"}, "-": {"", "-"}, "web:": {"web", ""},
	} {
		if service, path := splitPlace(arg); service != want[0] || path != want[1] {
			t.Errorf("%q is %q and %q", arg, service, path)
		}
	}
}

// Docker's table: what is copied, what is there, how the paths end.
func TestPlacement(t *testing.T) {
	file := func(path string) place { return place{path: path, real: strings.TrimRight(path, "/."), exists: true} }
	dir := func(path string) place {
		return place{path: path, real: "/" + strings.Trim(path, "/."), exists: true, isDir: true}
	}
	nothing := func(path string) place { return place{path: path, real: "/" + strings.Trim(path, "/.")} }
	for _, c := range []struct {
		src, dst place
		into, as string
		fails    string
	}{
		{src: file("/s"), dst: nothing("/d"), into: "/", as: "d"},
		{src: file("/s"), dst: nothing("/d/"), fails: "/d/ does not exist"},
		{src: file("/s"), dst: file("/x/d"), into: "/x", as: "d"},
		{src: file("/s"), dst: dir("/d"), into: "/d", as: "s"},
		{src: file("/s"), dst: dir("/d/"), into: "/d", as: "s"},
		{src: file("/s/"), dst: dir("/d"), fails: "/s/ is no folder"},
		{src: file("/s/."), dst: dir("/d"), fails: "/s/. is no folder"},
		{src: file("/s"), dst: file("/d/"), fails: "/d/ is no folder"},
		{src: dir("/s"), dst: nothing("/d"), into: "/", as: "d"},
		{src: dir("/s"), dst: nothing("/d/"), into: "/", as: "d"},
		{src: dir("/s/."), dst: nothing("/x/d"), into: "/x", as: "d"},
		{src: dir("/s"), dst: file("/d"), fails: "a folder cannot take its place"},
		{src: dir("/s"), dst: dir("/d"), into: "/d", as: "s"},
		{src: dir("/s/"), dst: dir("/d"), into: "/d", as: "s"},
		{src: dir("/s/."), dst: dir("/d"), into: "/d", as: ""},
		{src: dir("/"), dst: dir("/d"), into: "/d", as: ""},
		{src: dir("."), dst: dir("/d"), into: "/d", as: ""},
		{src: nothing("/s"), dst: dir("/d"), fails: "/s does not exist"},
	} {
		into, as, err := placement(c.src, c.dst)
		switch {
		case c.fails != "":
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s to %s: %v", c.src.path, c.dst.path, err)
			}
		case err != nil || into != c.into || as != c.as:
			t.Errorf("%s to %s: into %q as %q, %v", c.src.path, c.dst.path, into, as, err)
		}
	}
}
