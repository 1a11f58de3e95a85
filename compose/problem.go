package compose

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/internal/fault"
)

// Problem is one thing wrong with a compose project, said so that its author finds the place.
type Problem struct {
	File string // as the user would name it; empty if no file is to blame
	Line int    // 0 if unknown
	Key  string // key path such as "services.web.ports[0]"; empty if no key is to blame
	Text string
	Hint string // what to do about it; may be empty
}

func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		b.WriteString(": ")
	}
	if p.Key != "" {
		b.WriteString(abridge(p.Key) + ": ")
	}
	return b.String() + abridge(p.Text)
}

// Error is why a compose project was refused: one or more problems, all of one class.
type Error struct {
	Class    error // of containerd/errdefs: ErrInvalidArgument, ErrNotFound or ErrNotImplemented
	Problems []Problem
}

// Error has one line for each problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap is what programs need to know of e.
func (e *Error) Unwrap() error {
	return &fault.Fault{Class: e.Class, Text: e.Error(), Hint: e.hint()}
}

// hint joins the distinct hints of all problems.
func (e *Error) hint() string {
	var hints []string
	for _, p := range e.Problems {
		if p.Hint != "" && !strings.Contains(strings.Join(hints, "\n"), p.Hint) {
			hints = append(hints, p.Hint)
		}
	}
	return strings.Join(hints, "; ")
}

// Invalid is an error about the value of one key.
func Invalid(key, format string, args ...any) *Error {
	return &Error{Class: errdefs.ErrInvalidArgument, Problems: []Problem{{Key: key, Text: fmt.Sprintf(format, args...)}}}
}

// notFound is Invalid for what is not there.
func notFound(key, format string, args ...any) *Error {
	e := Invalid(key, format, args...)
	e.Class = errdefs.ErrNotFound
	return e
}

// NotServed refuses a key, or one value of it, that means something but is not implemented yet.
func NotServed(key, what, hint string) *Error {
	if what != "" {
		what += ": "
	}
	return &Error{Class: errdefs.ErrNotImplemented, Problems: []Problem{{Key: key, Text: what + "not served yet by this version of podc", Hint: hint}}}
}

// WithHint adds a hint to the only problem of e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Problems[0].Hint = fmt.Sprintf(format, args...)
	return e
}

// Suggesting is WithHint with the candidate that word was probably meant to be, if there is one.
func (e *Error) Suggesting(word string, candidates []string) *Error {
	if s := Suggest(word, candidates); s != "" {
		e.WithHint("did you mean %q?", s)
	}
	return e
}

// Join makes one error of many; nil entries are left out, and nil is returned if nothing remains. The class is that of the
// first error. Errors that are no *Error keep their text.
func Join(errs ...error) error {
	var all *Error
	for _, err := range errs {
		if err == nil {
			continue
		}
		e := asError(err)
		if all == nil {
			all = &Error{Class: e.Class}
		}
		all.Problems = append(all.Problems, e.Problems...)
	}
	if all == nil {
		return nil
	}
	return all
}

func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Invalid("", "%s", err.Error())
}

// warn notes a warning once.
func (l *load) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !l.warned[text] {
		l.warned[text] = true
		l.warnings = append(l.warnings, text)
	}
}

// warnKey is warn with the place of a key in front.
func (l *load) warnKey(key, format string, args ...any) {
	file, line := locate(l.files, key)
	l.warn("%s", Problem{File: file, Line: line, Key: key, Text: fmt.Sprintf(format, args...) + l.unsetAt(key)})
}

// maxWord is the longest word that is compared with others, in bytes: the time it takes is the product of both lengths.
const maxWord = 64

// Suggest returns the candidate that word was probably meant to be, or "".
func Suggest(word string, candidates []string) string {
	if len(word) > maxWord {
		return ""
	}
	best, bestDistance := "", 1+len(word)/3
	for _, c := range candidates {
		if len(c) > maxWord {
			continue
		}
		if d := distance(word, c); d < bestDistance || (d == bestDistance && best == "") {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours that make b of a.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// unknownKey is the problem of a key that the specification does not have.
func unknownKey(path, key string, at *keyNode) Problem {
	p := Problem{Key: joinKey(path, key), Text: "unknown key"}
	if s := Suggest(key, slices.Sorted(maps.Keys(at.named))); s != "" {
		p.Text += fmt.Sprintf("; did you mean %q?", s)
	}
	return p
}
