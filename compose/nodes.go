package compose

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"podc.example/podc/internal/valid"
)

// pair is one entry of a YAML mapping.
type pair struct {
	key   string
	line  int
	value *yaml.Node
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// pairs returns the entries of a mapping, nil for any other node. Merge keys are not resolved.
func pairs(n *yaml.Node) []pair {
	n = deref(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var list []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		list = append(list, pair{n.Content[i].Value, n.Content[i].Line, n.Content[i+1]})
	}
	return list
}

// merges returns the mappings that `<<` brings into n.
func merges(n *yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	for _, p := range pairs(n) {
		if p.key != "<<" {
			continue
		}
		if v := deref(p.value); v.Kind == yaml.SequenceNode {
			list = append(list, v.Content...)
		} else {
			list = append(list, v)
		}
	}
	return list
}

// field returns the value of key in a mapping, merged ones included, or nil.
func field(n *yaml.Node, key string) *yaml.Node {
	if p := entry(n, key, 0); p != nil {
		return p.value
	}
	return nil
}

func entry(n *yaml.Node, key string, depth int) *pair {
	if depth > maxDepth {
		return nil
	}
	if m := deref(n); m != nil && m.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if k := m.Content[i]; k.Value == key {
				return &pair{k.Value, k.Line, m.Content[i+1]}
			}
		}
	}
	for _, m := range merges(n) {
		if p := entry(m, key, depth+1); p != nil {
			return p
		}
	}
	return nil
}

func items(n *yaml.Node) []*yaml.Node {
	n = deref(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	list := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		list[i] = deref(c)
	}
	return list
}

// listOf is items, but a single scalar counts as a list of one.
func listOf(n *yaml.Node) []*yaml.Node {
	n = deref(n)
	if n != nil && n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return []*yaml.Node{n}
	}
	return items(n)
}

// size is how many nodes n is, aliases expanded: few enough, once its shape has been checked.
func size(n *yaml.Node) int {
	n = deref(n)
	total := 1
	for _, c := range n.Content {
		total += size(c)
	}
	return total
}

// unknownKeys lists the keys of a document that the specification does not have.
func unknownKeys(doc *yaml.Node) []Problem {
	w := &keyWalk{seen: map[seenAt]bool{}}
	w.node(doc, keyTree(), "")
	return w.found
}

type seenAt struct {
	node *yaml.Node
	at   *keyNode
}

type keyWalk struct {
	seen  map[seenAt]bool
	found []Problem
}

func (w *keyWalk) node(n *yaml.Node, at *keyNode, path string) {
	n = deref(n)
	if at == nil || w.seen[seenAt{n, at}] {
		return
	}
	w.seen[seenAt{n, at}] = true
	switch n.Kind {
	case yaml.MappingNode:
		w.mapping(n, at, path)
	case yaml.SequenceNode:
		for i, c := range n.Content {
			w.node(c, at.item, path+"["+strconv.Itoa(i)+"]")
		}
	}
}

func (w *keyWalk) mapping(n *yaml.Node, at *keyNode, path string) {
	if at.free() {
		return
	}
	for _, m := range merges(n) {
		w.node(m, at, path)
	}
	for _, p := range pairs(n) {
		if p.key == "<<" || (strings.HasPrefix(p.key, "x-") && !userKeys(path)) {
			continue
		}
		if len(w.found) > maxProblems {
			return
		}
		next := at.below(p.key)
		if next == nil {
			problem := unknownKey(path, p.key, at)
			problem.Line = p.line
			w.found = append(w.found, problem)
			continue
		}
		w.node(p.value, next, joinKey(path, p.key))
	}
}

// locate finds the line of a key path, or of the longest part of it that is written down, in the last file that has it.
func locate(files []scanned, key string) (name string, line int) {
	best := 0
	for _, f := range files {
		for _, doc := range f.docs {
			if l, depth, _ := walkPath(doc, key, 0); depth > 0 && depth >= best {
				name, line, best = f.name, l, depth
			}
		}
	}
	return name, line
}

// says reports whether some file has a value at path.
func says(files []scanned, path ...string) bool {
	for _, f := range files {
		for _, doc := range f.docs {
			n := deref(doc)
			for _, key := range path {
				n = deref(field(n, key))
			}
			if n != nil {
				return true
			}
		}
	}
	return false
}

// walkPath follows key through n and returns the line of the last step that was found, the number of steps, and the value there if
// every step was found.
func walkPath(n *yaml.Node, key string, depth int) (line, steps int, value *yaml.Node) {
	n = deref(n)
	if n == nil || key == "" || depth > maxDepth {
		return 0, 0, nil
	}
	if n.Kind == yaml.SequenceNode {
		return walkItem(n, key, depth)
	}
	for end := len(key); end > 0; end = strings.LastIndexAny(key[:end], ".[") {
		if p := entry(n, key[:end], 0); p != nil {
			rest := strings.TrimPrefix(key[end:], ".")
			if l, s, v := walkPath(p.value, rest, depth+1); s > 0 {
				return l, s + 1, v
			}
			return p.line, 1, whole(p.value, rest)
		}
	}
	return 0, 0, nil
}

// whole is n if nothing is left of the way to it.
func whole(n *yaml.Node, rest string) *yaml.Node {
	if rest != "" {
		return nil
	}
	return deref(n)
}

func walkItem(n *yaml.Node, key string, depth int) (line, steps int, value *yaml.Node) {
	head, rest, _ := strings.Cut(strings.Replace(strings.TrimPrefix(key, "["), "]", ".", 1), ".")
	i, err := strconv.Atoi(head)
	if err != nil || i < 0 || i >= len(n.Content) {
		return 0, 0, nil
	}
	rest = strings.TrimPrefix(rest, ".")
	if l, s, v := walkPath(n.Content[i], rest, depth+1); s > 0 {
		return l, s + 1, v
	}
	return n.Content[i].Line, 1, whole(n.Content[i], rest)
}

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
			return invalidAt("", p.line, "key %q is written twice, first on line %d", p.key, line)
		}
		first[p.key] = p.line
	}
	return nil
}

func shapeError(n *yaml.Node, format string, args ...any) error {
	return invalidAt("", n.Line, format, args...)
}
