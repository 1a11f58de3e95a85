package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// fakeHelper is a program that records its calls and answers with what is in a file.
type fakeHelper struct{ dir string }

const helperScript = `#!/bin/sh
dir=$(dirname "$0")
echo "$(basename "$0") $*" >>"$dir/calls"
cat >>"$dir/stdin"
cat "$dir/reply"
exit $(cat "$dir/code")
`

func newFakeHelper(t *testing.T, con *show.Console, names ...string) fakeHelper {
	t.Helper()
	h := fakeHelper{t.TempDir()}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(helperScript), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	con.Exe = filepath.Join(h.dir, "podc")
	con.Dir = h.dir
	con.Env["PATH"] = os.Getenv("PATH")
	con.Env["PODC_ROOT"], con.Env["PODC_RUNROOT"] = filepath.Join(h.dir, "root"), filepath.Join(h.dir, "run")
	return h
}

func (h fakeHelper) answer(t *testing.T, reply podccompose.LoadReply) {
	t.Helper()
	h.write(t, map[string]any{"reply": reply}, "0")
}

func (h fakeHelper) write(t *testing.T, answer any, code string) {
	t.Helper()
	b, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"reply": string(b), "code": code} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (h fakeHelper) calls() []string {
	b, _ := os.ReadFile(filepath.Join(h.dir, "calls"))
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}

func shop() *project.Desired {
	return &project.Desired{Name: "shop", Services: []project.Service{{Name: "web", Replicas: 1}}, Disabled: []string{"debug"}}
}

func runPodc(t *testing.T, con *show.Console, line string) int {
	t.Helper()
	return runHere(context.Background(), con, strings.Fields(line))
}

