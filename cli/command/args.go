package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"podc.example/podc/internal/fault"
)

// This file is the one place that knows docker's command-line habits. urfave/cli parses with package flag, which stops at
// the first argument, knows no "-it" or "-eA=1", and wants global flags before the command. So every command line is first
// rewritten into a form that both read alike:
//
//	podc --global=value... command [subcommand] --flag=value... -- argument...

// words is a command line in that form.
type words struct {
	Argv     []string
	Warnings []string
}

// stopsAtFirst are the commands whose flags end at the first argument: what follows belongs to the command run inside.
var stopsAtFirst = []string{"exec", "run"}

// rename is an old spelling that is still accepted.
type rename struct {
	to    string
	value string // stands in for the value: "--no-ansi" is "--ansi never"
	quiet bool   // no warning: docker gives none either
	alone bool   // an error beside the new spelling
}

// renamed holds old spellings by command ("" for global flags).
var renamed = map[string]map[string]rename{
	"": {
		"workdir": {to: "project-directory", alone: true},
		"no-ansi": {to: "ansi", value: "never", alone: true},
	},
	"down":   {"volume": {to: "volumes"}},
	"up":     {"y": {to: "yes"}},
	"create": {"y": {to: "yes"}},
	"exec":   {"no-TTY": {to: "no-tty", quiet: true}},
	"run": {
		"no-TTY":  {to: "no-tty", quiet: true},
		"volumes": {to: "volume", quiet: true},
		"labels":  {to: "label", quiet: true},
	},
}

// trials are the commands that docker also has under "alpha", where they were before.
var trials = []string{"viz", "scale", "generate", "publish", "watch"}

// Aliases are whole commands under another name.
var Aliases = map[string]string{"convert": "config"}

// onlyBefore are global flags that a command does not take over: "podc up -v" asks for no version.
var onlyBefore = []string{"version", "debug", "host", "context"}

// Arguments rewrites args, without the program's name, for app. Errors are errdefs.IsInvalidArgument.
func Arguments(app *cli.App, args []string) (words, error) {
	p := ArgParser{Root: app, Level: app.Flags, Commands: app.Commands, Rest: args}
	if err := p.Parse(); err != nil {
		return words{}, err
	}
	if err := p.finish(); err != nil {
		return words{}, err
	}
	out := append([]string{app.Name}, p.Global...)
	out = append(out, p.Path...)
	out = append(out, p.local...)
	if len(p.Path) > 0 && len(p.Operands) > 0 {
		out = append(append(out, "--"), p.Operands...)
	}
	return words{Argv: out, Warnings: p.warnings}, nil
}

// ArgParser walks a command line from left to right.
type ArgParser struct {
	Root     *cli.App
	Level    []cli.Flag     // flags of the innermost command so far
	Commands []*cli.Command // its subcommands
	Rest     []string

	Path     []string // command words
	Global   []string
	local    []string
	Operands []string
	seen     map[string]bool // "command/flag" in the spelling used, for renames that must stand alone
	trial    bool            // "alpha" came last
	Lacking  cli.Flag        // a flag at the end whose value is missing
	Ended    bool            // "--" came: no flags any more
	AsksHelp bool
	warnings []string
}

