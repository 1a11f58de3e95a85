package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// substitution is one pass over one string. What a variable's value holds is never looked at again.
type substitution struct {
	lookup func(string) (string, bool)
	unset  func(string) // told about each plain reference to a variable that is not set
	room   *int         // how many bytes variables may still add
}

// errTemplate is a reference to a variable that is not well formed.
var errTemplate = errors.New(`invalid variable: write ${NAME} with letters, digits and "_", or "$$" for a plain "$"`)

// expand replaces $NAME, ${NAME} and the forms with :- - :? ? :+ + in text; "$$" is a plain "$", and a "$" that no name or
// brace follows stays. It takes time linear in the length of text for each level of nesting.
func (s *substitution) expand(text string, depth int) (string, error) {
	if depth > maxExpansions {
		return "", fmt.Errorf("variables nested more than %d deep", maxExpansions)
	}
	var out strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		out.WriteString(text[:i])
		value, rest, err := s.reference(text[i+1:], depth)
		if err != nil {
			return "", err
		}
		out.WriteString(value)
		text = rest
	}
}

// reference expands what follows a "$" and returns its value and the text behind it.
func (s *substitution) reference(text string, depth int) (value, rest string, err error) {
	switch {
	case strings.HasPrefix(text, "$"):
		return "$", text[1:], nil
	case strings.HasPrefix(text, "{"):
		end := closingBrace(text)
		if end < 0 {
			return "", "", errTemplate
		}
		value, err = s.braced(text[1:end], depth)
		return value, text[end+1:], err
	}
	name := leadingName(text)
	if name == "" {
		return "$", text, nil
	}
	value, err = s.take(s.plain(name))
	return value, text[len(name):], err
}

// take counts the bytes of a variable's value that goes into the text.
func (s *substitution) take(value string) (string, error) {
	if s.room != nil {
		if *s.room -= len(value); *s.room < 0 {
			return "", fmt.Errorf("variables make the values of the project more than %d MiB longer", maxExpanded>>20)
		}
	}
	return value, nil
}

func (s *substitution) plain(name string) string {
	value, ok := s.lookup(name)
	if !ok && s.unset != nil {
		s.unset(name)
	}
	return value
}

// braced expands the inside of ${...}.
func (s *substitution) braced(inside string, depth int) (string, error) {
	name := leadingName(inside)
	if name == "" {
		return "", errTemplate
	}
	op := inside[len(name):]
	if op == "" {
		return s.take(s.plain(name))
	}
	value, set := s.lookup(name)
	if word, ok := strings.CutPrefix(op, ":"); ok {
		op, set = word, set && value != ""
	}
	if op == "" {
		return "", errTemplate
	}
	word := op[1:]
	switch op[0] {
	case '-':
		if set {
			return s.take(value)
		}
		return s.expand(word, depth+1)
	case '+':
		if !set {
			return "", nil
		}
		return s.expand(word, depth+1)
	case '?':
		if set {
			return s.take(value)
		}
		return "", s.missing(name, word, depth)
	}
	return "", errTemplate
}

func (s *substitution) missing(name, word string, depth int) error {
	reason, err := s.expand(word, depth+1)
	if err != nil {
		return err
	}
	if reason != "" {
		reason = ": " + reason
	}
	return fmt.Errorf("variable %s is required but not set%s", name, reason)
}

// closingBrace finds the brace that closes the one at text[0], or returns -1.
func closingBrace(text string) int {
	open := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// leadingName is the variable name that text begins with, or "".
func leadingName(text string) string {
	for i := 0; i < len(text); i++ {
		c := text[i]
		letter := c == '_' || (c|0x20 >= 'a' && c|0x20 <= 'z')
		if !letter && (i == 0 || c < '0' || c > '9') {
			return text[:i]
		}
	}
	return text
}

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
