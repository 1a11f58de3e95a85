package cli

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

const flagTable = "../docs/flags.md"

// uncovered are flags that no end-to-end test uses, and why that is so.
var uncovered = map[string]string{
	"config --key-file": "podc gives it to its helper, for --hash",
}

// invocation is one command line of podc in a test.
type invocation struct {
	test  string
	words []string
	fails bool // it is expected to be refused
}

// runners are the functions of the end-to-end tests that run podc, and the words that they put before their arguments.
var runners = map[string][]string{
	"podc": nil, "try": nil, "fails": nil, "podcErr": nil, "both": nil, "begin": nil, "cmd": nil, "traceExecs": nil, "sweep": nil,
	"within": nil, "atOnce": nil,
	"down": {"down"}, "plan": {"plan", "--format", "json"}, "exec": {"exec", "-T"}, "config": {"config", "--format", "json"},
	"ps": {"ps", "-a", "--format", "json"}, "runs": {"logs", "--no-log-prefix"}, "onTerminal": nil, "begun": nil,
}

// TestFlagTable writes docs/flags.md with -update. It fails if a flag has no test, and if the table lacks a flag or says what
// is not so; a test that has come since need not be in it, so that not every new test touches it.
func TestFlagTable(t *testing.T) {
	con, _, _ := show.BufferConsole()
	root := allCommands(con, []string{"help"})
	covered, refusals := coverage(t, root, invocations(t))
	var b strings.Builder
	b.WriteString("# Flags and their tests\n\nWritten by `go tool task flags` from the sources of the end-to-end tests: which of them use a flag in a command that is meant to\nwork. Do not edit.\n")
	section := func(title, path string, flags []*command.Flag) {
		if len(flags) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n| Flag | Tests |\n|---|---|\n", title)
		for _, f := range flags {
			key := strings.TrimSpace(path + " --" + f.Name())
			tests := slices.Sorted(maps.Keys(covered[key]))
			why, excused := uncovered[key]
			refused := slices.Sorted(maps.Keys(refusals[key]))
			switch {
			case len(tests) == 0 && len(refused) > 0 && !f.IsVisible():
				tests = []string{"refused by name: " + strings.Join(refused, ", ")}
			case len(tests) == 0 && !excused:
				t.Errorf("%s: no end-to-end test uses it; write one, or list it in uncovered with the reason", key)
			case len(tests) > 0 && excused:
				t.Errorf("%s: there is a test; take it out of uncovered", key)
			}
			cell := strings.Join(tests, ", ")
			if len(tests) == 0 {
				cell = "none: " + why
			}
			fmt.Fprintf(&b, "| `--%s` | %s |\n", f.Name(), cell)
		}
	}
	section("Global", "", root.Flags)
	var walk func(path string, list []*command.Command)
	walk = func(path string, list []*command.Command) {
		for _, c := range list {
			name := strings.TrimSpace(path + " " + c.Name)
			section("podc "+name, name, c.AllFlags())
			walk(name, c.Subcommands)
		}
	}
	walk("", slices.SortedFunc(slices.Values(root.Subcommands), func(a, b *command.Command) int { return cmp.Compare(a.Name, b.Name) }))
	if *update {
		if err := os.WriteFile(flagTable, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(flagTable)
	if err != nil {
		t.Fatal(err)
	}
	has, want := cellsOf(string(written)), cellsOf(b.String())
	for key, cells := range want {
		if len(has[key]) == 0 {
			t.Errorf("%s lacks %s: go tool task flags", filepath.Base(flagTable), key)
		}
		for _, cell := range has[key] {
			if !slices.Contains(cells, cell) {
				t.Errorf("%s says of %s what is not so (any more): %s: go tool task flags", filepath.Base(flagTable), key, cell)
			}
		}
	}
	for key := range has {
		if want[key] == nil {
			t.Errorf("%s has %s, which is no flag (any more): go tool task flags", filepath.Base(flagTable), key)
		}
	}
}

// cellsOf reads a table: what it says of each flag.
func cellsOf(text string) map[string][]string {
	cells := map[string][]string{}
	command := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			command = title
		}
		if row, ok := strings.CutPrefix(line, "| `--"); ok {
			flag, tests, _ := strings.Cut(strings.TrimSuffix(row, " |"), "` | ")
			cells[command+" --"+flag] = strings.Split(tests, ", ")
		}
	}
	return cells
}

