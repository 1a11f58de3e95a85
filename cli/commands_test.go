package cli

import (
	"strings"
	"testing"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

// TestEveryCommandIsExplainedAndTested: the help says what each command and each flag is for, and an end-to-end test runs each command
// that does something.
func TestEveryCommandIsExplainedAndTested(t *testing.T) {
	con, _, _ := show.BufferConsole()
	root := allCommands(con, []string{"help"})
	run := map[string]bool{"completion": true} // by a shell
	for _, i := range invocations(t) {
		if w, err := command.Arguments(root, i.words); err == nil && len(i.words) > 0 {
			run[pathOf(root.Subcommands, w.Argv[1:])] = true
		}
	}
	var walk func(above string, list []*command.Command)
	walk = func(above string, list []*command.Command) {
		for _, c := range list {
			path := strings.TrimSpace(above + " " + c.Name)
			if !c.Hidden && c.Usage == "" {
				t.Errorf("the help does not say what podc %s does", path)
			}
			for _, f := range c.Flags {
				if f.IsVisible() && f.Usage() == "" {
					t.Errorf("the help does not say what podc %s --%s does", path, f.Name())
				}
			}
			if len(c.Subcommands) == 0 && !c.Hidden && !run[path] {
				t.Errorf("no end-to-end test runs podc %s", path)
			}
			walk(path, c.Subcommands)
		}
	}
	walk("", root.Subcommands)
}

// pathOf is the command that words call.
func pathOf(list []*command.Command, words []string) string {
	path := ""
next:
	for _, word := range words {
		for _, c := range list {
			if c.Is(word) {
				path, list = strings.TrimSpace(path+" "+c.Name), c.Subcommands
				continue next
			}
		}
	}
	return path
}
