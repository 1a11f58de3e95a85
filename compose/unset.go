package compose

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// unsetAt is " (variable X is not set)" if the value at key came of variables that are not set, which then are why it is wrong; ""
// otherwise. Of networks, volumes and services it is the value that names them, or their image.
func (l *load) unsetAt(key string) string {
	if len(l.unset) == 0 || key == "" {
		return ""
	}
	found := map[string]bool{}
	for _, f := range l.files {
		for _, doc := range f.docs {
			for _, at := range []string{key, key + ".name", key + ".image"} {
				if _, _, n := walkPath(doc, at, 0); n != nil && n.Kind == yaml.ScalarNode {
					l.unsetIn(n.Value, found)
				}
			}
		}
	}
	names := slices.Sorted(maps.Keys(found))
	switch len(names) {
	case 0:
		return ""
	case 1:
		return " (variable " + names[0] + " is not set)"
	}
	return " (variables " + strings.Join(names, ", ") + " are not set)"
}

// unsetIn adds the variables that text refers to and that are not set.
func (l *load) unsetIn(text string, found map[string]bool) {
	s := &substitution{lookup: func(name string) (string, bool) { v, ok := l.env[name]; return v, ok }, unset: func(name string) {
		if l.unset[name] {
			found[name] = true
		}
	}}
	_, _ = s.expand(text, 0) // the loader has told what is wrong with it
}