func TestTargetAsksOnceThenRemembers(t *testing.T) {
	con, out, stderr := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	compose := filepath.Join(h.dir, "compose.yaml")
	if err := os.WriteFile(compose, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.answer(t, podccompose.LoadReply{Desired: shop(), Memo: true, Inputs: []string{compose}})
	for range 2 {
		if code := runPodc(t, con, "ps"); code != 0 {
			t.Fatalf("code %d: %s", code, stderr)
		}
	}
	if !strings.HasPrefix(out.String(), "NAME ") {
		t.Errorf("%s", out)
	}
	// The files are new: the first answers may not be kept.
	if got := h.calls(); len(got) > 2 || got[0] != "podc-compose load" {
		t.Errorf("calls: %q", got)
	}
}

func TestTargetErrors(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	h.answer(t, podccompose.LoadReply{Desired: shop()})
	for line, want := range map[string]string{
		"ps nope":                           "podc: no such service: nope\n",
		"logs web debug":                    "",
		"up --attach nope":                  "podc: no such service: nope\n",
		"up --scale x":                      "podc: invalid --scale \"x\": want SERVICE=N\n",
		"-p Bad ps":                         "podc: invalid project name",
		"-p ok ps web other":                "",
		"logs --index 2":                    "podc: --index needs exactly one service\n",
		"logs -n x":                         "podc: invalid --tail",
		"logs --since x":                    "podc: invalid --since",
		"up -d --attach web":                "podc: --detach and --attach cannot be combined\n",
		"up --no-recreate --force-recreate": "podc: --no-recreate and --force-recreate cannot be combined\n",
		"--progress fancy ps":               "podc: unknown --progress",
		"--progress tty --ansi never ps":    "podc: --progress tty cannot be used with --ansi never\n",
		"ps --filter x=y":                   "podc: unknown --filter",
		"ps --status sleeping":              "podc: unknown status",
		"down --rmi some":                   "podc: invalid value for --rmi: ",
		"exec web":                          "podc: exec needs at least 2 arguments: SERVICE COMMAND [ARG...]\n",
		"exec web true":                     "podc: service \"web\" is not running\n",
		"network rm nope":                   "podc: network \"nope\"",
		"volume rm nope":                    "podc: volume \"nope\"",
		"volume rm -f nope":                 "",
	} {
		stderr.Reset()
		code := runPodc(t, con, line)
		if want == "" && (code != 0 || stderr.Len() > 0) || want != "" && (code != 1 || !strings.HasPrefix(stderr.String(), want)) {
			t.Errorf("podc %s: code %d, %q; want %q", line, code, stderr, want)
		}
	}
}

func TestLoadErrorKeepsClassAndHint(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	h.answer(t, podccompose.LoadReply{Fault: &fault.Fault{Class: errdefs.ErrNotFound, Text: "no compose file", Hint: "use -f"}})
	if code := runPodc(t, con, "ps"); code != 1 || stderr.String() != "podc: no compose file\nhint: use -f\n" {
		t.Errorf("code %d: %s", code, stderr)
	}
	stderr.Reset()
	con.Env["COMPOSE_PROJECT_NAME"] = "shop" // enough to find containers by their labels
	if code := runPodc(t, con, "ps"); code != 0 {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestHelperMissing(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	newFakeHelper(t, con)
	if code := runPodc(t, con, "ps"); code != 1 || !strings.Contains(stderr.String(), "cannot run podc-compose") || !strings.Contains(stderr.String(), "hint:") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestHelperCrash(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	h := newFakeHelper(t, con)
	script := "#!/bin/sh\necho panic: something >&2\nexit 2\n"
	if err := os.WriteFile(filepath.Join(h.dir, "podc-compose"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if code := runPodc(t, con, "ps"); code != 1 || !strings.Contains(stderr.String(), "panic: something") {
		t.Errorf("code %d: %s", code, stderr)
	}
}

func TestJSONProgressEndsWithError(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	h.answer(t, podccompose.LoadReply{Desired: shop()})
	runPodc(t, con, "--progress json ps nope")
	if stderr.String() != `{"error":true,"message":"no such service: nope"}`+"\n" {
		t.Errorf("%s", stderr)
	}
}

func TestPromotedVariables(t *testing.T) {
	con, _, _ := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	h.answer(t, podccompose.LoadReply{Desired: shop(), Promoted: map[string]string{"COMPOSE_PROGRESS": "nonsense"}})
	if code := runPodc(t, con, "ps"); code != 1 {
		t.Error("COMPOSE_PROGRESS of an env file has no effect")
	}
	con.Env["COMPOSE_PROGRESS"] = "plain"
	if code := runPodc(t, con, "ps"); code != 0 {
		t.Error("the process environment does not win over an env file")
	}
}

func TestConfigPassesFlagsOn(t *testing.T) {
	con, out, _ := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	h.write(t, "model", "0")
	if code := runPodc(t, con, "-f a.yaml -p x config --format json web --no-interpolate -f b.yaml"); code != 0 {
		t.Fatal(code)
	}
	want := "podc-compose config --file=a.yaml --file=b.yaml --project-name=x --format=json --no-interpolate -- web"
	if got := h.calls(); !slices.Equal(got, []string{want}) || strings.TrimSpace(out.String()) != `"model"` {
		t.Errorf("%q, %s", got, out)
	}
	h.write(t, "", "1")
	if code := runPodc(t, con, "config -q"); code != 1 {
		t.Errorf("code %d", code)
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 1}, {fault.Invalid("x"), 1}, {fault.Silent(7), 7}, {command.ErrInterrupted, 130},
		{fault.Exit(errors.New("x"), 127), 127}, {errors.Join(errors.New("x"), fault.Silent(3)), 3}, {fault.Hint(fault.Invalid("x"), "y"), 1},
	} {
		if got := fault.ExitOf(tt.err); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, got, tt.want)
		}
	}
}

// TestReasonsAreWhole: what ends like the name of an error class may be a reason, of podc or of another program.
func TestReasonsAreWhole(t *testing.T) {
	err := fmt.Errorf("cannot start: %w", errors.Join(fault.New(errdefs.ErrNotFound, "exec: \"sh\": not found"), &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrPermission}))
	var out bytes.Buffer
	command.Report(&out, err, false)
	if want := "podc: cannot start: exec: \"sh\": not found\nopen /x: permission denied\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	if command.Report(&out, err, true); !strings.Contains(out.String(), `not found\nopen /x: permission denied"`) {
		t.Error(out.String())
	}
}

func TestHelp(t *testing.T) {
	con, out, _ := show.BufferConsole()
	if code := runHere(context.Background(), con, nil); code != 0 || !strings.Contains(out.String(), "COMMANDS:") || !strings.Contains(out.String(), "restart") {
		t.Errorf("code %d: %s", code, out)
	}
	out.Reset()
	if code := runPodc(t, con, "help up"); code != 0 || !strings.Contains(out.String(), "--force-recreate") || strings.Contains(out.String(), "--watch") {
		t.Errorf("code %d: %s", code, out)
	}
}

func TestVersion(t *testing.T) {
	for line, want := range map[string]string{"version": "podc version v" + command.Version, "version --short": command.Version, "-v": "podc version v" + command.Version,
		"version -f json": `{"version":"v` + command.Version + `"}`} {
		con, out, _ := show.BufferConsole()
		if code := runPodc(t, con, line); code != 0 || strings.TrimSpace(out.String()) != want {
			t.Errorf("podc %s: %d %s", line, code, out)
		}
	}
}
