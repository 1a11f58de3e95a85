package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// model is what `config --format json` says, as far as tests ask.
type model struct {
	Name     string
	Services map[string]struct {
		Image       string
		Environment map[string]string
		Volumes     []struct{ Source string }
		Labels      map[string]string
	}
}

func (s *stack) config(args ...string) (m model) {
	s.t.Helper()
	out := s.podc(append(args, "config", "--format", "json")...)
	if err := json.Unmarshal([]byte(out), &m); err != nil {
		s.t.Fatalf("config printed %q: %v", out, err)
	}
	return m
}

// at returns the stack with another working directory.
func (s *stack) at(dir string) *stack {
	in := *s
	in.dir = filepath.Join(s.dir, dir)
	return &in
}

func TestComposeFiles(t *testing.T) {
	s := newStack(t, "services: {a: {image: first, environment: {A: '1', B: '1'}, volumes: ['./data:/x']}}",
		"more.yaml", "services: {a: {environment: {B: '2'}}, b: {image: second}}",
		"sub/deep/file", "", "sub/compose.yaml", "services: {sub: {image: sub}}",
		"over/compose.yaml", "services: {a: {image: x}}", "over/compose.override.yaml", "services: {a: {image: y}}", "over/third.yaml", "services: {c: {image: z}}",
		"include/compose.yaml", "include: [part/compose.yaml]\nservices: {a: {image: x, extends: {file: base.yaml, service: base}}}",
		"include/base.yaml", "services: {base: {image: base, labels: {from: base}}}",
		"include/part/compose.yaml", "services: {part: {image: 'part:${TAG}', volumes: ['./here:/x']}}", "include/part/.env", "TAG=from-part\n",
		"pathsep/x.yaml", "services: {x: {image: x}}", "pathsep/y.yaml", "services: {y: {image: y}}", "pathsep/.env", "COMPOSE_FILE=x.yaml,y.yaml\nCOMPOSE_PATH_SEPARATOR=,\n",
	)
	services := func(s *stack, args ...string) string {
		s.t.Helper()
		return strings.Join(strings.Fields(s.podc(append(args, "config", "--services")...)), " ")
	}
	s.behaves("several are merged, paths are those of the first", func(s *stack) {
		m := s.at("sub").config("-f", "../compose.yaml", "-f", "../more.yaml")
		if a := m.Services["a"]; a.Environment["A"] != "1" || a.Environment["B"] != "2" || m.Services["b"].Image != "second" || a.Volumes[0].Source != filepath.Join(s.dir, "data") {
			s.t.Errorf("it is %+v", m)
		}
	})
	s.behaves("come from the standard input", func(s *stack) {
		cmd := s.cmd(s.t.Context(), "-f", "-", "config", "--services")
		cmd.Stdin = strings.NewReader("services: {piped: {image: x, env_file: more.yaml2, profiles: [off]}, b: {image: x}}")
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "b\n" {
			s.t.Errorf("%v: %s", err, out)
		}
	})
	s.behaves("are found upwards, with their override", func(s *stack) {
		if got := services(s.at("sub/deep")); got != "sub" {
			s.t.Errorf("services %q", got)
		}
		if m := s.at("over").config(); m.Services["a"].Image != "y" {
			s.t.Errorf("it is %+v", m)
		}
		if m := s.at("over").config("-f", "compose.yaml"); m.Services["a"].Image != "x" {
			s.t.Errorf("with -f it is %+v", m)
		}
	})
	s.behaves("are named by COMPOSE_FILE, from the environment or .env", func(s *stack) {
		in := s.at("over")
		in.env = []string{"COMPOSE_FILE=compose.yaml:third.yaml"}
		if got := services(in); got != "a c" {
			s.t.Errorf("services %q", got)
		}
		if got := services(s.at("pathsep")); got != "x y" {
			s.t.Errorf("services %q", got)
		}
	})
	s.behaves("include and extend others", func(s *stack) {
		m := s.at("include").config()
		part := m.Services["part"]
		if part.Image != "part:from-part" || part.Volumes[0].Source != filepath.Join(s.dir, "include/part/here") || m.Services["a"].Labels["from"] != "base" || m.Services["a"].Image != "x" {
			s.t.Errorf("it is %+v", m)
		}
	})
	s.behaves("that are missing or wrong are errors with a place", func(s *stack) {
		contains(s.t, s.fails(1, "-f", "none.yaml", "config"), "none.yaml")
		s.write("bad.yaml", "services:\n  a:\n    image: x\n    imagee: y\n")
		contains(s.t, s.fails(1, "-f", "bad.yaml", "config", "-q"), "bad.yaml:4", "services.a.imagee", "image")
		s.write("bad.yaml", "services:\n  a: [\n")
		contains(s.t, s.fails(1, "-f", "bad.yaml", "config", "-q"), "bad.yaml")
		empty := s.t.TempDir()
		cmd := s.cmd(s.t.Context(), "config")
		cmd.Dir = empty
		if out, err := cmd.CombinedOutput(); exitCode(err) != 1 || !strings.Contains(string(out), "compose.yaml") {
			s.t.Errorf("%v: %s", err, out)
		}
	})
	s.behaves("take global flags after the command", func(s *stack) {
		if out := s.podc("config", "--services", "-f", "sub/compose.yaml", "--project-name", "x"); out != "sub\n" {
			s.t.Errorf("it is %q", out)
		}
	})
}

