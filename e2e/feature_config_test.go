package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// `config` shows each thing that it is asked for of one file.
func TestConfigFlags(t *testing.T) {
	s := newStack(t, `
services:
  web: {image: 'web:${TAG:-1}', networks: [front], volumes: ['./src:/src', 'data:/data'], env_file: web.env, depends_on: [db], environment: {COST: '5$$'}}
  db: {image: db, networks: [front], volumes: ['data:/data']}
  admin: {image: admin, profiles: [tools, more]}
networks: {front: {}, spare: {}}
volumes: {data: {}, spare: {}}
`, "web.env", "FROM_FILE=yes\n", "loose.yaml", "services: {a: {image: i, depends_on: [gone], networks: [gone]}}")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"services in the order of their dependencies", []string{"config", "--services"}, "db\nweb\n"},
		{"volumes that services use", []string{"config", "--volumes"}, "data\n"},
		{"networks that services use", []string{"config", "--networks"}, "front\n"},
		{"models, of which there are none", []string{"config", "--models"}, ""},
		{"profiles", []string{"config", "--profiles"}, "more\ntools\n"},
		{"images", []string{"config", "--images"}, "db\nweb:1\n"},
		{"nothing, if it is valid", []string{"config", "--quiet"}, ""},
		{"nothing, by the old name", []string{"convert", "-q"}, ""},
	} {
		s.behaves(tt.name, func(s *stack) {
			if got := s.podc(tt.args...); got != tt.want {
				s.t.Errorf("it is %q", got)
			}
		})
	}
	whole := s.podc("config")
	s.behaves("the model has all stages of loading, and can be read again", func(s *stack) {
		contains(s.t, whole, "source: "+filepath.Join(s.dir, "src"), "FROM_FILE: 'yes'", "name: p_front", "image: web:1", "COST: 5$$")
		if strings.Contains(whole, "spare") {
			s.t.Errorf("it has what nobody uses: %s", whole)
		}
		s.write("again.yaml", whole)
		if again := s.podc("-f", "again.yaml", "config"); again != whole {
			s.t.Errorf("read again it is %s", again)
		}
	})
	s.behaves("--output writes it to a file", func(s *stack) {
		if out := s.podc("config", "--output", "out.yaml"); out != "" {
			s.t.Errorf("it prints %q", out)
		}
		if b, err := os.ReadFile(filepath.Join(s.dir, "out.yaml")); err != nil || string(b) != whole {
			s.t.Errorf("it has %q (%v)", b, err)
		}
	})
	lacks := func(s *stack, text string, parts ...string) {
		s.t.Helper()
		for _, part := range parts {
			if strings.Contains(text, part) {
				s.t.Errorf("%q is in %s", part, text)
			}
		}
	}
	s.behaves("each stage can be left out", func(s *stack) {
		contains(s.t, s.podc("config", "--no-interpolate"), "web:${TAG:-1}")
		lacks(s, s.podc("config", "--no-normalize"), "name: p_front")
		lacks(s, s.podc("--compatibility", "config"), "name: p_front")
		contains(s.t, s.podc("config", "--no-path-resolution"), "source: ./src")
		out := s.podc("config", "--no-env-resolution")
		lacks(s, out, "FROM_FILE")
		contains(s.t, out, "web.env")
		contains(s.t, s.fails(1, "-f", "loose.yaml", "config"), "gone")
		contains(s.t, s.podc("-f", "loose.yaml", "config", "--no-consistency"), "gone")
	})
	s.behaves("a service named is shown with what it depends on", func(s *stack) {
		lacks(s, s.podc("config", "db"), "web:1")
		contains(s.t, s.podc("config", "web"), "image: db")
		contains(s.t, s.fails(1, "config", "nobody"), "nobody")
	})
	s.behaves("variables, with their defaults", func(s *stack) {
		contains(s.t, s.podc("config", "--variables"), "NAME", "ALTERNATE VALUE", "TAG")
		contains(s.t, s.podc("config", "--variables", "--format", "json"), `"Name": "TAG"`, `"DefaultValue": "1"`)
		contains(s.t, s.with("TAG=7").podc("config", "--environment"), "TAG=7\n", "COMPOSE_PROJECT_NAME=p\n")
	})
	s.behaves("hashes, of those asked for", func(s *stack) {
		all := strings.Fields(s.podc("config", "--hash", "*"))
		if len(all) != 4 || all[0] != "db" || len(all[1]) != 64 || all[2] != "web" {
			s.t.Errorf("it is %q", all)
		}
		if one := s.podc("config", "--hash", "db"); one != "db "+all[1]+"\n" {
			s.t.Errorf("it is %q", one)
		}
		contains(s.t, s.fails(1, "config", "--hash", "nobody"), "nobody")
	})
	s.behaves("what is not served is refused by name", func(s *stack) {
		contains(s.t, s.fails(1, "config", "--resolve-image-digests"), "--resolve-image-digests")
		contains(s.t, s.fails(1, "config", "--lock-image-digests"), "--lock-image-digests")
		contains(s.t, s.fails(1, "config", "--format", "xml"), "xml")
	})
	s.behaves("viz draws it", func(s *stack) {
		plain := s.podc("viz")
		contains(s.t, plain, "digraph \"p\" {\n\tlayout=dot;\n", "\t\"web\" -> \"db\";\n")
		lacks(s, plain, "web:1", "front")
		contains(s.t, s.podc("viz", "--image", "--networks", "--ports", "--spaces", "--indentation-size", "3"), "\n   layout=dot;", "<b>Image:</b><br/>web:1", "<b>Networks:</b><br/>front")
		s.write("ports.yaml", "services: {a: {image: i, ports: ['127.0.0.1:8080:80']}}")
		contains(s.t, s.podc("-f", "ports.yaml", "viz", "--ports"), "127.0.0.1:8080:80 (tcp, ingress)")
		contains(s.t, s.fails(1, "viz", "web"), "no arguments")
	})
}
