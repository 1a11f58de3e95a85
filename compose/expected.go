package compose

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/schema"
)

// schemaRoot is the JSON schema of the specification.
var schemaRoot = sync.OnceValue(func() map[string]any {
	var root map[string]any
	if json.Unmarshal([]byte(schema.Schema), &root) != nil {
		return nil
	}
	return root
})

var listIndex = regexp.MustCompile(`\[(\d+)\]`)

// expected says what the specification wants at a key: "a mapping or a list". The loader's own message names only one of
// several possibilities. It returns "" if there is nothing to say.
func expected(key string) string {
	nodes := alternatives(schemaRoot())
	for _, part := range strings.Split(listIndex.ReplaceAllString(key, ".$1"), ".") {
		var next []map[string]any
		for _, n := range nodes {
			next = append(next, step(n, part)...)
		}
		nodes = next
	}
	var kinds []string
	for _, n := range nodes {
		for _, k := range kindsOf(n) {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, " or ")
}

// alternatives resolves references and the forms that a schema may take.
func alternatives(n map[string]any) []map[string]any {
	if ref, ok := n["$ref"].(string); ok {
		defs, _ := schemaRoot()["$defs"].(map[string]any)
		def, _ := defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
		return alternatives(def)
	}
	found := []map[string]any{n}
	for _, word := range []string{"oneOf", "anyOf", "allOf"} {
		list, _ := n[word].([]any)
		for _, e := range list {
			if sub, ok := e.(map[string]any); ok {
				found = append(found, alternatives(sub)...)
			}
		}
	}
	return found
}

// step goes from a schema to that of one of its keys or items.
func step(n map[string]any, part string) []map[string]any {
	if properties, ok := n["properties"].(map[string]any); ok {
		if sub, ok := properties[part].(map[string]any); ok {
			return alternatives(sub)
		}
	}
	patterns, _ := n["patternProperties"].(map[string]any)
	for pattern, sub := range patterns {
		if m, ok := sub.(map[string]any); ok && pattern != "^x-" {
			return alternatives(m)
		}
	}
	for _, word := range []string{"additionalProperties", "items"} {
		if sub, ok := n[word].(map[string]any); ok {
			return alternatives(sub)
		}
	}
	return nil
}

// kindsOf describes the types that a schema accepts.
func kindsOf(n map[string]any) []string {
	var types []string
	switch t := n["type"].(type) {
	case string:
		types = []string{t}
	case []any:
		for _, e := range t {
			if s, ok := e.(string); ok {
				types = append(types, s)
			}
		}
	}
	var kinds []string
	for _, t := range types {
		kinds = append(kinds, kind(t, n))
	}
	return slices.DeleteFunc(kinds, func(k string) bool { return k == "" })
}

func kind(t string, n map[string]any) string {
	low, hasLow := n["minimum"].(float64)
	high, hasHigh := n["maximum"].(float64)
	switch {
	case t == "null":
		return ""
	case t == "object":
		return "a mapping"
	case t == "array":
		return "a list"
	case t == "boolean":
		return "true or false"
	case t == "integer" && hasLow && hasHigh:
		return fmt.Sprintf("an integer between %.0f and %.0f", low, high)
	case t == "integer":
		return "an integer"
	}
	return "a " + t
}