func TestProjectNames(t *testing.T) {
	s := newStack(t, "services: {a: {image: x, container_name: '${COMPOSE_PROJECT_NAME}-own'}}", "named.yaml", "name: named\nservices: {a: {image: x}}",
		"My_Odd.Dir/compose.yaml", "services: {a: {image: x}}", "env/compose.yaml", "services: {a: {image: x}}", "env/.env", "COMPOSE_PROJECT_NAME=dotenv\n")
	s.behaves("come from -p, the environment, .env, the file, the folder, in this order", func(s *stack) {
		check := func(s *stack, want string, args ...string) {
			s.t.Helper()
			if m := s.config(args...); m.Name != want {
				s.t.Errorf("%v: the name is %q, want %q", args, m.Name, want)
			}
		}
		check(s, "flag", "-p", "flag", "-f", "named.yaml")
		check(s, "p", "-f", "named.yaml")
		s.env = []string{"COMPOSE_PROJECT_NAME="}
		check(s, "named", "-f", "named.yaml")
		check(s, "p")
		check(s.at("My_Odd.Dir"), "my_odddir")
		cmd := s.at("env").cmd(s.t.Context(), "config")
		cmd.Env = slices.DeleteFunc(cmd.Env, func(kv string) bool { return strings.HasPrefix(kv, "COMPOSE_PROJECT_NAME=") })
		if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "name: dotenv\n") {
			s.t.Errorf("%v: %s", err, out)
		}
		check(s, "env", "--project-directory", "env", "-f", "named.yaml", "-f", "compose.yaml", "-p", "env")
	})
	s.behaves("that are not normal are refused", func(s *stack) {
		for _, name := range []string{"Upper", "-dash", "a b", "ä", "a/b"} {
			s.fails(1, "-p", name, "config", "-q")
			s.fails(1, "-p", name, "ps")
		}
	})
	s.behaves("are known to the file", func(s *stack) {
		contains(s.t, s.podc("-p", "mine", "config"), "container_name: mine-own")
	})
}

func TestEnvironmentOfFiles(t *testing.T) {
	s := newStack(t, "services: {a: {image: 'i:${TAG:-default}', environment: {B: '${B-unset}', C: '${C:+set}', D: '$$D', N: '${X:-${Y:-nested}}'}}}",
		".env", "TAG=dotenv\nB=dotenv\n", "one.env", "TAG=one\nB=one\n", "two.env", "TAG=two\nREF=${TAG}-ref\n", "must.yaml", "services: {a: {image: '${MUST:?is needed for this}'}}",
		"sub/compose.yaml", "services: {a: {image: 'x:${TAG}'}}", "sub/.env", "TAG=sub\n")
	image := func(s *stack, args ...string) string {
		s.t.Helper()
		return s.config(args...).Services["a"].Image
	}
	s.behaves("comes from the caller before env files, of which the last counts", func(s *stack) {
		for want, args := range map[string][]string{"i:dotenv": nil, "i:one": {"--env-file", "one.env"}, "i:two": {"--env-file", "one.env", "--env-file", "two.env"}} {
			if got := image(s, args...); got != want {
				s.t.Errorf("%v: it is %q", args, got)
			}
		}
		s.env = []string{"COMPOSE_ENV_FILES=one.env,two.env"}
		if got := image(s); got != "i:two" {
			s.t.Errorf("it is %q", got)
		}
		s.env = []string{"TAG=caller"}
		if got := image(s, "--env-file", "one.env"); got != "i:caller" {
			s.t.Errorf("it is %q", got)
		}
		s.env = []string{"COMPOSE_DISABLE_ENV_FILE=1"}
		if got := image(s); got != "i:default" {
			s.t.Errorf("it is %q", got)
		}
	})
	s.behaves("of the project's folder counts", func(s *stack) {
		if got := image(s, "-f", "sub/compose.yaml"); got != "x:sub" {
			s.t.Errorf("it is %q", got)
		}
		if got := image(s, "--project-directory", ".", "-f", "sub/compose.yaml"); got != "x:dotenv" {
			s.t.Errorf("it is %q", got)
		}
	})
	s.behaves("is put in in all forms", func(s *stack) {
		s.env = []string{"C=x"}
		env := s.config().Services["a"].Environment
		if env["B"] != "dotenv" || env["C"] != "set" || env["D"] != "$$D" || env["N"] != "nested" {
			s.t.Errorf("it is %v", env)
		}
	})
	s.behaves("that is missing is a warning, or an error where it must be there", func(s *stack) {
		contains(s.t, s.fails(1, "-f", "must.yaml", "config", "-q"), "MUST", "is needed for this")
		s.write("unset.yaml", "services: {a: {image: 'x:a${NOBODY_SETS}'}}")
		_, errs := s.both("-f", "unset.yaml", "config")
		contains(s.t, errs, "NOBODY_SETS")
		contains(s.t, s.fails(1, "--env-file", "none.env", "config", "-q"), "none.env")
	})
}

