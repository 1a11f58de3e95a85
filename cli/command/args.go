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

// Arguments rewrites args, without the program's name, for the root of all commands. Errors are errdefs.IsInvalidArgument.
func Arguments(root *Command, args []string) (words, error) {
	p := NewParser(root, args)
	if err := p.Parse(); err != nil {
		return words{}, err
	}
	if err := p.finish(); err != nil {
		return words{}, err
	}
	out := append([]string{root.Name}, p.Global...)
	out = append(out, p.Path...)
	out = append(out, p.local...)
	if len(p.Path) > 0 && len(p.Operands) > 0 {
		out = append(append(out, "--"), p.Operands...)
	}
	return words{Argv: out, Warnings: p.warnings}, nil
}

// ArgParser walks a command line from left to right.
type ArgParser struct {
	Root    *Command
	Command *Command // the innermost so far
	Flags   []*Flag  // its own
	rest    []string

	Path     []string // command words
	Global   []string
	local    []string
	Operands []string
	seen     map[string]bool // "command/flag" in the spelling used, for renames that must stand alone
	trial    bool            // "alpha" came last
	Lacking  *Flag           // a flag at the end whose value is missing
	Ended    bool            // "--" came: no flags any more
	AsksHelp bool
	warnings []string
}

// NewParser is to parse the words after the program's name.
func NewParser(root *Command, args []string) *ArgParser {
	return &ArgParser{Root: root, Command: root, Flags: root.Flags, rest: args, seen: map[string]bool{}}
}

func (p *ArgParser) Parse() error {
	for len(p.rest) > 0 {
		arg := p.rest[0]
		p.rest = p.rest[1:]
		var err error
		switch {
		case arg == "--" && p.Leaf():
			p.end()
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
func (p *ArgParser) Leaf() bool { return len(p.Path) > 0 && len(p.Command.Subcommands) == 0 }

func (p *ArgParser) operandsAfterDashes() error {
	for len(p.rest) > 0 && !p.Leaf() {
		word := p.rest[0]
		p.rest = p.rest[1:]
		if err := p.word(word); err != nil {
			return err
		}
	}
	p.end()
	return nil
}

// end has all that is left be operands.
func (p *ArgParser) end() {
	p.Ended = true
	p.Operands = append(p.Operands, p.rest...)
	p.rest = nil
}

// word takes a command's name or an operand.
func (p *ArgParser) word(w string) error {
	if p.Leaf() {
		p.Operands = append(p.Operands, w)
		if p.Command.Wraps {
			p.end()
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
	if w == "config" && len(p.Path) == 0 && len(p.rest) > 0 && slices.Contains(objectVerbs, p.rest[0]) {
		w = ConfigsName
	}
	for _, c := range p.Command.Subcommands {
		if c.Is(w) {
			p.Path = append(p.Path, c.Name)
			p.Command, p.Flags = c, c.AllFlags()
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
	scope, f := p.Find(name, true)
	if f == nil {
		return p.unknown("unknown flag: --" + name)
	}
	takes := f.TakesValue() && renamed[scope][name].value == ""
	switch {
	case has:
	case !takes:
		value = "true"
	case len(p.rest) == 0:
		p.Lacking = f
		return p.unknown("flag needs an argument: --" + name)
	default:
		value, p.rest = p.rest[0], p.rest[1:]
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
		scope, f := p.Find(name, false)
		if f == nil {
			return p.unknown(fmt.Sprintf("unknown shorthand flag: %q in -%s", name, arg))
		}
		switch {
		case strings.HasPrefix(tail, "="):
			return p.emit(scope, f, "-"+name, tail[1:])
		case f.TakesValue() && tail != "":
			return p.emit(scope, f, "-"+name, tail)
		case f.TakesValue() && len(p.rest) == 0:
			p.Lacking = f
			return p.unknown("flag needs an argument: -" + name)
		case f.TakesValue():
			value := p.rest[0]
			p.rest = p.rest[1:]
			return p.emit(scope, f, "-"+name, value)
		}
		if err := p.emit(scope, f, "-"+name, "true"); err != nil {
			return err
		}
	}
	return nil
}

// Find looks for a flag of the innermost command, then for a global one. The scope is "" for the latter.
func (p *ArgParser) Find(name string, long bool) (scope string, f *Flag) {
	if len(p.Path) > 0 {
		scope = p.Path[0]
		if f = lookup(scope, p.Flags, name, long); f != nil {
			return scope, f
		}
	}
	f = lookup("", p.Root.Flags, name, long)
	if f != nil && len(p.Path) > 0 && slices.Contains(onlyBefore, f.Name()) {
		f = nil
	}
	return "", f
}

// lookup finds a flag by its name, or by an old spelling of it.
func lookup(scope string, flags []*Flag, name string, long bool) *Flag {
	if r, ok := renamed[scope][name]; ok && long {
		return FlagNamed(flags, r.to, true)
	}
	return FlagNamed(flags, name, long)
}

// emit records one flag under its own name. spelled is how the user wrote it.
func (p *ArgParser) emit(scope string, f *Flag, spelled, value string) error {
	name := strings.TrimLeft(spelled, "-")
	if r, ok := renamed[scope][name]; ok && strings.HasPrefix(spelled, "--") {
		value = p.modern(r, spelled, value)
	}
	p.seen[scope+"/"+name] = true
	if err := checkValue(f, spelled, value); err != nil {
		return err
	}
	word := "--" + f.Name() + "=" + value
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
func checkValue(f *Flag, spelled, value string) error {
	switch f.Flag.(type) {
	case *cli.BoolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return fault.Invalid("invalid value %q for %s: want true or false", value, spelled)
		}
	case *cli.IntFlag:
		if _, err := strconv.Atoi(value); err != nil {
			return fault.Invalid("invalid value %q for %s: want a whole number", value, spelled)
		}
	}
	return f.value.check(spelled, value)
}

func (p *ArgParser) unknown(message string) error {
	help := strings.Join(append([]string{p.Root.Name}, p.Path...), " ") + " --help"
	return fault.Hint(fault.Invalid("%s", message), "see %s", help)
}