// coverage names, for each flag of the command tree, the tests that use it, and those that see it refused.
func coverage(t *testing.T, root *command.Command, all []invocation) (used, refused map[string]map[string]bool) {
	t.Helper()
	used, refused = map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, i := range all {
		w, err := command.Arguments(root, i.words)
		if err != nil || len(i.words) == 0 {
			continue
		}
		covered := used
		if i.fails {
			covered = refused
		}
		if i.words[0] == "--version" { // which becomes a command
			covered["--version"] = map[string]bool{i.test: true}
		}
		path := ""
		commands := root.Subcommands
		for _, word := range w.Argv[1:] {
			if word == "--" {
				break
			}
			name, isFlag := strings.CutPrefix(word, "--")
			if !isFlag {
				path = strings.TrimSpace(path + " " + word)
				for _, c := range commands {
					if c.Name == word {
						commands = c.Subcommands
						break
					}
				}
				continue
			}
			name, _, _ = strings.Cut(name, "=")
			key := strings.TrimSpace(path + " --" + name)
			if covered[key] == nil {
				covered[key] = map[string]bool{}
			}
			covered[key][i.test] = true
		}
	}
	return used, refused
}

// invocations reads the command lines of podc out of the sources of the end-to-end tests. What is no literal there counts as
// the word "1".
func invocations(t *testing.T) []invocation {
	t.Helper()
	files, err := filepath.Glob("../e2e/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no end-to-end tests", err)
	}
	var functions []*ast.FuncDecl
	home := map[*ast.FuncDecl]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Body != nil {
				functions = append(functions, fn)
				home[fn] = filepath.Base(name)
			}
		}
	}
	shared := source{local: map[string][]string{}, lists: map[string][][]string{}}
	for _, fn := range functions {
		if _, known := runners[fn.Name.Name]; !known {
			shared.learnFunc(fn.Name.Name, fn.Type, fn.Body)
		}
	}
	var all []invocation
	for _, fn := range functions {
		in := fn.Name.Name
		if !strings.HasPrefix(in, "Test") {
			in += " (" + home[fn] + ")"
		}
		src := source{local: maps.Clone(shared.local), lists: map[string][][]string{}}
		src.learn(fn.Body)
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if i, ok := src.invocationOf(n); ok {
				for _, words := range src.expand(i.words) {
					all = append(all, invocation{in, words, i.fails})
				}
			}
			return true
		})
	}
	return all
}

// source is what is known of names inside one function.
type source struct {
	local map[string][]string   // functions that run podc, and the words that they put before their arguments
	lists map[string][][]string // variables of loops over lists of words
}

// named marks a word that stands for what a variable holds.
const named = "\x00"

// learn finds the functions and the loops of a body.
func (src source) learn(body ast.Node) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			name, isName := n.Lhs[0].(*ast.Ident)
			fn, isFunc := n.Rhs[0].(*ast.FuncLit)
			if isName && isFunc {
				delete(src.local, name.Name) // another of that name elsewhere
				src.learnFunc(name.Name, fn.Type, fn.Body)
			}
		case *ast.RangeStmt:
			v, isName := n.Value.(*ast.Ident)
			list, isList := n.X.(*ast.CompositeLit)
			if isName && isList {
				for _, e := range list.Elts {
					if inner, ok := e.(*ast.CompositeLit); ok {
						src.lists[v.Name] = append(src.lists[v.Name], literals(inner.Elts))
					}
				}
			}
		}
		return true
	})
}

