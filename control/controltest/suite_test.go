package controltest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"

	"podc.example/podc/control"
)

// TestEveryMethodHasABehaviour: whatever may be asked of podc is asked by the suite.
func TestEveryMethodHasABehaviour(t *testing.T) {
	asked := map[string]bool{} // "Containers.Stop"
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			method, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch of := method.X.(type) {
			case *ast.SelectorExpr: // s.Containers.Stop
				asked[of.Sel.Name+"."+method.Sel.Name] = true
			case *ast.Ident: // stream.Write
				asked[of.Name+"."+method.Sel.Name] = true
			}
			return true
		})
	}
	nouns := reflect.TypeFor[control.Control]()
	check := func(noun string, of reflect.Type) {
		for i := range of.NumMethod() {
			if name := noun + "." + of.Method(i).Name; !asked[name] {
				t.Errorf("no behaviour has %s", name)
			}
		}
	}
	for i := range nouns.NumField() {
		noun := nouns.Field(i)
		if noun.Type == reflect.TypeFor[control.Objects]() { // two nouns with one suite
			check("of", noun.Type)
			continue
		}
		check(noun.Name, noun.Type)
	}
	check("stream", reflect.TypeFor[control.Stream]())
}
