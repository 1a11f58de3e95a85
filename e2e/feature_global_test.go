package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// names lists the containers of a project.
func (s *stack) names(project string) []string {
	s.t.Helper()
	return strings.Fields(s.podc("-p", project, "ps", "-a", "--format", "{{.Name}}"))
}

func (s *stack) with(env ...string) *stack {
	in := *s
	in.env = append(slices.Clone(s.env), env...)
	return &in
}

// fleet has a service for each way to be chosen.
const fleet = `
x-run: &run {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  web: {<<: *run, depends_on: [db]}
  db: {<<: *run}
  admin: {<<: *run, profiles: [tools]}
  extra: {<<: *run, profiles: [more], volumes: ['unused:/x'], networks: [unused]}
networks: {unused: {}}
volumes: {unused: {}}
`

func TestGlobalFlags(t *testing.T) {
	s := newStack(t, fleet, "sub/file", "", "x.env", "X=from-x\n", "y.env", "X=from-y\n")
	s.load("busybox")
	s.behaves("--compatibility and its variable, from wherever, separate names by underscores", func(s *stack) {
		want := []string{"c_db_1", "c_web_1"}
		for _, up := range []func(){
			func() { s.podc("--compatibility", "-p", "c", "up", "--no-start") },
			func() { s.with("COMPOSE_COMPATIBILITY=true").podc("-p", "c", "up", "--no-start") },
			func() {
				s.write(".env", "COMPOSE_COMPATIBILITY=1\n")
				s.podc("-p", "c", "up", "--no-start")
			},
		} {
			up()
			if got := s.names("c"); !slices.Equal(got, want) {
				s.t.Errorf("names %q", got)
			}
			s.podc("-p", "c", "down")
		}
		os.Remove(filepath.Join(s.dir, ".env"))
	})
	s.behaves("profiles come by flag, by variable, by a star, and by name", func(s *stack) {
		services := func(s *stack, args ...string) string {
			s.t.Helper()
			return strings.Join(strings.Fields(s.podc(append(args, "config", "--services")...)), " ")
		}
		for _, tt := range []struct{ got, want string }{
			{services(s), "db web"},
			{services(s, "--profile", "tools"), "admin db web"},
			{services(s, "--profile", "tools", "--profile", "more"), "admin db extra web"},
			{services(s, "--profile", "*"), "admin db extra web"},
			{services(s.with("COMPOSE_PROFILES=tools,more")), "admin db extra web"},
			{services(s.with("COMPOSE_PROFILES=*")), "admin db extra web"},
			{services(s.with("COMPOSE_PROFILES=tools"), "--profile", "more"), "admin db extra web"},
		} {
			if tt.got != tt.want {
				s.t.Errorf("services %q, want %q", tt.got, tt.want)
			}
		}
		s.podc("--profile", "*", "up", "--no-start")
		if got := s.names("p"); len(got) != 4 {
			s.t.Errorf("names %q", got)
		}
		s.podc("--profile", "*", "down", "-v")
	})
	s.behaves("--all-resources keeps what no service uses", func(s *stack) {
		s.podc("up", "--no-start")
		if got := s.volumes(); len(got) > 0 {
			s.t.Errorf("volumes %q", got)
		}
		s.podc("--all-resources", "up", "--no-start")
		contains(s.t, strings.Join(s.volumes(), " "), "p_unused")
		contains(s.t, s.podc("network", "ls"), "p_unused")
		s.podc("--all-resources", "down", "-v")
	})
	s.behaves("env files come by flag and by variable, the last wins, and .env can be switched off", func(s *stack) {
		s.write("env.yaml", "services: {a: {image: 'i:${X-none}'}}")
		s.write(".env", "X=from-dot\n")
		image := func(s *stack, args ...string) string {
			s.t.Helper()
			return strings.TrimSpace(s.podc(append(args, "-f", "env.yaml", "config", "--images")...))
		}
		for _, tt := range []struct{ got, want string }{
			{image(s), "i:from-dot"},
			{image(s, "--env-file", "x.env"), "i:from-x"},
			{image(s, "--env-file", "x.env", "--env-file", "y.env"), "i:from-y"},
			{image(s.with("COMPOSE_ENV_FILES=x.env,y.env")), "i:from-y"},
			{image(s.with("COMPOSE_ENV_FILES=y.env"), "--env-file", "x.env"), "i:from-x"},
			{image(s.with("COMPOSE_DISABLE_ENV_FILE=true")), "i:none"},
			{image(s.with("X=from-env"), "--env-file", "x.env"), "i:from-env"},
		} {
			if tt.got != tt.want {
				s.t.Errorf("image %q, want %q", tt.got, tt.want)
			}
		}
		contains(s.t, s.fails(1, "--env-file", "none.env", "config"), "none.env")
		os.Remove(filepath.Join(s.dir, ".env"))
	})
	s.behaves("the project's folder may be another", func(s *stack) {
		in := s.at("sub")
		if got := in.podc("--project-directory", "..", "config", "--services"); got != "db\nweb\n" {
			s.t.Errorf("services %q", got)
		}
		out := in.podcErr("--workdir", "..", "config", "-q")
		contains(s.t, out, "--workdir is deprecated")
		s.fails(1, "--workdir", "..", "--project-directory", "..", "config", "-q")
	})
	s.behaves("COMPOSE_CONVERT_WINDOWS_PATHS turns drives into folders", func(s *stack) {
		s.write("windows.yaml", `services: {a: {image: i, volumes: ['C:\data:/data']}}`)
		contains(s.t, s.with("COMPOSE_CONVERT_WINDOWS_PATHS=1").podc("-f", "windows.yaml", "config"), "source: /c/data")
	})
	s.behaves("roots come by flag", func(s *stack) {
		dir := s.t.TempDir()
		info := s.podc("--root", dir+"/r", "--runroot", dir+"/run", "system", "info", "--format", "{{.Root}} {{.RunRoot}}")
		if info != dir+"/r "+dir+"/run\n" {
			s.t.Errorf("roots %q", info)
		}
	})
	s.behaves("flags of the docker client are accepted, and said to mean nothing", func(s *stack) {
		out := s.podcErr("-H", "unix:///x", "--context", "c", "--tls", "--tlsverify", "--tlscacert", "a", "--tlscert", "b", "--tlskey", "k", "--insecure-registry", "r", "ps")
		contains(s.t, out, "--host --context --tls --tlsverify --tlscacert --tlscert --tlskey ignored")
	})
	s.behaves("what is wrong with the line has exit code 1, no command has help", func(s *stack) {
		contains(s.t, s.fails(1, "nonsense"), `unknown podc command: "nonsense"`)
		contains(s.t, s.fails(1, "up", "--nonsense"), "unknown flag: --nonsense")
		contains(s.t, s.fails(1, "-p", "Not/Valid", "ps"), "Not/Valid")
		contains(s.t, s.podc(), "COMMANDS:")
		contains(s.t, s.podc("--version"), "podc version")
	})
	s.behaves("called as docker-compose it answers as that", func(s *stack) {
		link := filepath.Join(s.t.TempDir(), "docker-compose")
		if err := os.Symlink(filepath.Join(*binDir, "podc"), link); err != nil {
			s.t.Fatal(err)
		}
		call := func(args ...string) (string, int) {
			cmd := exec.Command(link, args...)
			like := s.cmd(s.t.Context(), "ps")
			cmd.Dir, cmd.Env = like.Dir, like.Env
			out, err := cmd.CombinedOutput()
			return string(out), exitCode(err)
		}
		if out, code := call("--version"); code != 0 || !strings.HasPrefix(out, "Docker Compose version v") {
			s.t.Errorf("%d: %s", code, out)
		}
		if out, code := call("--verbose", "-D", "-H", "x", "config", "--services"); code != 0 || !strings.HasSuffix(out, "db\nweb\n") {
			s.t.Errorf("%d: %s", code, out)
		}
		if out, code := call("nonsense"); code != 1 || !strings.Contains(out, `unknown docker command: "compose nonsense"`) {
			s.t.Errorf("%d: %s", code, out)
		}
	})
	s.behaves("what was under alpha is found there", func(s *stack) {
		if out := s.podcErr("alpha", "dry-run", "--", "up", "-d"); !strings.Contains(out, "DRY-RUN MODE") || len(s.names("p")) > 0 {
			s.t.Errorf("%s; there is %v", out, s.names("p"))
		}
		contains(s.t, s.podc("alpha", "viz"), `"web" -> "db";`)
	})
}

