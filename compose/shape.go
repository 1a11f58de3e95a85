package compose

import (
	"strings"

	"go.yaml.in/yaml/v4"

	"podc.example/podc/internal/valid"
)

// shape checks nesting, size with aliases expanded, and tags of one document.
type shape struct{ sizes map[*yaml.Node]int }

// check returns the number of nodes below n, each alias counted as what it stands for.
func (sh *shape) check(n *yaml.Node, depth int) (int, error) {
	if depth > maxDepth {
		return 0, shapeError(n, "nested more than %d deep", maxDepth)
	}
	if n.Kind == yaml.AliasNode {
		return sh.alias(n, depth)
	}
	if err := checkTag(n); err != nil {
		return 0, err
	}
	if n.Tag == "!!float" && len(n.Value) > 18 && strings.Trim(n.Value, "0123456789") == "" {
		return 0, shapeError(n, "the number %.30s is too large: quote it if it is text", n.Value) // the loader would take it for 0
	}
	if digits := strings.ToLower(strings.TrimLeft(n.Value, "+-")); n.Tag == "!!float" && (digits == ".nan" || digits == ".inf") {
		return 0, shapeError(n, "%s is no number: quote it if it is text", n.Value)
	}
	if err := valid.Text(n.Value); err != nil {
		return 0, shapeError(n, "%v", err)
	}
	if entries := len(n.Content); entries > maxEntries && (n.Kind == yaml.SequenceNode || entries > 2*maxEntries) {
		return 0, shapeError(n, "more than %d entries in one mapping or list", maxEntries)
	}
	if err := checkDuplicates(n); err != nil {
		return 0, err
	}
	total := 1
	for _, c := range n.Content {
		size, err := sh.check(c, depth+1)
		if err != nil {
			return 0, err
		}
		if total += size; total > maxNodes {
			return 0, shapeError(n, "more than %d values once aliases are expanded", maxNodes)
		}
	}
	return total, nil
}

func (sh *shape) alias(n *yaml.Node, depth int) (int, error) {
	size, done := sh.sizes[n.Alias]
	if !done {
		sh.sizes[n.Alias] = -1
		var err error
		if size, err = sh.check(n.Alias, depth); err != nil {
			return 0, err
		}
		sh.sizes[n.Alias] = size
	}
	if size < 0 {
		return 0, shapeError(n, "alias %q contains itself", n.Value)
	}
	return size, nil
}

func checkTag(n *yaml.Node) error {
	switch n.Tag {
	case "", "!", "!reset", "!override", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge", "!!timestamp":
		return nil
	}
	return shapeError(n, "tag %q is not allowed", n.Tag)
}

func checkDuplicates(n *yaml.Node) error {
	first := map[string]int{}
	for _, p := range pairs(n) {
		if line, dup := first[p.key]; dup {
			e := Invalid("", "key %q is written twice, first on line %d", p.key, line)
			e.Problems[0].Line = p.line
			return e
		}
		first[p.key] = p.line
	}
	return nil
}

func shapeError(n *yaml.Node, format string, args ...any) error {
	e := Invalid("", format, args...)
	e.Problems[0].Line = n.Line
	return e
}
