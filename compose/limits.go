package compose

import (
	"bytes"
	"fmt"
	"strings"

	"podc.example/podc/internal/valid"
)

// Limits on what one project may hold. They stop input that was made to exhaust memory or time, not real projects: below them
// the work is linear, and done within two seconds and 300 MB (e2e's TestHostileInput).
const (
	MaxFile         = 5 << 20   // bytes of one compose, env or label file
	maxRead         = 16 << 20  // bytes of all env and label files, each counted as often as it is read
	maxDepth        = 100       // of nested YAML nodes
	maxNodes        = 20_000    // YAML nodes of all files, aliases expanded
	maxMarks        = 250_000   // of those that stand between YAML nodes, in one file: see mayHold
	maxCopied       = 1_000_000 // nodes of files that services extend from, each file as often as it is named
	maxInherited    = 60_000    // nodes that services have from those that they extend
	maxEntries      = 5_000     // of one mapping or list, and of env files that are read together
	maxNesting      = 100       // of files that include or extend files
	maxFiles        = 500       // that are included or extended from, each counted as often as it is named
	maxServices     = 1_000
	maxVariables    = 50_000   // in all env and label files, each counted as often as it is named
	maxPorts        = 17_000   // that services publish or expose, ranges counted port by port, those of what is extended as often as it is named
	maxDependencies = 5_000    // edges of depends_on
	maxVariable     = 1 << 20  // bytes of one variable's value
	maxExpanded     = 16 << 20 // bytes that variables add to all values
	maxExpansions   = 64       // depth of ${A:-${B:-...}}
	maxProblems     = 30       // that one error names
	maxQuote        = 600      // bytes of a key or a reason in a message
)

// MaxReplicas is how many containers the services of a project have together at most, and MaxPublished how many ports these publish.
const (
	MaxReplicas  = 10_000
	MaxPublished = 65_536
)

// abridge keeps the beginning and the end of a text that is longer than maxQuote: a value as large as a file is not printed whole,
// and the reason behind it is not lost.
func abridge(s string) string {
	if len(s) <= maxQuote {
		return s
	}
	const part = maxQuote / 2
	return fmt.Sprintf("%s[%d bytes]%s", strings.ToValidUTF8(s[:part], ""), len(s)-2*part, strings.ToValidUTF8(s[len(s)-part:], ""))
}

// mayHold is the most YAML nodes that content can hold, found without parsing: each but the first comes behind one of these.
func mayHold(content []byte) int {
	n := 1
	for _, c := range []byte("\n,:-?[{") {
		n += bytes.Count(content, []byte{c})
	}
	return n
}

// invalidAt is an error about a line of a file.
func invalidAt(file string, line int, format string, args ...any) *Error {
	e := Invalid("", format, args...)
	e.Problems[0].File, e.Problems[0].Line = file, line
	return e
}

// growth follows how long the values of env files become as they refer to one another: forty lines of which each names the one
// before twice would make a value that no machine holds.
type growth struct {
	sizes  map[string]int
	lookup func(string) (string, bool) // variables from elsewhere
	added  int
}

func newGrowth(lookup func(string) (string, bool)) *growth {
	return &growth{sizes: map[string]int{}, lookup: lookup}
}

// check refuses content if a variable becomes longer than maxVariable, or what they add to one another than maxExpanded, or if there
// are too many. A reference in single quotes counts as well.
func (g *growth) check(file, content string) error {
	line, end := 0, 0
	for text := range strings.Lines(content) {
		line++
		if err := valid.Text(text); err != nil {
			return invalidAt(file, line, "%v", err)
		}
	}
	line = 1
	for content != "" {
		line += strings.Count(content[:end], "\n")
		content = content[end:]
		name, value, length := statement(content)
		if end = length; name == "" {
			continue
		}
		added := g.references(value)
		g.sizes[name] = len(value) + added
		g.added += added
		switch {
		case g.sizes[name] > maxVariable || g.added > maxExpanded:
			return invalidAt(file, line, "variable %s grows beyond %d KiB by the variables in it", name, maxVariable>>10)
		case len(g.sizes) > maxEntries:
			return invalidAt(file, line, "more than %d variables", maxEntries)
		}
	}
	return nil
}

// statement is the first assignment in the text of an env file with its length, or a line that is none. A value ends with its line
// or, if it is quoted, with the quote.
func statement(text string) (name, value string, length int) {
	line, rest, _ := strings.Cut(text, "\n")
	length = len(text) - len(rest)
	eq := strings.IndexAny(line, "=:")
	name = strings.TrimSpace(strings.TrimPrefix(strings.TrimLeft(line[:max(eq, 0)], "\uFEFF \t"), "export "))
	if name == "" || name[0] == '#' {
		return "", "", length
	}
	value = strings.TrimLeft(line[eq+1:], " \t\r\v\f")
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return name, value, length
	}
	begin := len(line) - len(value)
	for i := begin + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[begin]:
			return name, text[begin:i], i + 1
		}
	}
	return name, text[begin:], len(text)
}

// references is how many bytes the variables named in a value have.
func (g *growth) references(value string) int {
	total := 0
	for {
		_, rest, found := strings.Cut(value, "$")
		if !found {
			return total
		}
		value = strings.TrimPrefix(rest, "{")
		name := leadingName(value)
		size := g.sizes[name]
		if v, ok := g.lookup(name); ok {
			size = max(size, len(v))
		}
		total = min(total+size, 2*maxExpanded)
	}
}
