// Package podc_test checks the architecture: who may import whom, and what each binary links. A dependency that appears
// where it should not fails here, with the reason.
package podc_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "podc.example/podc/"
	// tags are those of every build, and stand in .ci/build, Taskfile.yml, .golangci.yml and CONTRIBUTING.md.
	tags = "-tags=containers_image_openpgp,exclude_graphdriver_btrfs,urfave_cli_no_docs"
)

// Heavy parties, by import path prefix.
const (
	composeGo = "github.com/compose-spec/compose-go"
	storage   = "go.podman.io/storage"
	image     = "go.podman.io/image"
	buildkit  = "github.com/moby/buildkit"
	urfave    = "github.com/urfave/cli"
	registry  = "github.com/google/go-containerregistry"
	testPkg   = "testing"
	otel      = "go.opentelemetry.io"
	netHTTP   = "net/http"
	markdown  = "github.com/russross/blackfriday"
)

type importRule struct {
	of    string
	exact bool
	never []string
	why   string
}

// imports says what a package, with all that is below it unless exact, must not import itself.
var imports = []importRule{
	{"compose", false, []string{module + "engine", module + "project", module + "netstack", module + "volumes"},
		"compose knows YAML and no containers: it can be used without podc"},
	{"engine", true, []string{module + "compose", module + "project", module + "engine/images"},
		"the engine knows no compose words, and images reach it resolved: the helpers that restart pods stay small"},
	{"archive", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"tar streams come from strangers, whoever asks for them: they meet nothing but files"},
	{"engine/oci", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes", module + "internal/kernel", module + "internal/child"},
		"a configuration follows from values: what has to be looked up is looked up by who asks for it"},
	{"engine/cgroups", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"cgroups have names and processes, no pods"},
	{"engine/journal", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"whoever has the folder can write and read the journal, without an engine"},
	{"engine/logfile", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"a log is files in a folder: it is read, and rotated, without an engine"},
	{"engine/conmon", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"conmon and the runtime are told of a container, and know no pods"},
	{"engine/rootfs", false, []string{module + "engine/images", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"files and mounts are looked at in one place, whoever asks"},
	{"engine/commit", false, []string{module + "engine", module + "project", module + "compose"}, "an image's config follows from a pod's data alone"},
	{"engine/host", false, []string{module + "engine/images", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"a machine offers what it offers, whoever asks"},
	{"engine/images", false, []string{module + "compose", module + "project", module + "netstack", module + "volumes"},
		"images are stored whoever runs them"},
	{"netstack", false, []string{module + "engine", module + "project", module + "compose", module + "volumes"},
		"netstack knows keys and namespaces, no pods"},
	{"netstack/firewall", false, []string{module + "netstack", module + "api", module + "internal/disk"}, "the firewall knows bridges and ports, and no files"},
	{"netstack/lease", false, []string{module + "netstack", module + "api"}, "leases are files of addresses, whatever has them"},
	{"volumes", false, []string{module + "engine", module + "project", module + "compose", module + "netstack"},
		"volumes know folders, no pods"},
	{"secrets", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "volumes"},
		"secrets know files, no pods"},
	{"cli", false, []string{module + "engine", module + "netstack", module + "volumes", module + "secrets", module + "control/local", netHTTP},
		"the command line is the same wherever podc runs"},
	{"cli/show", true, []string{module + "cli/command", module + "control/local"}, "how things are shown is no command's"},
	{"control", true, []string{module + "engine", module + "netstack", module + "volumes", module + "cmd", urfave, netHTTP},
		"what may be asked of podc is the same wherever it runs"},
	{"control/controltest", false, []string{module + "control/local", module + "engine", module + "netstack", module + "volumes", module + "cmd"},
		"the behaviours are those of the interfaces, whoever serves them"},
	{"control/local", false, []string{module + "cmd", urfave, netHTTP}, "podc on this machine has many front ends"},
	{"project", true, []string{module + "compose", module + "engine", module + "netstack", module + "volumes",
		module + "internal/helper", module + "internal/podccompose", module + "internal/podcimage", composeGo, storage, image},
		"plans are made and run by quick commands, on whatever serves project.Engine; the translation of compose is in project/translate"},
	{"dockerapi", false, []string{module + "compose", module + "project", module + "engine/images", "github.com/moby/moby", netHTTP},
		"shapes are made of facts by whoever shows them; moby's own types cost a tenth of a command's start"},
	{"api", false, []string{module}, "the vocabulary is below all that speak it, on every system"},
	{"internal/rootkey", false, []string{module + "engine", module + "control", module + "cmd"}, "whoever remembers answers needs a key"},
	{"doctor", false, []string{module + "engine", module + "project", module + "compose", module + "cmd"}, "what only others can ask of a machine they hand in"},
	{"engine/enginetest", false, []string{module + "control", module + "cli", module + "compose", module + "cmd"}, "every engine has the same behaviours, whoever asks"},
	{"builder", false, []string{module + "control", module + "cli", module + "compose", module + "project", module + "volumes", module + "cmd"},
		"an image is made whoever asks for it, and whatever for"},
	{"internal/podcbuild", false, []string{module + "builder", module + "engine", module + "project", module + "compose", module + "cmd", buildkit},
		"who asks podc-build links nothing of what that needs"},
	{"engine/monitor", false, []string{module + "control", module + "cli", module + "compose", module + "project", storage, image},
		"what looks after pods knows no plans"},
	{"project/translate", false, []string{module + "engine/images", module + "engine/monitor", module + "control", module + "cli", module + "cmd"}, "a wish is plain data"},
	{"internal/child", false, []string{module}, "what all others share is below them"},
	{"internal/disk", false, []string{module}, "what all others share is below them"},
	{"internal/fault", false, []string{module}, "what all others share is below them"},
	{"internal/helper", false, []string{module + "engine", module + "project", module + "compose", module + "netstack", module + "control", module + "cmd"},
		"how a helper is asked does not depend on what it is asked"},
	{"internal/podccompose", false, []string{module + "engine", module + "compose", module + "cmd"}, "who asks podc-compose links nothing of what that needs"},
	{"internal/podcimage", false, []string{module + "engine/images", module + "project", module + "compose", module + "cmd"},
		"who asks podc-image links nothing of what that needs"},
	{"internal/kernel", false, []string{module + "engine", module + "netstack", module + "project", module + "cmd"}, "the kernel knows no pods"},
	{"internal/resolvconf", false, []string{module}, "what all others share is below them"},
	{"internal/valid", false, []string{module}, "rules of the kernel are the same for compose files and for specs"},
	{"internal/testimage", false, []string{module + "engine", module + "project", module + "compose", module + "cmd"},
		"test images are made without the code under test"},
}

func TestImports(t *testing.T) {
	for _, line := range list(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		pkg, imported, _ := strings.Cut(line, " ")
		for _, rule := range imports {
			path := module + rule.of
			if pkg != path && (rule.exact || !strings.HasPrefix(pkg, path+"/")) {
				continue
			}
			for _, i := range strings.Fields(imported) {
				if is := within(i, rule.never); is != "" && !strings.HasPrefix(i, path) {
					t.Errorf("%s imports %s: %s", pkg, i, rule.why)
				}
			}
		}
	}
}

// apart are the rooms that ask internal/kernel for what is in /proc and /sys, and enter no namespaces and mount nothing, but for the
// files and rooms named: where podc does not run as root these differ.
var (
	apart    = []string{"api", "archive", "compose", "control", "dockerapi", "engine", "netstack", "project", "secrets", "volumes"}
	together = []string{"control/local/lookpath.go", "engine/cgroups/", "engine/host/", "engine/oci/", "engine/rootfs/", "netstack/internal/nettest/nettest.go", "volumes/mount.go"}
)

func TestTheKernelIsAskedInOnePlace(t *testing.T) {
	for _, room := range apart {
		err := filepath.WalkDir(room, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || slices.ContainsFunc(together, func(t string) bool { return strings.HasPrefix(path, t) }) {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					if text := strings.Trim(n.Value, "\"`"); strings.HasPrefix(text, "/proc/") || strings.HasPrefix(text, "/sys/") {
						t.Errorf("%s reads %s by itself: ask internal/kernel", path, text)
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "unix" && slices.Contains([]string{"Mount", "MoveMount", "OpenTree", "Fsmount", "Setns", "Unshare"}, n.Sel.Name) {
						t.Errorf("%s calls unix.%s by itself: ask internal/kernel", path, n.Sel.Name)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestEveryRoomHasARule: a package that no rule is about may import anything, and nobody has said what it is for.
func TestEveryRoomHasARule(t *testing.T) {
	for _, pkg := range list(t, "./...") {
		rel := strings.TrimPrefix(pkg, module)
		if rel == strings.TrimSuffix(module, "/") || strings.HasPrefix(rel, "cmd/") || rel == "e2e" || within(rel, tools) != "" {
			continue // what binaries link is said by links
		}
		if !slices.ContainsFunc(imports, func(r importRule) bool { return rel == r.of || !r.exact && strings.HasPrefix(rel, r.of+"/") }) {
			t.Errorf("no rule says what package %s may import", rel)
		}
	}
}

// links says what a binary must not link, directly or not.
var links = []struct {
	binary string
	never  []string
	why    string
}{
	{"podc", []string{composeGo, storage, image, buildkit, registry, testPkg, otel, netHTTP, markdown, "github.com/sirupsen/logrus", "github.com/moby/moby",
		"github.com/opencontainers/go-digest"},
		"ps, logs, exec and a converged up have to start as quickly as a small program"},
	{"podc-compose", []string{module + "engine/conmon", storage, image, buildkit, registry, testPkg}, "it translates compose files, and neither runs nor stores anything"},
	{"podc-monitor", []string{composeGo, storage, image, buildkit, registry, urfave, testPkg, otel, netHTTP},
		"one runs for each group, and one more at each exit: it is to stay within a few MB"},
	{"podc-image", []string{composeGo, buildkit, urfave, testPkg}, "it knows images and no projects"},
}

func TestLinks(t *testing.T) {
	for _, rule := range links {
		deps := list(t, "-deps", "./cmd/"+rule.binary)
		for _, dep := range deps {
			if is := within(dep, rule.never); is != "" {
				t.Errorf("%s links %s: %s", rule.binary, dep, rule.why)
			}
		}
	}
}

// TestStatic: what podc starts for every pod must build without cgo.
func TestStatic(t *testing.T) {
	for _, binary := range []string{"podc", "podc-compose", "podc-monitor"} {
		for _, dep := range list(t, "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}", "./cmd/"+binary) {
			if dep != "" {
				t.Errorf("%s: %s needs cgo", binary, dep)
			}
		}
	}
}

// everywhere are the packages that clients on other systems are made of.
var everywhere = []string{"./api"}

func TestBuildsOnEverySystem(t *testing.T) {
	for _, system := range []string{"darwin", "windows"} {
		cmd := exec.Command("go", append([]string{"build", tags}, everywhere...)...)
		cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", system, err, out)
		}
	}
}

// starts are the ways to start a program in Go.
var starts = regexp.MustCompile(`\b(exec\.Command(Context)?|os\.StartProcess|(syscall|unix)\.(ForkExec|StartProcess|Exec))\(`)

// tools are no part of podc.
var tools = []string{"internal/bench", "internal/compare", "internal/setup", "internal/testimage", "internal/vm", "netstack/internal/nettest"}

// TestOnePlaceStartsPrograms: what podc's caller left open must reach no program that podc starts, which package child sees to.
func TestOnePlaceStartsPrograms(t *testing.T) {
	for _, pkg := range list(t, "./...") {
		rel := strings.TrimPrefix(pkg, module)
		if rel == "internal/child" || slices.ContainsFunc(tools, func(tool string) bool { return rel == tool || strings.HasPrefix(rel, tool+"/") }) {
			continue
		}
		files, err := filepath.Glob(filepath.Join(rel, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if call := starts.Find(text); call != nil {
				t.Errorf("%s calls %s: programs are started by package child", file, call)
			}
		}
	}
}

// TestTags: one set of build tags everywhere, or tests are of other programs than those built.
func TestTags(t *testing.T) {
	want := strings.Split(strings.TrimPrefix(tags, "-tags="), ",")
	for _, name := range []string{".ci/build", "Taskfile.yml", ".golangci.yml", "CONTRIBUTING.md"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if text := string(file); !strings.Contains(text, strings.Join(want, ",")) && !strings.Contains(text, strings.Join(want, ", ")) {
			t.Errorf("%s does not have the build tags %s", name, want)
		}
	}
}

// TestOneWordPackages: names that say nothing are no names.
func TestOneWordPackages(t *testing.T) {
	for _, pkg := range list(t, "./...") {
		for part := range strings.SplitSeq(strings.TrimPrefix(pkg, module), "/") {
			if slices.Contains([]string{"types", "utils", "util", "common", "helpers", "pkg", "misc"}, part) {
				t.Errorf("package %s: say what it is about", pkg)
			}
		}
	}
}

// TestErrorClasses: the class of an error stands beside its text (internal/fault). In the text it would be one more reason,
// which is none, and could not be told from one that is.
func TestErrorClasses(t *testing.T) {
	class := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		if !ok || !strings.HasPrefix(sel.Sel.Name, "Err") {
			return false
		}
		pkg, ok := sel.X.(*ast.Ident)
		return ok && pkg.Name == "errdefs"
	}
	files := token.NewFileSet()
	for _, path := range list(t, "-f", `{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`, "./...") {
		if path == "" {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if ok && (fun.Sel.Name == "Errorf" && slices.ContainsFunc(call.Args, class) || fun.Sel.Name == "WithMessage" && class(fun.X)) {
				t.Errorf("%s: make it with fault.New(errdefs.Err..., ...)", files.Position(call.Pos()))
			}
			return true
		})
	}
}

// TestOneNotationOfErrors: what can be done about an error, and the exit code that it ends podc with, are parts of a fault, which
// whoever holds the error asks package fault for. Another error with a field of its own for them would be overlooked.
func TestOneNotationOfErrors(t *testing.T) {
	files := token.NewFileSet()
	for _, line := range list(t, "-f", `{{$.ImportPath}}{{range .GoFiles}} {{$.Dir}}/{{.}}{{end}}`, "./...") {
		pkg := strings.Fields(line)
		if pkg[0] == module+"internal/fault" {
			continue
		}
		fields, isError := map[string]token.Pos{}, map[string]bool{} // by the type's name
		for _, path := range pkg[1:] {
			file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv != nil && n.Name.Name == "Error" && n.Type.Params.NumFields() == 0 {
						isError[receiver(n)] = true
					}
				case *ast.TypeSpec:
					is, ok := n.Type.(*ast.StructType)
					if !ok {
						break
					}
					if slices.ContainsFunc(is.Fields.List, beside) {
						fields[n.Name.Name] = n.Pos()
					}
					if slices.ContainsFunc(is.Fields.List, embedsError) {
						isError[n.Name.Name] = true
					}
				}
				return true
			})
		}
		for name, at := range fields {
			if isError[name] {
				t.Errorf("%s: %s is an error with parts of a fault: make it with package fault", files.Position(at), name)
			}
		}
	}
}

// beside reports whether a field holds what stands beside the text of a fault.
func beside(f *ast.Field) bool {
	return slices.ContainsFunc(f.Names, func(n *ast.Ident) bool {
		return slices.Contains([]string{"hint", "exit"}, strings.ToLower(n.Name))
	})
}

func embedsError(f *ast.Field) bool {
	name, ok := f.Type.(*ast.Ident)
	return ok && len(f.Names) == 0 && name.Name == "error"
}

func receiver(f *ast.FuncDecl) string {
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// TestTextsBelowPlansNameNoKeys: what a container is made of is asked for by others than compose files too; a text that names a key
// of theirs means nothing to those.
func TestTextsBelowPlansNameNoKeys(t *testing.T) {
	served, err := os.ReadFile("compose/served.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]bool{} // those that are no words of any other language
	for _, key := range regexp.MustCompile(`services\.\*\.([a-z]+(?:_[a-z]+)+)`).FindAllStringSubmatch(string(served), -1) {
		keys[key[1]] = true
	}
	words := regexp.MustCompile(`[a-z_]+`)
	files := token.NewFileSet()
	for _, path := range list(t, "-f", `{{range .GoFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`, "./engine/...", "./netstack/...", "./volumes/...") {
		if path == "" {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field: // tags of JSON
				return n.Tag == nil
			case *ast.BasicLit:
				for _, word := range words.FindAllString(n.Value, -1) {
					if n.Kind == token.STRING && keys[word] {
						t.Errorf("%s: %s names the compose key %s", files.Position(n.Pos()), n.Value, word)
					}
				}
			}
			return true
		})
	}
}

// byText are the functions that look at the text of an error, and why they may. No other is to: texts change, and mean nothing to a
// program; what it needs to know is the error's class or type.
var byText = map[string]string{
	"compose.model":        "the loader of compose files has no types for what it finds",
	"compose.loaderError":  "the loader of compose files has no types for what it finds",
	"compose.syntaxError":  "the reader of YAML says the line in its text alone",
	"compose.mountForms":   "the text repeats what was read",
	"project.refuse":       "what was said already in the same words is said once",
	"project.Error":        "what is a sentence already is not made one",
	"engine/monitor.ready": "it is only passed on",
}

// readers are functions of package strings, and methods of regular expressions, that find out what a text says.
var readers = regexp.MustCompile(`^(Contains|Cut|Equal|Has|Index|LastIndex|Trim|Split|Fields|Count|Match|Find|Replace)`)

// TestNoErrorIsToldByItsText: see byText.
func TestNoErrorIsToldByItsText(t *testing.T) {
	text := func(e ast.Expr) bool { // err.Error(), or that of something which is called so
		call, ok := e.(*ast.CallExpr)
		if !ok || len(call.Args) > 0 {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Error"
	}
	within := func(list ...ast.Expr) bool {
		return slices.ContainsFunc(list, func(e ast.Expr) (found bool) {
			ast.Inspect(e, func(n ast.Node) bool {
				if e, ok := n.(ast.Expr); ok && text(e) {
					found = true
				}
				return !found
			})
			return found
		})
	}
	files := token.NewFileSet()
	used := map[string]bool{}
	for _, path := range list(t, "-f", `{{range .GoFiles}}{{$.ImportPath}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}`, "./...") {
		pkg, path, _ := strings.Cut(path, " ")
		pkg = strings.TrimPrefix(pkg, module)
		if path == "" || slices.ContainsFunc(tools, func(tool string) bool { return pkg == tool || strings.HasPrefix(pkg, tool+"/") }) {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				looks := false
				switch n := n.(type) {
				case *ast.CallExpr:
					sel, ok := n.Fun.(*ast.SelectorExpr)
					looks = ok && readers.MatchString(sel.Sel.Name) && within(n.Args...)
				case *ast.BinaryExpr:
					looks = (n.Op == token.EQL || n.Op == token.NEQ) && (text(n.X) || text(n.Y))
				case *ast.AssignStmt: // what becomes of it is not seen here
					_, local := n.Lhs[0].(*ast.Ident)
					looks = local && slices.ContainsFunc(n.Rhs, text)
				}
				if name := pkg + "." + f.Name.Name; looks && byText[name] == "" {
					t.Errorf("%s: %s looks at the text of an error", files.Position(n.Pos()), name)
				} else if looks {
					used[name] = true
				}
				return true
			})
		}
	}
	for name := range byText {
		if !used[name] {
			t.Errorf("%s looks at no text any more", name)
		}
	}
}

// within returns the prefix that path is, or is below, if any.
func within(path string, prefixes []string) string {
	for _, p := range prefixes {
		if path == p || strings.HasPrefix(path, strings.TrimSuffix(p, "/")+"/") {
			return p
		}
	}
	return ""
}

// list runs go list as the binaries are built: without cgo, but for the one that says otherwise.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", tags}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
