package controltest

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

var files = []behaviour{
	{"files are put into a container and got from it, whether it runs or not", copied},
	{"no link leads out of a container", confined},
	{"a copy that its asker gives up changes nothing", declined},
	{"the files of a container are exported", exported},
	{"an image is made of a container", committed},
}

// tarOf is a tar stream of one file.
func tarOf(name, content string) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: name, Mode: 0o640, Uid: 1000, Gid: 1000, Size: int64(len(content)), Typeflag: tar.TypeReg})
	io.WriteString(w, content)
	w.Close()
	return &b
}

// contents are the regular files of a tar stream.
func (s *suite) contents(r io.Reader) map[string]string {
	s.Helper()
	found := map[string]string{}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return found
		}
		s.ok(err)
		if h.Typeflag == tar.TypeReg {
			found[h.Name] = string(must(io.ReadAll(t))(s))
		}
	}
}

// get returns what is at a path, and what it is said to be.
func (s *suite) get(path string, follow bool) (st control.FileStat, found map[string]string) {
	s.Helper()
	var b bytes.Buffer
	s.ok(s.Files.Get(s.ctx, nameOf("a"), path, follow, func(is control.FileStat) (io.Writer, string, error) {
		st = is
		return &b, "as", nil
	}))
	return st, s.contents(&b)
}

func (s *suite) put(path, name, content string, asRoot bool) {
	s.Helper()
	s.ok(s.Files.Put(s.ctx, nameOf("a"), path, asRoot, func(is control.FileStat) (string, io.Reader, error) {
		equal(s, "put into", is, control.FileStat{Path: path, Exists: true, IsDir: true})
		return is.Path, tarOf(name, content), nil
	}))
}

func copied(s *suite) {
	s.up(s.sleeper("a"))
	s.put("/tmp", "x", "one", false)
	equal(s, "owner", s.sh("a", "stat -c '%u %g %a' /tmp/x; cat /tmp/x"), "1000 1000 640\none")
	s.put("/tmp", "x", "two", true)
	equal(s, "owner", s.sh("a", "stat -c '%u %g' /tmp/x"), "0 0")
	s.ok(s.Containers.Stop(s.ctx, nameOf("a"), control.StopOptions{}))
	s.put("/tmp", "y", "three", false)
	st, found := s.get("/tmp/x", false)
	equal(s, "stat", st, control.FileStat{Path: "/tmp/x", Exists: true})
	equal(s, "content", found["as"], "two")
	_, found = s.get("/tmp", false)
	equal(s, "content", found["as/x"]+" "+found["as/y"], "two three")
}

func confined(s *suite) {
	s.up(s.sleeper("a"))
	s.sh("a", "echo here > /tmp/file; ln -s /../../tmp/file /tmp/link; ln -s /../../../nowhere /tmp/lost")
	st, found := s.get("/tmp/link", true)
	equal(s, "stat", st, control.FileStat{Path: "/tmp/file", Exists: true})
	equal(s, "content", found["as"], "here\n")
	st, found = s.get("/tmp/link", false)
	equal(s, "stat", st, control.FileStat{Path: "/tmp/link", Exists: true})
	equal(s, "files", len(found), 0)
	err := s.Files.Get(s.ctx, nameOf("a"), "/tmp/lost", true, func(is control.FileStat) (io.Writer, string, error) {
		equal(s, "stat", is, control.FileStat{Path: "/nowhere"})
		return nil, "", errEnough
	})
	s.is(err, isEnough)
}

func declined(s *suite) {
	s.up(s.sleeper("a"))
	s.is(s.Files.Put(s.ctx, nameOf("a"), "/tmp/none", false, func(is control.FileStat) (string, io.Reader, error) {
		equal(s, "stat", is, control.FileStat{Path: "/tmp/none"})
		return "", nil, errEnough
	}), isEnough)
	half := io.MultiReader(io.LimitReader(tarOf("x", "one"), 100), &broken{})
	s.is(s.Files.Put(s.ctx, nameOf("a"), "/tmp", false, func(control.FileStat) (string, io.Reader, error) { return "/tmp", half, nil }), isEnough)
	s.is(s.Files.Export(s.ctx, nameOf("a"), broken{}), isEnough)
	equal(s, "files", s.sh("a", "ls /tmp"), "")
}

// broken is a stream that fails.
type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, errEnough }
func (broken) Write([]byte) (int, error) { return 0, errEnough }

func exported(s *suite) {
	a := s.sleeper("a")
	a.Pod.Container.Mounts = []api.Mount{{Type: api.MountVolume, Target: "/data"}}
	s.up(a)
	s.sh("a", "echo one > /tmp/x; echo two > /data/y")
	var b bytes.Buffer
	s.ok(s.Files.Export(s.ctx, nameOf("a"), &b))
	found := s.contents(&b)
	if found["tmp/x"] != "one\n" || found["data/y"] != "" {
		s.Errorf("it has %q and %q", found["tmp/x"], found["data/y"])
	}
}

func committed(s *suite) {
	s.up(s.sleeper("a"))
	s.sh("a", "echo one > /tmp/x")
	opt := control.CommitOptions{Name: "localhost/suite:made", Changes: []string{"CMD cat /tmp/x"}, Pause: true, DryRun: true}
	warn := func(text string) { s.Error(text) }
	equal(s, "id", must(s.Files.Commit(s.ctx, nameOf("a"), opt, warn))(s), "")
	opt.DryRun = false
	odd := opt
	odd.Name = "No Name"
	s.is(failed(s.Files.Commit(s.ctx, nameOf("a"), odd, warn)), errdefs.IsInvalidArgument)
	id := must(s.Files.Commit(s.ctx, nameOf("a"), opt, warn))(s)
	if !strings.HasPrefix(id, "sha256:") {
		s.Errorf("id %q", id)
	}
	s.status("a", api.StatusRunning)
	made := s.service("made", "")
	made.Pod.Container.Image, made.Pod.Container.Command = opt.Name, nil
	s.up(made)
	s.printed("made", "one")
	equal(s, "image", "sha256:"+s.pod("made").Image.ID, id)
	s.is(failed(s.Images.Remove(s.ctx, []string{id}, true)), errdefs.IsFailedPrecondition)
	s.ok(s.Projects.Down(s.ctx, project.Desired{Name: group}, project.DownOptions{RemoveOrphans: true}, control.Watch{}))
	must(s.Images.Remove(s.ctx, []string{id}, true))(s)
}
