package cli

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

var manDir = flag.String("man", "", "folder to write the manual pages into (go tool task man)")

// TestManual writes a page for each command, out of the command tree, and has groff read it. The pages are made here, so that
// podc does not carry what makes them.
func TestManual(t *testing.T) {
	con, _, _ := show.BufferConsole()
	root := allCommands(con, []string{"help"})
	dir := *manDir
	if dir == "" {
		dir = t.TempDir()
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{"podc": overviewPage(root)}
	for _, c := range root.Subcommands {
		if !c.Hidden {
			pages["podc-"+c.Name] = commandPage(c)
		}
	}
	groff, _ := exec.LookPath("groff")
	for name, page := range pages {
		path := filepath.Join(dir, name+".1")
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		if groff == "" {
			continue
		}
		if out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
	for page, parts := range map[string][]string{
		"podc":         {".SH COMMANDS", `\fBpodc\-up\fR(1)`, `\fB\-\-env\-file\fR \fIFILE\fR`},
		"podc-up":      {`\fB\-d\fR, \fB\-\-detach\fR`, `\fB\-\-scale\fR \fISERVICE=N\fR`, ".SH EXAMPLES", `podc up \-d`},
		"podc-network": {".SS podc network create", `\fB\-\-label\fR \fIKEY=VALUE\fR`},
		"podc-boot":    {"systemd"},
	} {
		for _, part := range parts {
			if !strings.Contains(pages[page], part) {
				t.Errorf("%s lacks %q:\n%s", page, part, pages[page])
			}
		}
	}
	if strings.Contains(pages["podc-up"], "watch") {
		t.Error("a hidden flag is in podc-up")
	}
}

// roff makes text harmless: no line of it is a request, no character an escape.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

func overviewPage(root *command.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH PODC 1 \"\" \"podc\" \"User Commands\"\n.SH NAME\npodc \\- %s\n", roff(root.Usage))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B podc\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n")
	fmt.Fprintf(&b, ".SH OPTIONS\nThey stand before the command; after it too, where it has no option of that name.\n")
	options(&b, root.Flags)
	fmt.Fprintf(&b, ".SH COMMANDS\n")
	for _, c := range root.Subcommands {
		if !c.Hidden {
			fmt.Fprintf(&b, ".TP\n\\fBpodc\\-%s\\fR(1)\n%s\n", roff(c.Name), roff(c.Usage))
		}
	}
	fmt.Fprintf(&b, `.SH EXIT STATUS
0 if all went well, 1 if not, 130 after an interrupt; that of a container where a command is about one.
.SH FILES
.TP
\fB/var/lib/podc\fR
pods, networks, volumes
.TP
\fB/run/podc\fR
what is worth nothing after a start of the machine
`)
	return b.String()
}

func commandPage(c *command.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH PODC\\-%s 1 \"\" \"podc\" \"User Commands\"\n.SH NAME\npodc\\-%s \\- %s\n", strings.ToUpper(roff(c.Name)), roff(c.Name), roff(c.Usage))
	if len(c.Subcommands) == 0 {
		fmt.Fprint(&b, ".SH SYNOPSIS\n")
		synopsis(&b, "podc "+c.Name, c)
		if slices.ContainsFunc(c.Flags, (*command.Flag).IsVisible) {
			fmt.Fprint(&b, ".SH OPTIONS\n")
			options(&b, c.Flags)
		}
		examples(&b, ".SH EXAMPLES", c)
	} else {
		fmt.Fprint(&b, ".SH COMMANDS\n")
		subcommands(&b, "podc "+c.Name, c.Subcommands)
	}
	fmt.Fprint(&b, ".SH SEE ALSO\n\\fBpodc\\fR(1)\n")
	return b.String()
}

func subcommands(b *strings.Builder, path string, list []*command.Command) {
	for _, c := range list {
		if c.Hidden {
			continue
		}
		name := path + " " + c.Name
		if len(c.Subcommands) > 0 {
			subcommands(b, name, c.Subcommands)
			continue
		}
		fmt.Fprintf(b, ".SS %s\n%s\n.PP\n", roff(name), roff(c.Usage))
		synopsis(b, name, c)
		options(b, c.Flags)
		examples(b, ".PP", c)
	}
}

func synopsis(b *strings.Builder, name string, c *command.Command) {
	fmt.Fprintf(b, ".B %s\n", roff(name))
	line := ""
	if slices.ContainsFunc(c.Flags, (*command.Flag).IsVisible) {
		line = `[\fIOPTION\fR...] `
	}
	if line += roff(c.ArgsUsage()); line != "" {
		fmt.Fprintln(b, strings.TrimSpace(line))
	}
}

// examples are command lines, each with what it does.
func examples(b *strings.Builder, head string, c *command.Command) {
	if len(c.Examples) > 0 {
		fmt.Fprintf(b, "%s\n.nf\n%s\n.fi\n", head, roff(strings.Join(c.Examples, "\n")))
	}
}

func options(b *strings.Builder, flags []*command.Flag) {
	for _, f := range flags {
		if !f.IsVisible() {
			continue
		}
		var names []string
		for _, short := range f.Names()[1:] {
			names = append(names, `\fB\-`+roff(short)+`\fR`)
		}
		head := strings.Join(append(names, `\fB\-\-`+roff(f.Name())+`\fR`), ", ")
		if f.TakesValue() {
			head += ` \fI` + roff(f.Value().Name) + `\fR`
		}
		fmt.Fprintf(b, ".TP\n%s\n%s\n", head, roff(f.Usage()))
	}
}
