package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podccompose"
)

// stack writes a small project and moves into it.
func stack(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	yaml := `services:
  web: {image: "nginx:${TAG:-1}", depends_on: [db], command: "echo $$HOME", profiles: [front]}
  db: {image: postgres, volumes: ["data:/d"], secrets: [pw]}
  old: {build: ., gpus: all}
volumes: {data: {}, spare: {}}
secrets: {pw: {environment: PW}}
`
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("PW", "canary")
	return dir
}

func command(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(context.Background(), args, helper.Streams{Request: strings.NewReader(stdin), Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &err})
	return code, out.String(), err.String()
}

func TestConfigListings(t *testing.T) {
	stack(t)
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--services", "db\nold\n"},
		{"--services --profile front", "db\nold\nweb\n"},
		{"--services web", "db\nweb\n"},
		{"--volumes", "data\n"},
		{"--networks", "default\n"},
		{"--profiles", "front\n"},
		{"--images", "postgres\nshop-old\n"},
		{"--models", ""},
		{"-q", ""},
		{"--no-interpolate --services", "db\nold\nweb\n"},
		{"--variables", "NAME                REQUIRED            DEFAULT VALUE       ALTERNATE VALUE\nTAG                 false               1                   \n"},
	} {
		code, out, errs := command(t, "", append([]string{"config"}, strings.Fields(tt.args)...)...)
		if code != 0 || out != tt.want {
			t.Errorf("%s: exit %d, %q, want %q\n%s", tt.args, code, out, tt.want, errs)
		}
	}
}

func TestConfigModel(t *testing.T) {
	stack(t)
	code, out, errs := command(t, "", "config", "--profile=front", "web")
	if code != 0 || !strings.Contains(out, "image: nginx:1\n") || !strings.Contains(out, "$$HOME") || strings.Contains(out, "canary") || strings.Contains(out, "old:") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	_, out, errs = command(t, "", "config")
	if !strings.Contains(errs, "services.old.gpus: not served yet by this version of podc") || !strings.Contains(out, "gpus:") {
		t.Errorf("a model is shown, with warnings: %s\n%s", errs, out)
	}
	_, out, _ = command(t, "", "config", "--no-interpolate")
	if !strings.Contains(out, "nginx:${TAG:-1}") {
		t.Error(out)
	}
	code, out, _ = command(t, "", "config", "--format", "json", "-o", "out.json")
	if b, err := os.ReadFile("out.json"); code != 0 || out != "" || err != nil || !json.Valid(b) {
		t.Errorf("exit %d, %q, %v", code, out, err)
	}
	code, out, _ = command(t, "services: {a: {image: x}}", "config", "-f", "-", "--images")
	if code != 0 || out != "x\n" {
		t.Errorf("exit %d, %q", code, out)
	}
	_, out, _ = command(t, "", "config", "--environment")
	if !strings.Contains(out, "COMPOSE_PROJECT_NAME=shop\n") {
		t.Error(out)
	}
}

