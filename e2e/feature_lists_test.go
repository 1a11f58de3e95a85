package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestProjectLists: what docker compose lists of projects: containers, images, volumes, and the projects themselves.
func TestProjectLists(t *testing.T) {
	s := newStack(t, `
services:
  web: {image: localhost/lists:3, entrypoint: sleep 1000, stop_signal: SIGKILL, volumes: ['data:/data', '/anonymous', 'other:/other']}
  job: {image: localhost/podc-busybox, command: sh -c 'exit 3'}
volumes: {data: {labels: {team: shop}}, other: {}}
`)
	s.load("busybox")
	s.loadImage("localhost/lists:3", derived(t, v1.Config{Labels: map[string]string{"from": "image"}, ExposedPorts: map[string]struct{}{"7777/tcp": {}}}))
	s.podc("up", "-d")
	s.podc("container", "wait", "p-job-1")
	file := filepath.Join(s.dir, "compose.yaml")

	s.behaves("ps shows labels and ports of the image, whole ids, and orphans unless told not to", func(s *stack) {
		contains(s.t, s.podc("ps"), "NAME", "p-web-1", "7777/tcp")
		if out := s.podc("ps", "--format", "pretty"); !strings.HasPrefix(out, "NAME ") {
			s.t.Errorf("pretty is %q", out)
		}
		if out := s.podc("ps", "--format", `{{.Label "from"}} {{.Mounts}}`); !strings.HasPrefix(out, "image p_data,") || len(out) > 40 {
			s.t.Errorf("it is %q", out)
		}
		if out := s.podc("ps", "--no-trunc", "--format", "{{.ID}} {{.Command}} {{len .Publishers}} {{.LocalVolumes}}"); len(out) < 64 || !strings.HasSuffix(out, " \"sleep 1000\" 1 3\n") {
			s.t.Errorf("whole, it is %q", out)
		}
		s.write("less.yaml", "services: {job: {image: localhost/podc-busybox}}")
		if out := s.podc("-f", "less.yaml", "ps", "-a", "--services", "--orphans=false"); out != "job\n" {
			s.t.Errorf("without orphans: %q", out)
		}
		contains(s.t, s.podc("-f", "less.yaml", "ps", "-a", "--services"), "web", "job")
		if out := s.podc("ps", "--filter", "status=exited", "-q"); len(strings.TrimSpace(out)) != 64 {
			s.t.Errorf("exited: %q", out)
		}
	})
	s.behaves("ls lists projects by what their containers do", func(s *stack) {
		if out := lines(s.podc("ls")); out != "NAME STATUS CONFIG FILES p running(1) "+file {
			s.t.Errorf("it is %q", out)
		}
		var found []map[string]string
		if err := json.Unmarshal([]byte(s.podc("ls", "-a", "--format", "json")), &found); err != nil || len(found) != 1 ||
			found[0]["Name"] != "p" || found[0]["Status"] != "exited(1), running(1)" || found[0]["ConfigFiles"] != file {
			s.t.Errorf("%v: %v", err, found)
		}
		if out := s.podc("ls", "-q", "--filter", "name=^p$"); out != "p\n" {
			s.t.Errorf("by name: %q", out)
		}
		if out := s.podc("ls", "-q", "--filter", "name=^x"); out != "" {
			s.t.Errorf("by another: %q", out)
		}
		s.fails(1, "ls", "--filter", "name=(")
		s.fails(1, "ls", "--filter", "label=x")
	})
	s.behaves("images lists those of the containers", func(s *stack) {
		contains(s.t, lines(s.podc("images")), "CONTAINER REPOSITORY TAG PLATFORM IMAGE ID SIZE CREATED", "p-web-1 localhost/lists 3 linux/", "p-job-1 localhost/podc-busybox")
		var found []struct {
			ID, ContainerName, Repository, Tag, Platform string
			Size                                         int64
		}
		if err := json.Unmarshal([]byte(s.podc("images", "--format", "json", "web")), &found); err != nil || len(found) != 1 ||
			found[0].ContainerName != "p-web-1" || found[0].Tag != "3" || found[0].Size < 1000 {
			s.t.Fatalf("%v: %v", err, found)
		}
		if out := s.podc("images", "-q", "web"); "sha256:"+out != found[0].ID+"\n" {
			s.t.Errorf("ids: %q, want %s", out, found[0].ID)
		}
		if out := strings.Fields(s.podc("images", "-q")); len(out) != 2 {
			s.t.Errorf("all ids: %q", out)
		}
	})
	s.behaves("volumes lists those of the project, or of services", func(s *stack) {
		contains(s.t, lines(s.podc("volumes")), "DRIVER VOLUME NAME", "local p_data local p_other")
		if out := strings.Fields(s.podc("volumes", "-q")); len(out) != 3 || len(out[0]) != 64 { // the anonymous one too, as in docker
			s.t.Errorf("all: %q", out)
		}
		if out := lines(s.podc("volumes", "-q", "web")); !strings.HasSuffix(out, " p_data p_other") {
			s.t.Errorf("of web: %q", out)
		}
		if out := s.podc("volumes", "-q", "job"); out != "" {
			s.t.Errorf("of job: %q", out)
		}
		var row map[string]string
		all := strings.Split(s.podc("volumes", "--format", "json"), "\n")
		if err := json.Unmarshal([]byte(all[1]), &row); err != nil || row["Name"] != "p_data" || row["Driver"] != "local" ||
			row["Mountpoint"] != filepath.Join(s.root, "volumes/p_data/_data") || !strings.Contains(row["Labels"], "team=shop") {
			s.t.Errorf("%v: %v", err, row)
		}
		if out := s.podc("volumes", "--format", `{{.Label "team"}}`); out != "\nshop\n\n" {
			s.t.Errorf("labels: %q", out)
		}
	})
	s.behaves("ls leaves out what does not run, unless asked for all", func(s *stack) {
		s.podc("stop")
		if out := s.podc("ls", "-q"); out != "" {
			s.t.Errorf("running: %q", out)
		}
		if out := s.podc("ls", "-a", "-q"); out != "p\n" {
			s.t.Errorf("all: %q", out)
		}
	})
}

