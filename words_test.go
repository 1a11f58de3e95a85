package podc_test

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources are the Go files of the repository, tests included.
func sources(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "ls-files", "--cached", "--others", "--exclude-standard", "*.go").Output()
	if err != nil {
		t.Skip("no checkout: ", err)
	}
	var paths []string
	for _, p := range strings.Fields(string(out)) {
		if _, err := os.Stat(p); err == nil {
			paths = append(paths, p)
		}
	}
	return paths
}

var (
	// named are words of a comment that only a program has: with a capital inside, or the name of a Go file.
	named = regexp.MustCompile(`\b[A-Za-z]+[a-z][A-Z]\w*|[\w/]+\.go\b`)
	word  = regexp.MustCompile(`\w+`)
	// quoted are the words and paths that documents set off.
	quoted = regexp.MustCompile("`[^`]+`")
	// below is a path of this repository.
	below = regexp.MustCompile(`^(api|builder|cli|cmd|compose|control|docs|doctor|dockerapi|e2e|engine|internal|netstack|project|secrets|testdata|volumes)(/[\w.{},*-]+)+$`)
)

// products are names of others' that look like those of a program.
var products = []string{"BuildKit"}

// known are the words that Go files use outside of comments, and their names.
func known(t *testing.T, paths []string) (words, files map[string]bool) {
	words, files = map[string]bool{}, map[string]bool{}
	for _, name := range products {
		words[name] = true
	}
	for _, p := range paths {
		files[p], files[path.Base(p)] = true, true
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		set := token.NewFileSet()
		var s scanner.Scanner
		s.Init(set.AddFile(p, -1, len(text)), text, nil, 0)
		for _, tok, lit := s.Scan(); tok != token.EOF; _, tok, lit = s.Scan() {
			switch tok {
			case token.IDENT:
				words[lit] = true
			case token.STRING:
				for _, w := range word.FindAllString(lit, -1) {
					words[w] = true
				}
			}
		}
	}
	return words, files
}

// TestCommentsNameWhatExists: a comment that names what was renamed or is gone misleads whoever looks for it.
func TestCommentsNameWhatExists(t *testing.T) {
	paths := sources(t)
	words, files := known(t, paths)
	set := token.NewFileSet()
	for _, p := range paths {
		f, err := parser.ParseFile(set, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Comments {
			for _, name := range named.FindAllString(group.Text(), -1) {
				exists := words[name] || words[strings.ToLower(name[:1])+name[1:]]
				if strings.HasSuffix(name, ".go") {
					exists = files[name] || files[path.Join(path.Dir(p), name)]
				}
				if !exists {
					t.Errorf("%s: a comment names %s, which does not exist", set.Position(group.Pos()), name)
				}
			}
		}
	}
}

// TestDocumentsNameWhatExists is the same for the documents.
func TestDocumentsNameWhatExists(t *testing.T) {
	words, _ := known(t, sources(t))
	for _, doc := range []string{"ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range quoted.FindAllString(string(text), -1) {
			q = strings.TrimSuffix(strings.Trim(q, "`"), "/")
			switch {
			case below.MatchString(q):
				for _, p := range braces(q) {
					if found, err := filepath.Glob(p); err != nil || len(found) == 0 {
						t.Errorf("%s names %s, which does not exist", doc, p)
					}
				}
			case named.MatchString(q) && word.FindString(q) == q && !words[q]:
				t.Errorf("%s names %s, which does not exist", doc, q)
			}
		}
	}
}

// braces are the paths that one with a list in braces stands for.
func braces(p string) []string {
	before, rest, ok := strings.Cut(p, "{")
	list, after, closed := strings.Cut(rest, "}")
	if !ok || !closed {
		return []string{p}
	}
	var paths []string
	for name := range strings.SplitSeq(list, ",") {
		paths = append(paths, before+name+after)
	}
	return paths
}

// TestSizes: what is larger is taken in by nobody. A receiver that has too many methods does too much, and a folder that has too
// many files is no room.
func TestSizes(t *testing.T) {
	const methods, lines, inFolder = 40, 60, 40
	ofReceiver, ofFolder := map[string]int{}, map[string]int{}
	set := token.NewFileSet()
	for _, p := range sources(t) {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		dir := path.Dir(p)
		ofFolder[dir]++
		f, err := parser.ParseFile(set, p, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := set.Position(fn.End()).Line - set.Position(fn.Pos()).Line + 1; n > lines {
				t.Errorf("%s: %s has %d lines, more than %d", set.Position(fn.Pos()), fn.Name.Name, n, lines)
			}
			if fn.Recv != nil {
				ofReceiver[dir+"."+receiver(fn)]++
			}
		}
	}
	for name, n := range ofReceiver {
		if n > methods {
			t.Errorf("%s has %d methods, more than %d", name, n, methods)
		}
	}
	for dir, n := range ofFolder {
		if n > inFolder {
			t.Errorf("%s has %d files, more than %d", dir, n, inFolder)
		}
	}
}
