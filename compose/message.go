package compose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"

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
				return problem(key, fmt.Sprintf("the name %q: only letters, digits, \"_\", \".\" and \"-\" are allowed", name[1]))
			}
			if name := strangeName.FindStringSubmatch(m[2]); name != nil && name[1] == "" {
				return problem(key, nameless(key))
			}
			if want := expected(key); form == validating && strings.HasPrefix(m[2], "must be ") && want != "" {
				m[2] = "must be " + want
			}
			return problem(key, m[2])
		}
	}
	if m := badEnvFile.FindStringSubmatch(text); m != nil {
		return l.envFileError(m)
	}
	switch {
	case strings.HasPrefix(text, "Circular reference:"):
		return problem("", "extends cycle: "+l.extendsChain(text))
	case strings.HasPrefix(text, "project name must not be empty"):
		return Invalid("", "cannot derive a project name from the folder %s", l.dir).
			WithHint("give one with -p NAME, or as `name:` in the compose file")
	case strings.HasPrefix(text, "empty compose file"):
		return Invalid("", "the compose file declares nothing")
	}
	return problem("", text)
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
			errs = append(errs, problem(namedIndex.ReplaceAllString(m[1], ".$1"), m[2]))
		} else if line != "" {
			errs = append(errs, problem("", line))
		}
	}
	return Join(errs...)
}

// namedIndex is the "[web]" of a path, where the entry of a list has a number.
var namedIndex = regexp.MustCompile(`\[([^\]0-9][^\]]*)\]`)

func problem(key, text string) error {
	return &Error{Class: errdefs.ErrInvalidArgument, Problems: []Problem{{Key: key, Text: text}}}
}

var badEnvFile = regexp.MustCompile(`(?s)^failed to read (.+?): line (\d+): (.*)$`)

// envFileError is what badEnvFile found, with the place.
func (l *load) envFileError(m []string) error {
	line, _ := strconv.Atoi(m[2])
	return &Error{Class: errdefs.ErrInvalidArgument, Problems: []Problem{{File: l.display(m[1]), Line: line, Text: m[3]}}}
}

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
