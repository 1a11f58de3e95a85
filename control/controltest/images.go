package controltest

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

var images = []behaviour{
	{"an image is loaded, found, named and removed", imaged},
	{"an image is built, and found again by who builds the same", built},
	{"an image is pulled, when it is asked for or missed", pulled},
	{"an image is pushed, and means the same to who pulls it", pushed},
	{"only images that nobody uses are pruned", imagesPruned},
}

// load stores the image of the archive and returns its id.
func (s *suite) load(from control.Archive) string {
	s.Helper()
	loaded := must(s.Images.Load(s.ctx, from, control.ImageWatch{}))(s)
	equal(s, "images of the archive", len(loaded), 1)
	return loaded[0].ID
}

func imaged(s *suite) {
	id := s.load(control.Archive{File: s.Archive})
	file := must(os.Open(s.Archive))(s)
	defer file.Close()
	equal(s, "the same image as a stream", s.load(control.Archive{Stream: file}), id)
	const probe, other = "localhost/podc-probe:latest", "localhost/suite:other"
	for range 2 {
		s.ok(s.Images.Tag(s.ctx, id[:12], other))
	}
	for _, is := range must(s.Images.Inspect(s.ctx, probe, other, id))(s) {
		equal(s, "id", is.ID, id)
	}
	list := must(s.Images.List(s.ctx, control.Filters{"reference": {"localhost/suite"}}))(s)
	if len(list) != 1 || list[0].ID != id || len(list[0].Names) != 2 {
		s.Errorf("listed as %+v", list)
	}
	equal(s, "images without a name", len(must(s.Images.List(s.ctx, control.Filters{"dangling": {"true"}}))(s)), 0)
	gone := must(s.Images.Remove(s.ctx, []string{probe}, false))(s)
	equal(s, "what went", strings.Join(gone.Untagged, " ")+strings.Join(gone.Deleted, " "), probe)
	gone = must(s.Images.Remove(s.ctx, []string{other}, false))(s)
	equal(s, "what went", strings.Join(gone.Deleted, " "), id)
	s.is(failed(s.Images.Inspect(s.ctx, id)), errdefs.IsNotFound)
	if must(s.Images.Where(s.ctx))(s) == "" {
		s.Error("images are nowhere")
	}
}

func built(s *suite) {
	dir := s.TempDir()
	write := func(name, text string) { s.ok(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)) }
	write("Dockerfile", "FROM "+s.Image+"\nCOPY content /content\n")
	write("content", "one")
	steps := 0
	watch := control.ImageWatch{Progress: func(e api.Progress) { steps = max(steps, e.Step) }}
	b := api.Build{Context: dir, Names: []string{"localhost/suite:built"}}
	id := must(s.Images.Build(s.ctx, b, watch))(s)
	if steps == 0 {
		s.Error("nothing was heard of it")
	}
	equal(s, "the id of its name", must(s.Images.Inspect(s.ctx, b.Names[0]))(s)[0].ID, id)
	equal(s, "the same once more", must(s.Images.Build(s.ctx, b, control.ImageWatch{}))(s), id)

	a := s.sleeper("a")
	a.Pod.Container.Image, a.Build = b.Names[0], &b
	var h heard
	write("content", "two")
	s.ok(s.Projects.Build(s.ctx, desired(a), project.BuildOptions{}, h.watch()))
	if must(s.Images.Inspect(s.ctx, b.Names[0]))(s)[0].ID == id {
		s.Error("a file has changed, and the image is the same")
	}
	s.is(s.Projects.Build(s.ctx, desired(a), project.BuildOptions{Services: []string{"gone"}}, control.Watch{}), errdefs.IsNotFound)
	write("Dockerfile", "FROM scratch\nCOPY absent /\n")
	if err := failed(s.Images.Build(s.ctx, b, control.ImageWatch{})); err == nil {
		s.Error("a file that is not there was copied")
	}
	for _, ref := range []string{b.Names[0], id} {
		_, err := s.Images.Remove(s.ctx, []string{ref}, true)
		s.ok(err)
	}
}