// TestImageLists: filters, history and prune of images.
func TestImageLists(t *testing.T) {
	s := newStack(t, "services: {a: {image: localhost/base:1, entrypoint: sleep, command: ['1000'], stop_signal: SIGKILL}}")
	s.loadImage("localhost/base:1", derived(t, v1.Config{Labels: map[string]string{"kind": "base"}}))
	s.loadImage("localhost/base:1", derived(t, v1.Config{Labels: map[string]string{"kind": "used"}})) // the first has no name now
	s.loadImage("localhost/extra:2", derived(t, v1.Config{Labels: map[string]string{"kind": "extra"}}, imageFile{"big", 0o644, 0, strings.Repeat("x", 5000)}))
	s.podc("up", "-d")
	names := func(s *stack, args ...string) string {
		return lines(s.podc(append([]string{"image", "ls", "--format", "{{.Repository}}:{{.Tag}}"}, args...)...))
	}
	has := func(s *stack, list string, want ...string) {
		s.t.Helper()
		if got := strings.Fields(list); len(got) != len(want) {
			s.t.Errorf("got %v, want %v", got, want)
		}
		contains(s.t, list, want...)
	}
	s.behaves("are filtered as in docker", func(s *stack) {
		has(s, names(s), "<none>:<none>", "localhost/base:1", "localhost/extra:2")
		has(s, names(s, "-f", "dangling=true"), "<none>:<none>")
		has(s, names(s, "-f", "dangling=false"), "localhost/base:1", "localhost/extra:2")
		has(s, names(s, "-f", "label=kind=extra"), "localhost/extra:2")
		has(s, names(s, "-f", "label=kind", "-f", "label!=kind=extra", "-f", "dangling=false"), "localhost/base:1")
		has(s, names(s, "-f", "reference=localhost/*:2"), "localhost/extra:2")
		has(s, names(s, "localhost/base"), "localhost/base:1")
		has(s, names(s, "-f", "until=2000-01-01"))
		has(s, names(s, "-f", "before=localhost/base:1", "-f", "since=localhost/base:1"))
		for _, bad := range []string{"before=nowhere", "dangling=perhaps", "name=x"} {
			s.fails(1, "image", "ls", "-f", bad)
		}
		contains(s.t, s.podc("image", "ls", "--digests"), "DIGEST", "sha256:")
		contains(s.t, s.podc("image", "ls", "--no-trunc", "-q"), "sha256:")
		contains(s.t, s.fails(1, "image", "ls", "--tree"), "--tree")
		var row map[string]string
		if err := json.Unmarshal([]byte(s.podc("image", "ls", "--format", "json", "localhost/extra:2")), &row); err != nil || row["Repository"] != "localhost/extra" || row["Tag"] != "2" {
			s.t.Errorf("%v: %v", err, row)
		}
	})
	s.behaves("inspected together, those that are there are shown", func(s *stack) {
		out := s.fails(1, "image", "inspect", "-f", "{{.Config.Labels.kind}} {{.Os}}", "localhost/extra:2", "nowhere")
		contains(s.t, out, "extra linux\n", "nowhere")
		if out := s.podc("image", "inspect", "-f", "{{len .RepoTags}} {{.Id}}", "localhost/base:1", "localhost/extra:2"); strings.Count(out, "1 sha256:") != 2 {
			s.t.Errorf("both: %q", out)
		}
	})
	s.behaves("tell how they were built", func(s *stack) {
		contains(s.t, s.podc("image", "history", "localhost/extra:2"), "IMAGE", "CREATED BY", "SIZE", "COMMENT")
		steps := strings.Fields(s.podc("image", "history", "-q", "--no-trunc", "localhost/extra:2"))
		if len(steps) < 2 || !strings.HasPrefix(steps[0], "sha256:") || steps[1] != "<missing>" {
			s.t.Errorf("steps: %q", steps)
		}
		if out := s.podc("image", "history", "--human=false", "--format", "{{.Size}}", "localhost/extra:2"); lines(out) == "" || strings.ContainsAny(out, "kB") {
			s.t.Errorf("sizes: %q", out)
		}
		first, _, _ := strings.Cut(s.podc("image", "history", "--format", "json", "localhost/extra:2"), "\n")
		if !json.Valid([]byte(first)) {
			s.t.Errorf("json: %q", first)
		}
	})
	s.behaves("go without a name, and with one only when all are to", func(s *stack) {
		out, err := s.try("image", "prune")
		if err != nil || !strings.Contains(out, "--force") {
			s.t.Errorf("%v %q", err, out)
		}
		contains(s.t, s.podc("image", "prune", "-f", "--filter", "label=kind=extra"), "Total reclaimed space: 0B")
		contains(s.t, s.podc("image", "prune", "-f"), "Deleted Images:", "deleted: sha256:", "Total reclaimed space:")
		has(s, names(s), "localhost/base:1", "localhost/extra:2")
		s.podc("image", "prune", "-a", "-f", "--filter", "until=2000-01-01")
		has(s, names(s), "localhost/base:1", "localhost/extra:2")
		s.podc("image", "prune", "-a", "-f")
		has(s, names(s), "localhost/base:1") // which a runs on
	})
}
