package compose

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/schema"

	"podc.example/podc/internal/valid"
)

var (
	interpolating = regexp.MustCompile(`(?s)^error while interpolating (\S+): (.*)$`)
	validating    = regexp.MustCompile(`(?s)^validating .*?: ((?:name|include|services|networks|volumes|configs|secrets)\S*) (.*)$`)
	keyFirst      = regexp.MustCompile(`(?s)^((?:services|networks|volumes|configs|secrets)\.[^\s:]+): (.*)$`)
	strangeName   = regexp.MustCompile(`^additional properties '(.*)' not allowed$`) // of services, networks, volumes: names are keys
	extendsCycle  = regexp.MustCompile(`(?m)^\s+(?:extends )?(\S+) in (\S+)$`)
)

// loaderError says in podc's words what the loader found wrong.
func (l *load) loaderError(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range joined.Unwrap() {
			errs = append(errs, l.loaderError(e))
		}
		return Join(errs...)
	}
	text := err.Error()
	if list, ok := strings.CutPrefix(text, "decoding failed due to the following error(s):"); ok {
		return decodingError(list)
	}
	for _, form := range []*regexp.Regexp{interpolating, validating, keyFirst} {
		if m := form.FindStringSubmatch(text); m != nil {
			key := listKey(m[1])
			if name := strangeName.FindStringSubmatch(m[2]); name != nil && !strings.Contains(key, ".") {
				return Invalid(key, "the name %q: only letters, digits, \"_\", \".\" and \"-\" are allowed", name[1])
			}
			if name := strangeName.FindStringSubmatch(m[2]); name != nil && name[1] == "" {
				return Invalid(key, "%s", nameless(key))
			}
			if want := expected(key); form == validating && strings.HasPrefix(m[2], "must be ") && want != "" {
				m[2] = "must be " + want
			}
			return Invalid(key, "%s", m[2])
		}
	}
	if m := badEnvFile.FindStringSubmatch(text); m != nil {
		line, _ := strconv.Atoi(m[2])
		return invalidAt(l.display(m[1]), line, "%s", m[3])
	}
	switch {
	case strings.HasPrefix(text, "Circular reference:"):
		return Invalid("", "extends cycle: %s", l.extendsChain(text))
	case strings.HasPrefix(text, "project name must not be empty"):
		return Invalid("", "cannot derive a project name from the folder %s", l.dir).
			WithHint("give one with -p NAME, or as `name:` in the compose file")
	case strings.HasPrefix(text, "empty compose file"):
		return Invalid("", "the compose file declares nothing")
	}
	return Invalid("", "%s", text)
}

// nameless says that an entry of the mapping at key has no name.
func nameless(key string) string {
	switch key[strings.LastIndex(key, ".")+1:] {
	case "environment":
		return valid.VariableName("").Error()
	case "labels", "annotations":
		return valid.Labels(map[string]string{"": ""}).Error()
	}
	return "an entry has no name"
}

var undecoded = regexp.MustCompile(`^'([^']+)' (.+)$`)

// decodingError makes problems of lines such as "'services[web].mem_limit' invalid size: ”".
func decodingError(list string) error {
	var errs []error
	for line := range strings.Lines(strings.TrimSpace(list)) {
		line = strings.TrimSpace(line)
		if m := undecoded.FindStringSubmatch(line); m != nil {
			errs = append(errs, Invalid(namedIndex.ReplaceAllString(m[1], ".$1"), "%s", m[2]))
		} else if line != "" {
			errs = append(errs, Invalid("", "%s", line))
		}
	}
	return Join(errs...)
}

// namedIndex is the "[web]" of a path, where the entry of a list has a number.
var namedIndex = regexp.MustCompile(`\[([^\]0-9][^\]]*)\]`)

var badEnvFile = regexp.MustCompile(`(?s)^failed to read (.+?): line (\d+): (.*)$`)

// listKey writes list positions of compose-go's paths ("ports.[].target", "ports.0") as podc does, where known.
func listKey(path string) string {
	path = strings.ReplaceAll(path, ".[]", "")
	return regexp.MustCompile(`\.(\d+)(\.|$)`).ReplaceAllString(path, "[$1]$2")
}

// extendsChain makes "a -> b -> a" of the loader's list of services and files.
func (l *load) extendsChain(text string) string {
	var steps []string
	for _, m := range extendsCycle.FindAllStringSubmatch(text, -1) {
		steps = append(steps, m[1])
	}
	if len(steps) > 1 { // the loader begins anywhere in the circle
		circle := steps[:len(steps)-1]
		i := slices.Index(circle, slices.Min(circle))
		steps = append(append(slices.Clone(circle[i:]), circle[:i]...), circle[i])
	}
	return strings.Join(steps, " -> ")
}

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