func TestConfig(t *testing.T) {
	s := newStack(t, `
services:
  web: {image: shop/web, command: 'echo $$HOME', depends_on: [db], ports: ['8080:80'], environment: {A: "${A:-a}"}, volumes: ['data:/data']}
  db: {image: db, networks: [back]}
  tool: {image: tool, profiles: [tools]}
networks: {back: {}, unused: {}}
volumes: {data: {}}
`)
	lines := func(args ...string) []string {
		t.Helper()
		got := strings.Fields(s.podc(append([]string{"config"}, args...)...))
		slices.Sort(got)
		return got
	}
	for _, tt := range []struct {
		flags, want []string
	}{
		{[]string{"--services"}, []string{"db", "web"}},
		{[]string{"--volumes"}, []string{"data"}},
		{[]string{"--networks"}, []string{"back", "default"}},
		{[]string{"--images"}, []string{"db", "shop/web"}},
		{[]string{"--profiles"}, []string{"tools"}},
	} {
		if got := lines(tt.flags...); !slices.Equal(got, tt.want) {
			t.Errorf("%v: %v", tt.flags, got)
		}
	}
	s.behaves("can be read again", func(s *stack) {
		first := s.podc("config")
		contains(s.t, first, "echo", "$$HOME")
		cmd := s.cmd(s.t.Context(), "-f", "-", "config")
		cmd.Stdin = strings.NewReader(first)
		if second, err := cmd.Output(); err != nil || string(second) != first {
			s.t.Errorf("%v: from\n%s\nto\n%s", err, first, second)
		}
	})
	s.behaves("leaves out what nobody uses, unless asked for", func(s *stack) {
		if strings.Contains(s.podc("config"), "unused") || !strings.Contains(s.podc("--all-resources", "config"), "unused") {
			s.t.Error("unused is there or not there")
		}
	})
	s.behaves("of some services has what they need", func(s *stack) {
		if got := lines("--services", "db"); !slices.Equal(got, []string{"db"}) {
			s.t.Errorf("%v", got)
		}
		contains(s.t, s.fails(1, "config", "nobody"), "no such service: nobody")
	})
	s.behaves("hashes change with the service only", func(s *stack) {
		before := s.podc("config", "--hash", "*")
		s.env = []string{"A=b"}
		after := s.podc("config", "--hash", "*")
		for _, service := range []string{"web", "db"} {
			hash := func(text string) string {
				_, rest, _ := strings.Cut(text, service+" ")
				first, _, _ := strings.Cut(rest, "\n")
				return first
			}
			if len(hash(before)) != 64 || (hash(before) != hash(after)) != (service == "web") {
				s.t.Errorf("of %s from %q to %q", service, hash(before), hash(after))
			}
		}
		if one := s.podc("config", "--hash", "db"); !strings.HasPrefix(one, "db ") {
			s.t.Errorf("of one: %q", one)
		}
	})
	s.behaves("goes to a file, or nowhere", func(s *stack) {
		s.podc("config", "-o", "out.yaml")
		if b, err := os.ReadFile(filepath.Join(s.dir, "out.yaml")); err != nil || string(b) != s.podc("config") {
			s.t.Errorf("%v: %s", err, b)
		}
		if out := s.podc("config", "-q"); out != "" {
			s.t.Errorf("it prints %q", out)
		}
	})
	s.behaves("keeps variables where asked for, and lists them", func(s *stack) {
		contains(s.t, s.podc("config", "--no-interpolate"), "${A:-a}")
		contains(s.t, s.podc("config", "--variables"), "NAME", "REQUIRED", "DEFAULT VALUE", "A ")
		contains(s.t, s.podc("config", "--environment"), "COMPOSE_PROJECT_NAME=p")
	})
	s.behaves("takes its other name", func(s *stack) {
		if s.podc("convert") != s.podc("config") {
			s.t.Error("convert prints something else")
		}
	})
}

func TestVersion(t *testing.T) {
	s := newStack(t, "services: {}")
	short := strings.TrimSpace(s.podc("version", "--short"))
	if short == "" || strings.HasPrefix(short, "v") {
		t.Errorf("--short prints %q", short)
	}
	contains(t, s.podc("version"), short)
	contains(t, s.podc("-v"), short)
	var v struct{ Version string }
	if err := json.Unmarshal([]byte(s.podc("version", "-f", "json")), &v); err != nil || v.Version != "v"+short {
		t.Errorf("%v: %+v", err, v)
	}
	contains(t, s.podc("--help"), "up", "down", "COMMANDS")
	contains(t, s.podc("up", "--help"), "--wait-timeout")
	if out, err := s.try(); err != nil || !strings.Contains(out, "COMMANDS") {
		t.Errorf("without a command: %v: %s", err, out)
	}
}