func pulled(s *suite) {
	heard := 0
	watch := control.ImageWatch{Progress: func(api.Progress) { heard++ }}
	id := must(s.Images.Pull(s.ctx, s.Remote, watch))(s).ID
	if heard == 0 {
		s.Error("nothing was heard of it")
	}
	equal(s, "the same image again", must(s.Images.Pull(s.ctx, s.Remote, control.ImageWatch{}))(s).ID, id)
	s.is(failed(s.Images.Pull(s.ctx, s.Remote+"-none", watch)), errdefs.IsNotFound)
	s.ok(failed(s.Images.Remove(s.ctx, []string{s.Remote}, false)))

	a := s.service("a", "")
	a.Pod.Container.Image, a.Pull = s.Remote, project.PullNever
	opt := control.UpOptions{UpOptions: project.UpOptions{NoStart: true}}
	s.is(s.Projects.Up(s.ctx, desired(a), opt, control.Watch{}), errdefs.IsNotFound)
	a.Pull = project.PullMissing
	s.ok(s.Projects.Pull(s.ctx, desired(a), project.PullOptions{}, control.Watch{}))
	s.is(s.Projects.Pull(s.ctx, desired(a), project.PullOptions{Services: []string{"gone"}}, control.Watch{}), errdefs.IsNotFound)
	equal(s, "the same image pulled for a project", must(s.Images.Inspect(s.ctx, s.Remote))(s)[0].ID, id)
	s.ok(failed(s.Images.Remove(s.ctx, []string{s.Remote}, false)))
	var prepared []string
	s.ok(s.Projects.Up(s.ctx, desired(a), opt, control.Watch{Report: func(e project.Event) {
		if e.Kind == project.PrepareEnded {
			prepared = append(prepared, e.Image)
		}
	}}))
	equal(s, "prepared", strings.Join(prepared, " "), s.Remote)
	equal(s, "image", s.pod("a").Image.ID, id)
	s.status("a", api.StatusCreated)
	s.ok(s.Projects.Down(s.ctx, desired(a), project.DownOptions{RemoveImages: "all"}, control.Watch{}))
	s.is(failed(s.Images.Inspect(s.ctx, id)), errdefs.IsNotFound)
}

func pushed(s *suite) {
	id := must(s.Images.Pull(s.ctx, s.Remote, control.ImageWatch{}))(s).ID
	other := s.Remote + "-pushed"
	s.ok(s.Images.Tag(s.ctx, s.Remote, other))
	heard := 0
	digest := must(s.Images.Push(s.ctx, other, control.ImageWatch{Progress: func(api.Progress) { heard++ }}))(s)
	if heard == 0 || !strings.HasPrefix(digest, "sha256:") {
		s.Errorf("%d events, digest %q", heard, digest)
	}
	a := s.service("a", "")
	a.Pod.Container.Image, a.Build = other, &api.Build{Names: []string{other}}
	s.ok(s.Projects.Push(s.ctx, desired(a), project.PushOptions{}, control.Watch{}))
	s.is(s.Projects.Push(s.ctx, desired(a), project.PushOptions{Services: []string{"gone"}}, control.Watch{}), errdefs.IsNotFound)
	s.is(failed(s.Images.Push(s.ctx, other+"-none", control.ImageWatch{})), errdefs.IsNotFound)
	s.ok(failed(s.Images.Remove(s.ctx, []string{s.Remote, other}, false)))
	equal(s, "what was pushed", must(s.Images.Pull(s.ctx, other, control.ImageWatch{}))(s).ID, id)
	s.ok(failed(s.Images.Remove(s.ctx, []string{other}, false)))
}

func imagesPruned(s *suite) {
	id := s.load(control.Archive{File: s.Archive})
	s.up(s.sleeper("a"))
	equal(s, "removed", len(must(s.Images.Prune(s.ctx, nil, false))(s).Names), 0)
	gone := must(s.Images.Prune(s.ctx, control.Filters{"reference": {"localhost/podc-probe"}}, true))(s)
	equal(s, "removed", strings.Join(gone.Names, " "), id)
	must(s.Images.Inspect(s.ctx, s.Image))(s) // it is in use
	s.is(failed(s.Images.Remove(s.ctx, []string{s.Image}, true)), errdefs.IsFailedPrecondition)
	s.status("a", api.StatusRunning)
}