func (p *ArgParser) Parse() error {
	for len(p.Rest) > 0 {
		arg := p.Rest[0]
		p.Rest = p.Rest[1:]
		var err error
		switch {
		case arg == "--" && p.Leaf():
			p.Ended = true
			p.Operands = append(p.Operands, p.Rest...)
			p.Rest = nil
		case arg == "--" && slices.Contains(p.Global, "--dry-run=true"): // alpha dry-run -- up -d
		case arg == "--":
			err = p.operandsAfterDashes()
		case strings.HasPrefix(arg, "--"):
			err = p.long(arg[2:])
		case strings.HasPrefix(arg, "-") && arg != "-":
			err = p.cluster(arg[1:])
		default:
			err = p.word(arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Leaf reports whether words are operands from here on, rather than names of commands.
func (p *ArgParser) Leaf() bool { return len(p.Path) > 0 && len(p.Commands) == 0 }

func (p *ArgParser) operandsAfterDashes() error {
	for len(p.Rest) > 0 && !p.Leaf() {
		word := p.Rest[0]
		p.Rest = p.Rest[1:]
		if err := p.word(word); err != nil {
			return err
		}
	}
	p.Operands = append(p.Operands, p.Rest...)
	p.Rest = nil
	return nil
}

// word takes a command's name or an operand.
func (p *ArgParser) word(w string) error {
	if p.Leaf() {
		p.Operands = append(p.Operands, w)
		if slices.Contains(stopsAtFirst, p.Path[len(p.Path)-1]) {
			p.Ended = true
			p.Operands = append(p.Operands, p.Rest...)
			p.Rest = nil
		}
		return nil
	}
	if len(p.Path) == 0 && w == "help" {
		p.AsksHelp = true
		return nil
	}
	if len(p.Path) == 0 && w == "alpha" && !p.trial {
		p.trial = true
		return nil
	}
	if p.trial {
		p.trial = false
		if w == "dry-run" {
			p.Global = append(p.Global, "--dry-run=true")
			return nil
		}
		if !slices.Contains(trials, w) {
			return unknownCommand(p.Root.Name, []string{"alpha", w})
		}
	}
	if to, ok := Aliases[w]; ok && len(p.Path) == 0 {
		w = to
	}
	if w == "config" && len(p.Path) == 0 && len(p.Rest) > 0 && slices.Contains(objectVerbs, p.Rest[0]) {
		w = ConfigsName
	}
	for _, c := range p.Commands {
		if c.HasName(w) {
			p.Path = append(p.Path, c.Name)
			p.Level, p.Commands = c.Flags, c.Subcommands
			return nil
		}
	}
	return unknownCommand(p.Root.Name, append(slices.Clone(p.Path), w))
}

// long takes "--name" or "--name=value", given without its dashes.
func (p *ArgParser) long(arg string) error {
	name, value, has := strings.Cut(arg, "=")
	if name == "help" {
		p.AsksHelp = true
		return nil
	}
	scope, f, err := p.Find(name, true)
	if err != nil {
		return err
	}
	if f == nil {
		return p.unknown("unknown flag: --" + name)
	}
	takes := takesValue(f) && renamed[scope][name].value == ""
	switch {
	case has:
	case !takes:
		value = "true"
	case len(p.Rest) == 0:
		p.Lacking = f
		return p.unknown("flag needs an argument: --" + name)
	default:
		value, p.Rest = p.Rest[0], p.Rest[1:]
	}
	return p.emit(scope, f, "--"+name, value)
}

// cluster takes "-it", "-eA=1", "-f=x", "-f x", given without the dash.
func (p *ArgParser) cluster(arg string) error {
	for rest := arg; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		name, tail := rest[:size], rest[size:]
		rest = tail
		if name == "h" {
			p.AsksHelp = true
			continue
		}
		scope, f, err := p.Find(name, false)
		if err != nil {
			return err
		}
		if f == nil {
			return p.unknown(fmt.Sprintf("unknown shorthand flag: %q in -%s", name, arg))
		}
		switch {
		case strings.HasPrefix(tail, "="):
			return p.emit(scope, f, "-"+name, tail[1:])
		case takesValue(f) && tail != "":
			return p.emit(scope, f, "-"+name, tail)
		case takesValue(f) && len(p.Rest) == 0:
			p.Lacking = f
			return p.unknown("flag needs an argument: -" + name)
		case takesValue(f):
			value := p.Rest[0]
			p.Rest = p.Rest[1:]
			return p.emit(scope, f, "-"+name, value)
		}
		if err := p.emit(scope, f, "-"+name, "true"); err != nil {
			return err
		}
	}
	return nil
}

// Find looks for a flag of the innermost command, then for a global one. The scope is "" for the latter.
func (p *ArgParser) Find(name string, long bool) (scope string, f cli.Flag, err error) {
	if len(p.Path) > 0 {
		scope = p.Path[0]
		if f = p.lookup(scope, p.Level, name, long); f != nil {
			return scope, f, nil
		}
	}
	f = p.lookup("", p.Root.Flags, name, long)
	if f != nil && len(p.Path) > 0 && slices.Contains(onlyBefore, f.Names()[0]) {
		f = nil
	}
	return "", f, nil
}

// lookup finds a flag by its name, or by an old spelling of it.
func (p *ArgParser) lookup(scope string, flags []cli.Flag, name string, long bool) cli.Flag {
	if r, ok := renamed[scope][name]; ok && long {
		return FlagNamed(flags, r.to, true)
	}
	return FlagNamed(flags, name, long)
}

func FlagNamed(flags []cli.Flag, name string, long bool) cli.Flag {
	if (len(name) > 1) != long {
		return nil
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// emit records one flag under its own name. spelled is how the user wrote it.
func (p *ArgParser) emit(scope string, f cli.Flag, spelled, value string) error {
	name := strings.TrimLeft(spelled, "-")
	if r, ok := renamed[scope][name]; ok && strings.HasPrefix(spelled, "--") {
		value = p.modern(r, spelled, value)
	}
	p.note(scope, name)
	if err := checkValue(f, spelled, value); err != nil {
		return err
	}
	word := "--" + f.Names()[0] + "=" + value
	if scope == "" {
		p.Global = append(p.Global, word)
	} else {
		p.local = append(p.local, word)
	}
	return nil
}

// modern warns about an old spelling and returns the value that the new one gets.
func (p *ArgParser) modern(r rename, spelled, value string) string {
	now := strings.TrimSpace("--" + r.to + " " + r.value)
	if !r.quiet {
		p.warnings = append(p.warnings, fmt.Sprintf("%s is deprecated: use %s", spelled, now))
	}
	if r.value != "" {
		return r.value
	}
	return value
}

func (p *ArgParser) note(scope, name string) {
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[scope+"/"+name] = true
}

// finish refuses old spellings beside new ones, and answers calls for help and for the version.
func (p *ArgParser) finish() error {
	for scope, names := range renamed {
		for old, r := range names {
			if r.alone && p.seen[scope+"/"+old] && p.seen[scope+"/"+r.to] {
				return fault.Invalid("--%s cannot be given together with --%s", old, r.to)
			}
		}
	}
	if p.trial {
		return fault.Hint(fault.Invalid("alpha needs a command"), "it has dry-run, %s", strings.Join(trials, ", "))
	}
	if p.AsksHelp {
		p.Global, p.local, p.Operands = nil, []string{"--help=true"}, nil
		return nil
	}
	if slices.Contains(p.Global, "--version=true") {
		p.Global, p.Path, p.local, p.Operands = nil, []string{"version"}, nil, nil
	}
	return nil
}

// checkValue says in plain words what package flag would say in its own.
func checkValue(f cli.Flag, spelled, value string) error {
	switch f.(type) {
	case *boolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return fault.Invalid("invalid value %q for %s: want true or false", value, spelled)
		}
	case *intFlag:
		if _, err := strconv.Atoi(value); err != nil {
			return fault.Invalid("invalid value %q for %s: want a whole number", value, spelled)
		}
	}
	return nil
}

func (p *ArgParser) unknown(message string) error {
	help := strings.Join(append([]string{p.Root.Name}, p.Path...), " ") + " --help"
	return fault.Hint(fault.Invalid("%s", message), "see %s", help)
}
