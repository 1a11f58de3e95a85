package compose

import "fmt"

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
