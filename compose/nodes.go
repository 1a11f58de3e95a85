package compose

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
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
				if p := entry(n, key, 0); p != nil {
					n = deref(p.value)
				} else {
					n = nil
				}
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