// TestConfigShows: an unset variable keeps nobody from seeing the model, which `up` would refuse.
func TestConfigShows(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SET", "set")
	const yaml = "name: shop\nservices:\n  web: {image: 'nginx:${TAG}', networks: [back], models: [m], hostname: '${SET}'}\n  db: {image: 'db:1'}\n" +
		"networks: {back: {name: '${NET}'}}\nmodels: {m: {model: ai/small}}\n"
	code, out, errs := command(t, yaml, "config", "-f", "-")
	if code != 0 || !strings.Contains(out, "image: 'nginx:'") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	for _, want := range []string{"services.web.image: \"nginx:\" is no image reference; `up` refuses it (variable TAG is not set)\n",
		"networks.back: the name \"\"", "(variable NET is not set)\n"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q is not in\n%s", want, errs)
		}
	}
	for args, want := range map[string]string{
		"--models":                  "ai/small\n",
		"--no-interpolate --images": "db:1\nnginx:${TAG}\n",
		"-q --services":             "db\nweb\n",
		"--no-interpolate db": "models:\n  m:\n    model: ai/small\nname: shop\nnetworks:\n  back:\n    name: ${NET}\n  default:\n    name: shop_default\n" +
			"services:\n  db:\n    image: db:1\n    networks:\n      default: null\n" +
			"  web:\n    hostname: ${SET}\n    image: nginx:${TAG}\n    models:\n      m: null\n    networks:\n      back: null\n",
		"--variables --format json db": "{\n    \"NET\": {\n        \"Name\": \"NET\",\n        \"DefaultValue\": \"\",\n        \"PresenceValue\": \"\",\n        \"Required\": false\n    }," +
			"\n    \"SET\": {\n        \"Name\": \"SET\",\n        \"DefaultValue\": \"\",\n        \"PresenceValue\": \"\",\n        \"Required\": false\n    }," +
			"\n    \"TAG\": {\n        \"Name\": \"TAG\",\n        \"DefaultValue\": \"\",\n        \"PresenceValue\": \"\",\n        \"Required\": false\n    }\n}\n\n",
	} {
		code, out, errs := command(t, yaml, append([]string{"config", "-f", "-"}, strings.Fields(args)...)...)
		if code != 0 || out != want {
			t.Errorf("%s: exit %d, %q, want %q", args, code, out, want)
		}
		if filtered := strings.HasSuffix(args, " db"); filtered != strings.Contains(errs, "service filtering is not applied") {
			t.Errorf("%s: %s", args, errs)
		}
	}
	for refused, want := range map[string]string{
		"services: {a: {image: x, container_name: '${NAME}'}}":                                        "(variable NAME is not set)",
		"services: {a: {image: x, mem_limit: '${MEM}'}}":                                              "services.a.mem_limit: invalid size: '' (variable MEM is not set)",
		"services: {a: {image: '${IMG}'}}":                                                            "has neither `image` nor `build` (variable IMG is not set)",
		"services: {a: {image: x, platform: linux/386, build: {context: ., platforms: [linux/arm]}}}": "services.a.build.platforms: must include \"linux/386\"",
	} {
		if code, _, errs := command(t, "name: shop\n"+refused, "config", "-f", "-"); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d, %s", refused, code, errs)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	stack(t)
	for _, tt := range []struct{ args, want string }{
		{"--frmat json", "podc: unknown flag: --frmat\nhint: did you mean --format?\n"},
		{"--format xml", "podc: unknown format \"xml\": yaml and json are possible\n"},
		{"-o", "podc: flag -o needs a value\n"},
		{"--quiet=maybe", "podc: flag --quiet takes true or false, not \"maybe\"\n"},
		{"wbe", "podc: no such service: wbe\nhint: did you mean \"web\"?\n"},
		{"-f none.yaml", "podc: cannot read compose file none.yaml: no such file or directory\n"},
		{"--lock-image-digests", "podc: --lock-image-digests: not served yet by this version of podc\n"},
	} {
		code, _, errs := command(t, "", append([]string{"config"}, strings.Fields(tt.args)...)...)
		if code != 1 || errs != tt.want {
			t.Errorf("%s: exit %d, %q, want %q", tt.args, code, errs, tt.want)
		}
	}
}