// learnFunc takes note of a function that hands its arguments to podc.
func (src source) learnFunc(name string, fn *ast.FuncType, body *ast.BlockStmt) {
	params := fn.Params.List
	if len(params) == 0 || len(params[len(params)-1].Names) == 0 {
		return
	}
	if _, variadic := params[len(params)-1].Type.(*ast.Ellipsis); !variadic {
		return
	}
	rest := named + params[len(params)-1].Names[0].Name
	ast.Inspect(body, func(n ast.Node) bool {
		if i, ok := src.invocationOf(n); ok && src.local[name] == nil && slices.Contains(i.words, rest) {
			src.local[name] = i.words[:slices.Index(i.words, rest)]
		}
		return true
	})
}

// expand puts what is known in the place of variables.
func (src source) expand(words []string) [][]string {
	all := [][]string{nil}
	for _, w := range words {
		name, isName := strings.CutPrefix(w, named)
		lists := src.lists[name]
		if !isName {
			lists = [][]string{{w}}
		} else if lists == nil {
			lists = [][]string{nil, {"1"}} // a list of words, or one word, that is not known
		}
		var next [][]string
		for _, begun := range all {
			for _, more := range lists {
				next = append(next, append(slices.Clone(begun), more...))
			}
		}
		all = next
	}
	return all
}

// invocationOf recognises a call that runs podc, or a list of words that begins with a command.
func (src source) invocationOf(n ast.Node) (i invocation, ok bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := ""
		switch f := n.Fun.(type) {
		case *ast.SelectorExpr:
			name = f.Sel.Name
		case *ast.Ident:
			name = f.Name
		}
		before, runs := runners[name]
		if local, known := src.local[name]; known {
			i.words = append(slices.Clone(local), literals(n.Args)...)
			return i, true
		}
		if _, isFunc := n.Fun.(*ast.Ident); !runs && isFunc {
			return globalsOnly(literals(n.Args))
		}
		if !runs {
			return i, false
		}
		args := n.Args
		if name == "fails" && len(args) > 0 {
			code, isCode := args[0].(*ast.BasicLit)
			i.fails = isCode && code.Value == "1"
			args = args[1:]
		}
		if (name == "cmd" || name == "within" || name == "sweep" && len(args) > 2) && len(args) > 0 {
			args = args[1:]
		}
		if name == "sweep" && len(args) > 1 {
			args = args[1:]
		}
		i.words = append(slices.Clone(before), literals(args)...)
	case *ast.CompositeLit:
		a, isArray := n.Type.(*ast.ArrayType)
		if n.Type != nil && (!isArray || fmt.Sprint(a.Elt) != "string") {
			return i, false
		}
		i.words = literals(n.Elts)
		if len(i.words) == 0 || !slices.ContainsFunc(commands, isNamed(i.words[0])) {
			return globalsOnly(i.words)
		}
	}
	return i, len(i.words) > 0
}

// globalsOnly are global flags that a test hands to a function of its own, which adds the command.
func globalsOnly(words []string) (i invocation, ok bool) {
	first := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "--") && !strings.Contains(w, " ") })
	if first < 0 {
		return i, false
	}
	return invocation{words: append(slices.Clone(words[first:]), "version")}, true
}

func isNamed(name string) func(struct {
	name string
	make func() *command.Command
}) bool {
	return func(c struct {
		name string
		make func() *command.Command
	}) bool {
		return c.name == name
	}
}

// literals are the words that expressions stand for: strings, and those inside of append.
func literals(list []ast.Expr) []string {
	var words []string
	for _, e := range list {
		switch e := e.(type) {
		case *ast.BasicLit:
			s, err := strconv.Unquote(e.Value)
			if err != nil {
				s = "x"
			}
			words = append(words, s)
		case *ast.CallExpr:
			if f, ok := e.Fun.(*ast.Ident); ok && f.Name == "append" {
				words = append(words, literals(e.Args)...)
				continue
			}
			words = append(words, "1")
		case *ast.CompositeLit:
			words = append(words, literals(e.Elts)...)
		case *ast.BinaryExpr: // "--flag=" + value
			if l, ok := e.X.(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(l.Value); err == nil {
					words = append(words, s+"1")
					continue
				}
			}
			words = append(words, "1")
		case *ast.Ident:
			words = append(words, named+e.Name)
		default:
			words = append(words, "1")
		}
	}
	return words
}