// A dry run shows what is asked for in each style of progress, and nothing else.
func TestProgress(t *testing.T) {
	s := newStack(t, fleet)
	s.load("busybox")
	text := " DRY-RUN MODE -  Container p-db-1 Created"
	for _, tt := range []struct {
		name  string
		s     *stack
		args  []string
		has   []string
		lacks string
	}{
		{"plain", s, []string{"--progress", "plain"}, []string{text}, "\x1b"},
		{"plain is the style of auto where there is no terminal", s, []string{"--progress", "auto"}, []string{text}, "\x1b"},
		{"tty", s, []string{"--progress", "tty"}, []string{"[+] up", "✔ Container p-db-1"}, "DRY-RUN MODE -  "},
		{"tty comes with --ansi always", s, []string{"--ansi", "always"}, []string{"[+] up", "\x1b[32m✔\x1b[0m"}, "\n Container"},
		{"colours go with NO_COLOR", s.with("NO_COLOR=1"), []string{"--ansi", "always"}, []string{"[+] up", "✔ Container p-db-1"}, "\x1b[32m"},
		{"--ansi never", s, []string{"--ansi", "never"}, []string{text}, "\x1b"},
		{"--no-ansi warns", s, []string{"--no-ansi"}, []string{text, "--no-ansi is deprecated"}, "\x1b"},
		{"quiet", s, []string{"--progress", "quiet"}, nil, "Container"},
		{"none is quiet", s, []string{"--progress", "none"}, nil, "Container"},
		{"COMPOSE_PROGRESS", s.with("COMPOSE_PROGRESS=quiet"), nil, nil, "Container"},
		{"the flag is stronger", s.with("COMPOSE_PROGRESS=quiet"), []string{"--progress", "plain"}, []string{text}, "\x1b"},
		{"COMPOSE_ANSI", s.with("COMPOSE_ANSI=always"), nil, []string{"[+] up"}, "\n Container"},
		{"--verbose gives reasons", s, []string{"--verbose"}, []string{"(missing)"}, "\x1b"},
		{"--debug gives reasons", s, []string{"--debug"}, []string{"(missing)"}, "\x1b"},
		{"--log-level debug gives reasons", s, []string{"--log-level", "debug"}, []string{"(missing)"}, "\x1b"},
	} {
		s.behaves(tt.name, func(in *stack) {
			run := *tt.s
			run.t = in.t
			out := run.podcErr(append(tt.args, "--dry-run", "up", "-d")...)
			contains(in.t, out, tt.has...)
			if strings.Contains(out, tt.lacks) {
				in.t.Errorf("%q is in %q", tt.lacks, out)
			}
		})
	}
	s.behaves("json has an object for each event, and the error as the last", func(s *stack) {
		var ids []string
		for line := range strings.Lines(s.podcErr("--progress", "json", "--dry-run", "up", "-d")) {
			var e struct {
				ID, Status string
				DryRun     bool `json:"dry-run"`
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil || !e.DryRun || e.Status != "Done" {
				s.t.Errorf("%q: %v", line, err)
			}
			ids = append(ids, e.ID)
		}
		if !slices.Contains(ids, "Container p-web-1") || !slices.Contains(ids, "Network p_default") {
			s.t.Errorf("it tells of %q", ids)
		}
		out := s.fails(1, "--progress", "json", "up", "-d", "nobody")
		var e struct {
			Error   bool
			Message string
		}
		if err := json.Unmarshal([]byte(out), &e); err != nil || !e.Error || !strings.Contains(e.Message, "nobody") {
			s.t.Errorf("%q: %v", out, err)
		}
	})
	s.behaves("styles that contradict each other are refused", func(s *stack) {
		contains(s.t, s.fails(1, "--progress", "tty", "--ansi", "never", "ps"), "--progress tty", "--ansi never")
		contains(s.t, s.fails(1, "--progress", "plain", "--ansi", "always", "ps"), "--progress plain", "--ansi always")
		contains(s.t, s.fails(1, "--progress", "dots", "ps"), "dots")
		contains(s.t, s.with("COMPOSE_PARALLEL_LIMIT=few").fails(1, "ps"), "COMPOSE_PARALLEL_LIMIT", "few")
	})
	s.behaves("COMPOSE_STATUS_STDOUT moves it to the standard output", func(s *stack) {
		out, err := s.with("COMPOSE_STATUS_STDOUT=1").both("--dry-run", "up", "-d")
		if !strings.Contains(out, text) || strings.Contains(err, "DRY-RUN") {
			s.t.Errorf("out %q, err %q", out, err)
		}
	})
	s.behaves("variables of .env count too", func(s *stack) {
		s.write(".env", "COMPOSE_PROGRESS=quiet\nCOMPOSE_REMOVE_ORPHANS=true\n")
		if out := s.podcErr("--dry-run", "up", "-d"); out != "" {
			s.t.Errorf("it says %q", out)
		}
		s.podc("up", "--no-start")
		s.write("compose.yaml", "services: {db: {image: localhost/podc-busybox}}")
		s.podc("up", "--no-start")
		if got := s.names("p"); !slices.Equal(got, []string{"p-db-1"}) {
			s.t.Errorf("left are %q", got)
		}
		s.write(".env", "COMPOSE_IGNORE_ORPHANS=true\n")
		contains(s.t, s.fails(1, "up", "--no-start", "--remove-orphans"), "COMPOSE_IGNORE_ORPHANS", "--remove-orphans")
		os.Remove(filepath.Join(s.dir, ".env"))
	})
}

// Pulls share what --parallel allows.
func TestParallelPulls(t *testing.T) {
	r := newRegistry(t)
	var yaml strings.Builder
	yaml.WriteString("services:\n")
	for i := range 3 {
		ref := fmt.Sprintf("shop/n%d:1", i)
		r.push(ref, derived(t, v1.Config{Env: []string{fmt.Sprint("N=", i)}}))
		fmt.Fprintf(&yaml, "  n%d: {image: '%s/%s', command: x}\n", i, r.host, ref)
	}
	s := newStack(t, yaml.String())
	order := func(out string) (atOnce int) {
		n := 0
		for line := range strings.Lines(out) {
			switch {
			case strings.Contains(line, "Pulling"):
				n++
			case strings.Contains(line, "Pulled"):
				n--
			}
			atOnce = max(atOnce, n)
		}
		return atOnce
	}
	if n := order(s.podcErr("--parallel", "1", "up", "--no-start", "--pull", "always")); n != 1 {
		t.Errorf("with --parallel 1 there are %d pulls at once", n)
	}
	if n := order(s.with("COMPOSE_PARALLEL_LIMIT=1").podcErr("up", "--no-start", "--pull", "always")); n != 1 {
		t.Errorf("with COMPOSE_PARALLEL_LIMIT=1 there are %d pulls at once", n)
	}
	if n := order(s.podcErr("--parallel", "-1", "up", "--no-start", "--pull", "always")); n != 3 {
		t.Errorf("without a limit there are %d pulls at once", n)
	}
	s.behaves("--quiet-pull says only that pulls begin and end", func(s *stack) {
		out := s.podcErr("--progress", "json", "up", "--no-start", "--pull", "always", "--quiet-pull")
		contains(s.t, out, `"text":"Pulling"`, `"text":"Pulled"`)
		if strings.Contains(out, "parent_id") {
			s.t.Errorf("it tells of layers: %s", out)
		}
	})
}
