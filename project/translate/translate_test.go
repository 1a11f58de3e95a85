package translate

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"podc.example/podc/compose"
	"podc.example/podc/internal/fault"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata/*.txtar")

// load writes the files of an archive into a new folder named proj and loads it. Lines of the comment set things up:
//
//	env NAME=VALUE, key KEY
//	scale SERVICE=N, profile NAME, pull POLICY, compatibility, all-resources, service NAME
func load(t testing.TB, a *txtar.Archive) (dir string, p *compose.Project, opt Options, err error) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "proj")
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	copt := compose.Options{WorkingDir: dir, Environment: map[string]string{"DOCKER_CONFIG": filepath.Join(dir, "docker")}}
	opt = Options{Key: []byte("key of the tests"), Version: "1.2.3", Scale: map[string]int{}}
	for line := range strings.Lines(string(a.Comment)) {
		verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, value, _ := strings.Cut(arg, "=")
		switch verb {
		case "env":
			copt.Environment[name] = value
		case "key":
			opt.Key = []byte(arg)
		case "scale":
			opt.Scale[name] = int(value[0] - '0')
		case "profile":
			copt.Profiles = append(copt.Profiles, arg)
		case "service":
			copt.Services = append(copt.Services, arg)
		case "compatibility":
			opt.Compatibility = true
		case "all-resources":
			copt.AllResources = true
		}
	}
	p, err = compose.Load(context.Background(), copt)
	return dir, p, opt, err
}

// result is what a translation comes to, as text: the Desired, or the error with its hint.
func result(t testing.TB, a *txtar.Archive) (text, dir string) {
	t.Helper()
	dir, p, opt, err := load(t, a)
	var res *Result
	if err == nil {
		res, err = Translate(p, opt)
	}
	if err != nil {
		return "error: " + err.Error() + "\nhint: " + fault.HintOf(err) + "\n", dir
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(res.Desired); err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(res.Contents)) {
		out.WriteString(key + " = " + string(res.Contents[key]) + "\n")
	}
	return out.String(), dir
}

// TestGolden translates each testdata/*.txtar and compares with its part "desired". Hashes are golden too: one that changes
// recreates every pod of every user.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { golden(t, path) })
	}
}

func golden(t *testing.T, path string) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	if i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == "desired" }); i >= 0 {
		want = string(a.Files[i].Data)
		a.Files = slices.Delete(a.Files, i, i+1)
	}
	got := masked(inDir(t, a), inDir(t, a))
	if *update {
		a.Files = append(a.Files, txtar.File{Name: "desired", Data: []byte(got)})
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("differs from %s (run with -update to accept):\n%s", path, diff(want, got))
	}
}

// inDir is the result of a translation in a folder of its own, which reads /DIR.
func inDir(t *testing.T, a *txtar.Archive) []string {
	text, dir := result(t, a)
	return strings.Split(strings.ReplaceAll(text, dir, "/DIR"), "\n")
}

// masked hides the digests that cover paths: they differ between two folders. Everything else must be the same.
func masked(a, b []string) string {
	digest := regexp.MustCompile(`"[0-9a-f]{12,}"`)
	for i := range a {
		if i < len(b) && a[i] != b[i] {
			a[i] = digest.ReplaceAllString(a[i], `"(covers a path)"`)
		}
	}
	return strings.Join(a, "\n")
}

// diff lists the lines that only one side has.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for _, l := range w {
		if !slices.Contains(g, l) {
			out = append(out, "-"+l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) {
			out = append(out, "+"+l)
		}
	}
	return strings.Join(out, "\n")
}
