package e2e

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestImagesAndArchivesOfContainers(t *testing.T) {
	withEachOverlay(t, func(t *testing.T, env ...string) {
		t.Parallel()
		s := newStack(t, `
services:
  web:
    image: localhost/podc-busybox
    command: sh -c "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    environment: {MODE: prod}
    labels: {team: shop}
    volumes: ['data:/data']
    scale: 2
    configs: [{source: c, target: /etc/app.conf}]
  made: {image: localhost/made, command: sh -c 'cat /new; ls /etc/group /usr/games; echo $$MODE $$MORE', profiles: [made]}
volumes: {data: {}}
configs: {c: {content: 'the config'}}
`)
		s.env = env
		s.load("busybox")
		s.podc("up", "-d", "web")
		s.podc("exec", "-T", "web", "sh", "-c", "echo new > /new; rm /etc/group; rm -rf /usr/games; mkdir -p /usr/games/again; chown 12:34 /new; echo v > /data/in-volume")

		// Of files that a program has synced, a power cut left empty ones: PostgreSQL did not start again.
		s.behaves("what a program syncs outside of volumes is synced, but for what goes with its run", func(s *stack) {
			root := func(args ...string) string { return s.podc(append(args, "grep", " / overlay ", "/proc/mounts")...) }
			if options := root("exec", "-T", "web"); strings.Contains(options, "volatile") {
				s.t.Error("of a service:", options)
			}
			if options := root("run", "--rm", "-T", "--no-deps", "web"); !strings.Contains(options, "volatile") {
				s.t.Error("of run --rm:", options)
			}
		})
		s.behaves("export writes the root filesystem and nothing that is mounted", func(s *stack) {
			s.podc("export", "-o", "root.tar", "web")
			f, err := os.Open(filepath.Join(s.dir, "root.tar"))
			if err != nil {
				s.t.Fatal(err)
			}
			defer f.Close()
			files := entriesOf(s.t, f)
			if h := files["new"]; h == nil || h.Uid != 12 || h.Gid != 34 || h.Size != 4 {
				s.t.Errorf("/new is %+v", h)
			}
			for _, name := range []string{"etc/group", "data/in-volume", "proc/1", "proc/1/"} {
				if files[name] != nil {
					s.t.Errorf("%s is in it", name)
				}
			}
			if files["bin/busybox"] == nil && files["usr/bin/busybox"] == nil || files["proc/"] == nil {
				s.t.Errorf("%d files, without the image's", len(files))
			}
			if second := entriesOf(s.t, strings.NewReader(s.podc("export", "--index", "2", "web"))); second["new"] != nil || len(second) < 100 {
				s.t.Errorf("of the second there are %d files, /new is %v", len(second), second["new"])
			}
			contains(s.t, s.fails(1, "export", "--index", "3", "web"), "#3")
		})
		s.behaves("commit makes an image that runs as the container does, with what changed in it", func(s *stack) {
			out, err := s.try("commit", "-a", "me", "-m", "first", "-c", "ENV MORE=yes", "--change", `LABEL added="a b"`, "web", "localhost/made")
			if err != nil {
				s.t.Fatal(out)
			}
			contains(s.t, out, "Committed as sha256:")
			var images []struct {
				ID, Author, Comment string
				Config              struct {
					Env    []string
					Labels map[string]string
					Cmd    []string
				}
			}
			if err := json.Unmarshal([]byte(s.podc("image", "inspect", "localhost/made")), &images); err != nil {
				s.t.Fatal(err)
			}
			img := images[0]
			if img.Author != "me" || img.Config.Labels["added"] != "a b" || img.Config.Labels["team"] != "shop" || img.Config.Labels["com.docker.compose.project"] != "" ||
				len(img.Config.Cmd) != 3 || !strings.Contains(out, strings.TrimPrefix(img.ID, "sha256:")) {
				s.t.Errorf("it is %+v", img)
			}
			if r := s.ps()["p-web-1"]; r.State != "running" {
				s.t.Errorf("after it the container is %s", r.State)
			}
			if out, err := s.try("run", "--rm", "-T", "made"); err != nil || !strings.Contains(out, "new\n") || !strings.Contains(out, "again") ||
				!strings.Contains(out, "/etc/group: No such file") {
				s.t.Errorf("it printed %s, %v", out, err)
			}
			if out := s.podc("run", "--rm", "-T", "made", "sh", "-c", "cat /new; ls -A /usr/games; echo $MODE $MORE; test -e /etc/app.conf || echo no config"); out != "new\nagain\nprod yes\nno config\n" {
				s.t.Errorf("it printed %q", out)
			}
		})
		s.behaves("while it is made the container is paused, unless that is not wanted", func(s *stack) {
			paused := func() int {
				n := 0
				for _, o := range s.events("--since", "1h", "--until", "0s", "web") {
					if o.Action == "pause" {
						n++
					}
				}
				return n
			}
			before := paused()
			s.podc("commit", "--pause=false", "web")
			if n := paused(); n != before {
				s.t.Errorf("it was paused %d times", n-before)
			}
			s.podc("commit", "web", "localhost/made:again")
			if n := paused(); n != before+1 {
				s.t.Errorf("it was paused %d times", n-before)
			}
		})
		s.behaves("containers that do not run are committed and exported too", func(s *stack) {
			s.podc("stop", "web")
			s.podc("commit", "--index", "2", "web", "localhost/second")
			if out, err := s.try("run", "--rm", "-T", "--entrypoint", "test", "made", "-e", "/new"); err != nil {
				s.t.Error(out)
			}
			if files := entriesOf(s.t, strings.NewReader(s.podc("export", "web"))); files["new"] == nil || files["etc/group"] != nil {
				s.t.Errorf("of the stopped one there are %d files", len(files))
			}
		})
		s.behaves("what cannot be read changes nothing", func(s *stack) {
			before := s.podc("image", "ls", "-q")
			contains(s.t, s.fails(1, "commit", "-c", "RUN true", "web"), "RUN true")
			contains(s.t, s.fails(1, "commit", "web", "NOT A NAME"), "NOT A NAME")
			s.fails(1, "commit")
			s.fails(1, "export")
			if after := s.podc("image", "ls", "-q"); after != before {
				s.t.Errorf("images were\n%s and are\n%s", before, after)
			}
			if out, err := s.try("system", "check"); err != nil {
				s.t.Error(out)
			}
		})
	})
}

// entriesOf reads the headers of an archive, by name.
func entriesOf(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	files := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = h
	}
}