// TestHashes: `config --hash` shows what the label will hold.
func TestHashes(t *testing.T) {
	dir := stack(t)
	if err := os.WriteFile("key", []byte("0123"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, _ := command(t, "", "config", "--hash", "db", "--key-file", "key")
	reply := ask(t, podccompose.LoadRequest{WorkingDir: dir, Services: []string{"db"}, Key: []byte("0123"), Version: "9"})
	if reply.Fault != nil || out != "db "+reply.Desired.Services[0].Hash+"\n" {
		t.Errorf("%q, %+v", out, reply)
	}
	if _, out, _ = command(t, "", "config", "--hash", "*"); strings.Count(out, "\n") != 2 {
		t.Error(out)
	}
}

func ask(t *testing.T, req podccompose.LoadRequest) *podccompose.LoadReply {
	t.Helper()
	b, err := json.Marshal(req)
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := command(t, string(b), "load")
	var answer struct{ Reply *podccompose.LoadReply }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 || answer.Reply == nil || errs != "" {
		t.Fatalf("exit %d, %v: %q %s", code, err, out, errs)
	}
	return answer.Reply
}

func TestLoad(t *testing.T) {
	dir := stack(t)
	reply := ask(t, podccompose.LoadRequest{WorkingDir: dir, Services: []string{"web"}, Scale: map[string]int{"web": 2}, Key: []byte("k"), Version: "9"})
	d := reply.Desired
	if d.Name != "shop" || len(d.Services) != 2 || d.Services[0].Name != "db" || d.Services[1].Replicas != 2 || !slices.Equal(d.Disabled, []string{"old"}) {
		t.Errorf("%+v", d)
	}
	if !reply.Memo || !slices.Contains(reply.Inputs, filepath.Join(dir, "compose.yaml")) || !slices.Contains(reply.Inputs, filepath.Join(dir, "compose.override.yml")) {
		t.Errorf("memo %t, inputs %v", reply.Memo, reply.Inputs)
	}
	b, err := json.Marshal(d)
	if err != nil || bytes.Contains(b, []byte("canary")) {
		t.Error("a secret is in the plain part of the reply")
	}
	reply.Desired.Fill(reply.Contents)
	if got := string(d.Services[0].Pod.Container.Files[0].Content); got != "canary" {
		t.Errorf("content %q", got)
	}
}

// TestLoadIncluded: configs and secrets from the environment see what interpolation sees, in files that are included too.
func TestLoadIncluded(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range map[string]string{
		"compose.yaml": "name: shop\ninclude: [{path: sub.yaml, env_file: vars.env}]\nservices: {a: {image: x, configs: [own]}}\nconfigs: {own: {environment: OWN}}\n",
		"sub.yaml":     "services: {b: {image: '${WORD}', configs: [c], secrets: [s]}}\nconfigs: {c: {environment: WORD}}\nsecrets: {s: {environment: WORD}}\n",
		"vars.env":     "WORD=included\n",
		"both.yaml":    "services: {b: {image: x, configs: [c]}}\nconfigs: {c: {environment: WORD, content: x}}\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("OWN", "own")
	reply := ask(t, podccompose.LoadRequest{WorkingDir: dir, Key: []byte("k")})
	if reply.Fault != nil {
		t.Fatal(reply.Fault)
	}
	if image := reply.Desired.Services[1].Pod.Container.Image; image != "included" {
		t.Errorf("image %s", image)
	}
	for key, want := range map[string]string{"a:/own": "own", "b:/c": "included", "b:/run/secrets/s": "included"} {
		if got := string(reply.Contents[key]); got != want {
			t.Errorf("%s has %q, want %q", key, got, want)
		}
	}
	if e := ask(t, podccompose.LoadRequest{WorkingDir: dir, Files: []string{"both.yaml"}}).Fault; e == nil || !strings.Contains(e.Text, "mutually exclusive") {
		t.Errorf("a config with two sources: %v", e)
	}
}

// TestEnvFileWarnings: what an env file lacks is said as for a compose file, and once.
func TestEnvFileWarnings(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, content := range map[string]string{
		"compose.yaml": "services: {a: {image: x, env_file: v.env}, b: {image: 'x${NOBODY_SETS}', env_file: v.env}}\n", "v.env": "A=${NOBODY_SETS}\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if reply := ask(t, podccompose.LoadRequest{WorkingDir: dir, Key: []byte("k")}); reply.Fault != nil || !slices.Equal(reply.Desired.Warnings, []string{"variable NOBODY_SETS is not set; using an empty string"}) {
		t.Errorf("%+v", reply)
	}
	if _, _, errs := command(t, "", "config", "-q"); errs != "warning: variable NOBODY_SETS is not set; using an empty string\n" {
		t.Errorf("config says %q", errs)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := stack(t)
	e := ask(t, podccompose.LoadRequest{WorkingDir: dir}).Fault
	if e == nil || !errors.Is(e, errdefs.ErrNotImplemented) || e.Text != "compose.yaml:4: services.old.gpus: not served: podc knows no drivers of graphics cards; name their device files under devices" {
		t.Errorf("%+v", e)
	}
	e = ask(t, podccompose.LoadRequest{WorkingDir: dir, Services: []string{"nobody"}}).Fault
	if e == nil || !errors.Is(e, errdefs.ErrInvalidArgument) {
		t.Errorf("%+v", e)
	}
	e = ask(t, podccompose.LoadRequest{WorkingDir: "/", Files: []string{"/no.yaml"}}).Fault
	if e == nil || !errors.Is(e, errdefs.ErrNotFound) {
		t.Errorf("%+v", e)
	}
	stdin := ask(t, podccompose.LoadRequest{WorkingDir: dir, Files: []string{"-"}, Stdin: []byte("services: {a: {image: x}}")})
	if stdin.Fault != nil || stdin.Memo || stdin.Desired.ConfigFiles[0] != "-" {
		t.Errorf("%+v", stdin)
	}
}

// What cannot be brought up can still be looked at and taken down.
func TestLoadExisting(t *testing.T) {
	dir := stack(t)
	yaml := `services:
  web: {image: nginx, depends_on: [db], ports: ["80:80"], env_file: none.env, scale: 2, gpus: all}
  db: {image: postgres, ports: ["80:80"], secrets: [pw, key], volumes: ["data:/d"]}
volumes: {data: {}}
secrets: {pw: {environment: NOBODY_SETS}, key: {file: none.txt}}
`
	if err := os.WriteFile("compose.yaml", []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
	req := podccompose.LoadRequest{WorkingDir: dir, Key: []byte("k")}
	if reply := ask(t, req); reply.Fault == nil {
		t.Error("it can be brought up")
	}
	req.Existing = true
	reply := ask(t, req)
	if reply.Fault != nil {
		t.Fatal(reply.Fault)
	}
	if d := reply.Desired; d.Name != "shop" || len(d.Services) != 2 || len(d.Services[1].DependsOn) != 1 || len(d.Volumes) != 1 {
		t.Errorf("got %+v", d)
	}
}

func TestUsage(t *testing.T) {
	if code, _, errs := command(t, ""); code != 1 || errs != "podc: podc-compose is called by podc, with load or config\n" {
		t.Errorf("%d %q", code, errs)
	}
}
