package compose

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"podc.example/podc/internal/fault"
)

const one = "services: {web: {image: \"i:${TAG:-none}\"}}\n"

func mustLoad(t *testing.T, files map[string]string, opt Options) *Project {
	t.Helper()
	p, err := loadFiles(t, files, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSearchWalksUpwards(t *testing.T) {
	dir := write(t, map[string]string{"compose.yml": one, "docker-compose.yaml": one, "compose.override.yaml": "services: {web: {user: \"5\"}}\n", "a/b/": ""})
	p, err := Load(context.Background(), Options{WorkingDir: filepath.Join(dir, "a/b"), Environment: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "proj" || p.WorkingDir != dir || p.Services["web"].User != "5" {
		t.Errorf("name %q, folder %q, user %q", p.Name, p.WorkingDir, p.Services["web"].User)
	}
	for _, absent := range []string{"a/b/compose.yaml", "a/compose.yml", "compose.yaml", "compose.override.yml", ".env", "a/b/.env"} {
		if !slices.Contains(p.Inputs, filepath.Join(dir, absent)) {
			t.Errorf("%s is not among the inputs", absent)
		}
	}
	if len(p.Warnings) != 1 || !strings.HasSuffix(p.Warnings[0], "has compose.yml and docker-compose.yaml; using compose.yml") {
		t.Errorf("warnings %q", p.Warnings)
	}
}

func TestSearchFindsNothing(t *testing.T) {
	dir := write(t, map[string]string{"x/": ""})
	p, err := Load(context.Background(), Options{WorkingDir: dir, Environment: map[string]string{}})
	if err == nil || err.Error() != "no compose file in "+dir+" or above it" || fault.HintOf(err) == "" {
		t.Error(err)
	}
	if !slices.Contains(p.Inputs, filepath.Join(dir, "compose.yaml")) {
		t.Error("the candidates of a failed search are inputs too")
	}
}

func TestFilesMergeInOrder(t *testing.T) {
	files := map[string]string{
		"a.yaml": "services: {web: {image: a, command: [x], environment: {A: 1, B: 1}}}\n",
		"b.yaml": "services: {web: {image: b, environment: [B=2]}}\n",
		"c.yaml": "services: {web: {environment: !override {C: 3}}}\n",
	}
	p := mustLoad(t, files, Options{Files: []string{"a.yaml", "b.yaml"}})
	web := p.Services["web"]
	if web.Image != "b" || *web.Environment["A"] != "1" || *web.Environment["B"] != "2" {
		t.Errorf("%+v", web)
	}
	p = mustLoad(t, files, Options{Environment: map[string]string{"COMPOSE_FILE": "a.yaml:c.yaml"}})
	if web := p.Services["web"]; len(web.Environment) != 1 || web.Image != "a" {
		t.Errorf("%+v", web)
	}
}

func TestStdin(t *testing.T) {
	p := mustLoad(t, map[string]string{".env": "TAG=5\n"}, Options{Files: []string{"-"}, Stdin: []byte(one)})
	if p.Services["web"].Image != "i:5" || p.Name != "proj" {
		t.Errorf("%s %s", p.Name, p.Services["web"].Image)
	}
}

func TestEnvironmentPrecedence(t *testing.T) {
	files := map[string]string{"compose.yaml": one, ".env": "TAG=dot\nCOMPOSE_REMOVE_ORPHANS=1\n", "1.env": "TAG=one\nX=1", "2.env": "TAG=two"}
	for _, tt := range []struct {
		env  map[string]string
		opt  Options
		want string
	}{
		{want: "i:dot"},
		{env: map[string]string{"TAG": "proc"}, want: "i:proc"},
		{env: map[string]string{"TAG": ""}, want: "i:none"},
		{opt: Options{EnvFiles: []string{"1.env", "2.env"}}, want: "i:two"},
		{env: map[string]string{"COMPOSE_ENV_FILES": "2.env,1.env"}, want: "i:one"},
		{env: map[string]string{"COMPOSE_DISABLE_ENV_FILE": "true"}, want: "i:none"},
	} {
		tt.opt.Environment = tt.env
		p := mustLoad(t, files, tt.opt)
		if got := p.Services["web"].Image; got != tt.want {
			t.Errorf("%v %v: %s, want %s", tt.env, tt.opt.EnvFiles, got, tt.want)
		}
	}
	if p := mustLoad(t, files, Options{}); p.Promoted["COMPOSE_REMOVE_ORPHANS"] != "1" || len(p.Promoted) != 1 || p.EnvFiles != nil {
		t.Errorf("promoted %v, env files %v", p.Promoted, p.EnvFiles)
	}
	if _, err := loadFiles(t, files, Options{EnvFiles: []string{"no.env"}}); err == nil {
		t.Error("an env file that was asked for must exist")
	}
}

func TestEnvFolderIsNoEnvFile(t *testing.T) {
	if p := mustLoad(t, map[string]string{"compose.yaml": one, ".env/bin/": ""}, Options{}); p.Services["web"].Image != "i:none" {
		t.Error(p.Services["web"].Image)
	}
}

func TestProjectName(t *testing.T) {
	named := map[string]string{"compose.yaml": "name: in-file\n" + one, "b.yaml": "name: last\n"}
	for _, tt := range []struct {
		files map[string]string
		opt   Options
		env   map[string]string
		want  string
	}{
		{files: named, opt: Options{ProjectName: "flag"}, env: map[string]string{"COMPOSE_PROJECT_NAME": "env"}, want: "flag"},
		{files: named, env: map[string]string{"COMPOSE_PROJECT_NAME": "env"}, want: "env"},
		{files: named, want: "in-file"},
		{files: named, opt: Options{Files: []string{"compose.yaml", "b.yaml"}}, want: "last"},
		{files: map[string]string{"My_App.1/compose.yaml": one}, opt: Options{Files: []string{"My_App.1/compose.yaml"}}, want: "my_app1"},
		{files: map[string]string{"compose.yaml": one, "_x/": ""}, opt: Options{Files: []string{"compose.yaml"}, ProjectDir: "_x"}, want: "x"},
	} {
		tt.opt.Environment = tt.env
		if p := mustLoad(t, tt.files, tt.opt); p.Name != tt.want || p.Environment["COMPOSE_PROJECT_NAME"] != tt.want {
			t.Errorf("got %q, want %q", p.Name, tt.want)
		}
	}
	_, err := loadFiles(t, named, Options{ProjectName: "Bad Name"})
	if err == nil || fault.HintOf(err) != `try "badname"` {
		t.Errorf("%v, hint %q", err, fault.HintOf(err))
	}
	_, err = loadFiles(t, map[string]string{"__/compose.yaml": one}, Options{Files: []string{"__/compose.yaml"}})
	if err == nil || !strings.HasPrefix(err.Error(), "cannot derive a project name from the folder ") {
		t.Error(err)
	}
}

func TestProfilesAndSelection(t *testing.T) {
	files := map[string]string{"compose.yaml": `
services:
  web: {image: x, depends_on: [db], networks: [n]}
  db: {image: x, volumes: ["data:/d"]}
  dbg: {image: x, profiles: [debug], env_file: missing.env}
  opt: {image: x, depends_on: {dbg: {condition: service_started, required: false}}}
networks: {n: {}, unused: {}}
volumes: {data: {}, other: {}}
`}
	for _, tt := range []struct {
		opt      Options
		active   string
		disabled string
	}{
		{Options{}, "db opt web", "dbg"},
		{Options{Services: []string{"web"}}, "db web", "dbg opt"},
		{Options{Services: []string{"web"}, NoDeps: true}, "web", "db dbg opt"},
	} {
		p := mustLoad(t, files, tt.opt)
		if got := strings.Join(p.Order, " "); got != tt.active {
			t.Errorf("%+v: active %s, want %s", tt.opt, got, tt.active)
		}
		if got := strings.Join(p.DisabledServiceNames(), " "); got != tt.disabled {
			t.Errorf("%+v: disabled %s, want %s", tt.opt, got, tt.disabled)
		}
		if _, ok := p.Networks["unused"]; ok {
			t.Error("an unused network is kept")
		}
	}
	p := mustLoad(t, files, Options{})
	if len(p.Services["opt"].DependsOn) != 0 || len(p.Warnings) != 1 || !strings.Contains(p.Warnings[0], `services.opt.depends_on.dbg: left out: service "dbg" is not active`) {
		t.Errorf("%v, %q", p.Services["opt"].DependsOn, p.Warnings)
	}
	for _, opt := range []Options{{Profiles: []string{"debug"}}, {Services: []string{"dbg"}}, {Environment: map[string]string{"COMPOSE_PROFILES": "a,debug"}}} {
		if _, err := loadFiles(t, files, opt); err == nil || !strings.Contains(err.Error(), "missing.env") {
			t.Errorf("%+v: %v", opt, err)
		}
	}
	if p := mustLoad(t, files, Options{AllResources: true}); len(p.Networks) != 3 || len(p.Volumes) != 2 {
		t.Errorf("%v %v", p.NetworkNames(), p.VolumeNames())
	}
	if _, err := loadFiles(t, files, Options{Services: []string{"wbe"}}); err == nil || fault.HintOf(err) != `did you mean "web"?` {
		t.Errorf("%v %s", err, fault.HintOf(err))
	}
}

func TestIncludeAndExtendsAreInputs(t *testing.T) {
	p := mustLoad(t, map[string]string{
		"compose.yaml": `
include:
  - ${DIR}/inc.yaml
  - {path: [other/o.yaml, other/o2.yaml], project_directory: other, env_file: o.env}
services:
  web: {extends: {file: base/base.yaml, service: b}, env_file: [w.env, {path: opt.env, required: false}], label_file: w.labels}
`,
		".env":             "DIR=sub",
		"sub/inc.yaml":     "services: {inc: {image: \"i:${V}\", volumes: [\"./x:/x\"]}}\n",
		"sub/.env":         "V=7",
		"other/o.yaml":     "services: {o: {image: \"o:${O}\"}}\n",
		"other/o2.yaml":    "services: {o: {user: \"1\"}}\n",
		"o.env":            "O=8",
		"base/base.yaml":   "services: {b: {image: base, extends: {file: deep/d.yaml, service: d}}}\n",
		"base/deep/d.yaml": "services: {d: {image: d, user: \"3\"}}\n",
		"w.env":            "A=1\nB=$A\n",
		"w.labels":         "l=v\n",
	}, Options{})
	if p.Services["inc"].Image != "i:7" || p.Services["o"].Image != "o:8" || p.Services["o"].User != "1" {
		t.Errorf("%v", p.Services)
	}
	web := p.Services["web"]
	if web.Image != "base" || web.User != "3" || *web.Environment["B"] != "1" || web.Labels["l"] != "v" {
		t.Errorf("%+v", web)
	}
	if got := p.Services["inc"].Volumes[0].Source; got != filepath.Join(p.WorkingDir, "sub/x") {
		t.Errorf("source %s", got)
	}
	for _, f := range []string{".env", "compose.yaml", "sub/inc.yaml", "sub/.env", "other/o.yaml", "other/o2.yaml", "o.env", "base/base.yaml",
		"base/deep/d.yaml", "w.env", "opt.env", "w.labels"} {
		if !slices.Contains(p.Inputs, filepath.Join(p.WorkingDir, f)) {
			t.Errorf("%s is not among the inputs %v", f, p.Inputs)
		}
	}
}

func TestRawEnvFile(t *testing.T) {
	p := mustLoad(t, map[string]string{
		"compose.yaml": "services: {web: {image: x, env_file: [{path: r.env, format: raw}]}}\n",
		"r.env":        "# note\nQ='a b' $X \"\nEMPTY=\nUNSET\n",
	}, Options{})
	env := p.Services["web"].Environment
	if *env["Q"] != `'a b' $X "` || *env["EMPTY"] != "" || env["UNSET"] != nil {
		t.Errorf("%v", env)
	}
}

func TestWarnings(t *testing.T) {
	p := mustLoad(t, map[string]string{"compose.yaml": `version: "3"
services:
  web:
    image: "x:${TAG}1"
    deploy:
      placement: {constraints: [a]}
      mode: replicated
    volumes: ["./a:/a:z"]
`}, Options{})
	want := []string{
		"compose.yaml: version: ignored: it has no meaning any more",
		"variable TAG is not set; using an empty string",
		"compose.yaml:6: services.web.deploy.placement: ignored: there is only this machine",
	}
	if !slices.Equal(p.Warnings, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(p.Warnings, "\n"), strings.Join(want, "\n"))
	}
}

func TestLoadDoesNotChangeTheEnvironment(t *testing.T) {
	env := map[string]string{}
	mustLoad(t, map[string]string{"compose.yaml": one, ".env": "A=1"}, Options{Environment: env})
	if len(env) != 0 {
		t.Errorf("%v", env)
	}
	if v, ok := os.LookupEnv("COMPOSE_PROJECT_NAME"); ok {
		t.Errorf("COMPOSE_PROJECT_NAME=%s", v)
	}
}

func BenchmarkLoad(b *testing.B) {
	dir := write(b, map[string]string{"compose.yaml": one})
	for b.Loop() {
		if _, err := Load(context.Background(), Options{WorkingDir: dir, Environment: map[string]string{}}); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzLoad: whatever the bytes, no panic, and no time or memory out of proportion.
func FuzzLoad(f *testing.F) {
	for _, s := range []string{one, "services:\n  a: {image: x, ports: [\"1-3:1-3\"], volumes: [a:/b]}\nvolumes: {a: }\n", "include: [a]\n",
		"x: &a [*a]\n", "services: {a: {extends: {service: a}}}\n", "services: {a: {image: x, deploy: {resources: {limits: {cpus: 1e999}}}}}\n", "a: !reset 1\n---\nb: 2\n"} {
		f.Add([]byte(s))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			p, err := Load(context.Background(), Options{WorkingDir: dir, Files: []string{"-"}, Stdin: b, ProjectName: "p", Environment: map[string]string{"A": "1"}})
			if err == nil && len(p.Order) != len(p.Services) {
				t.Errorf("order %v of %d services", p.Order, len(p.Services))
			}
		}()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatal("takes too long")
		}
	})
}
