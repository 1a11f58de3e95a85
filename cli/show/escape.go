package show

import (
	"strings"
	"unicode/utf8"
)

// displayable is a container's output made harmless for a terminal: sequences that set colours and weights stay if color is
// set, and every other escape sequence and control character goes (titles, clipboards, cursor movement, queries that the
// terminal would answer by typing). A carriage return keeps only what the terminal would show in the end.
func displayable(s string, color bool) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return strings.ToValidUTF8(s, "�")
	}
	var b strings.Builder
	for len(s) > 0 {
		if n := escapeLen(s); n > 0 {
			if color && isSGR(s[:n]) {
				b.WriteString(s[:n])
			}
			s = s[n:]
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\r' && len(s) > 1:
			b.Reset()
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case !unprintable(r):
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// stripEscapes removes every escape sequence.
func stripEscapes(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if n := escapeLen(s); n > 0 {
			s = s[n:]
			continue
		}
		b.WriteByte(s[0])
		s = s[1:]
	}
	return b.String()
}

// escapeLen is the length of the escape sequence that s begins with, 0 if there is none (ECMA-48). A sequence that does not
// end in s takes all of it.
func escapeLen(s string) int {
	kind, head := byte(0), 0
	switch {
	case len(s) >= 2 && s[0] == 0x1b:
		kind, head = s[1], 2
	case len(s) == 1 && s[0] == 0x1b:
		return 1
	case len(s) >= 2 && s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f: // C1 in UTF-8
		kind, head = s[1]-0x40, 2
	default:
		return 0
	}
	switch kind {
	case '[':
		return head + csiLen(s[head:])
	case ']', 'P', 'X', '^', '_':
		return head + stringLen(s[head:])
	}
	if kind >= 0x20 && kind <= 0x2f { // intermediate bytes, then one final byte
		return head + finalLen(s[head:])
	}
	return head
}

// csiLen is the length of parameters, intermediates and final byte.
func csiLen(s string) int {
	for i := range len(s) {
		if s[i] >= 0x40 && s[i] <= 0x7e {
			return i + 1
		}
		if s[i] < 0x20 || s[i] > 0x7e {
			return i
		}
	}
	return len(s)
}

// stringLen is the length of a control string with its terminator: BEL, ESC \ or the C1 ST.
func stringLen(s string) int {
	for i := range len(s) {
		switch {
		case s[i] == 0x07:
			return i + 1
		case s[i] == 0x1b && i+1 < len(s) && s[i+1] == '\\', s[i] == 0xc2 && i+1 < len(s) && s[i+1] == 0x9c:
			return i + 2
		}
	}
	return len(s)
}

func finalLen(s string) int {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x2f {
			return i + 1
		}
	}
	return len(s)
}

// isSGR tells "select graphic rendition" apart: colours, bold, reset.
func isSGR(seq string) bool {
	body, ok := strings.CutPrefix(seq, "\x1b[")
	return ok && strings.HasSuffix(body, "m") && strings.Trim(body[:len(body)-1], "0123456789;:") == ""
}
