package cli

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// flagText is a flag's line in help: "-f, --file FILE", a tab, and what it is for. The word in backquotes names its value.
func flagText(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	value, usage := unquote(d.GetUsage())
	if !d.TakesValue() {
		value = ""
	} else if value == "" {
		value = "VALUE"
	}
	long := "--" + f.Names()[0]
	short := "   "
	for _, name := range f.Names()[1:] {
		if len(name) == 1 {
			short = "-" + name + ","
		}
	}
	return strings.TrimRight(short+" "+long+" "+value, " ") + "\t" + usage
}

// unquote takes the word in backquotes out of a text, which keeps the word.
func unquote(usage string) (word, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	word, after, closed := strings.Cut(rest, "`")
	if !ok || !closed {
		return "", usage
	}
	return word, before + word + after
}
