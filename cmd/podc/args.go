package main

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
	argv     []string
	warnings []string
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

// aliases are whole commands under another name.
var aliases = map[string]string{"convert": "config"}

// onlyBefore are global flags that a command does not take over: "podc up -v" asks for no version.
var onlyBefore = []string{"version", "debug", "host", "context"}

// arguments rewrites args, without the program's name, for app. Errors are errdefs.IsInvalidArgument.
func arguments(app *cli.App, args []string) (words, error) {
	p := argParser{root: app, level: app.Flags, commands: app.Commands, rest: args}
	if err := p.parse(); err != nil {
		return words{}, err
	}
	if err := p.finish(); err != nil {
		return words{}, err
	}
	out := append([]string{app.Name}, p.global...)
	out = append(out, p.path...)
	out = append(out, p.local...)
	if len(p.path) > 0 && len(p.operands) > 0 {
		out = append(append(out, "--"), p.operands...)
	}
	return words{argv: out, warnings: p.warnings}, nil
}

// argParser walks a command line from left to right.
type argParser struct {
	root     *cli.App
	level    []cli.Flag     // flags of the innermost command so far
	commands []*cli.Command // its subcommands
	rest     []string

	path     []string // command words
	global   []string
	local    []string
	operands []string
	seen     map[string]bool // "command/flag" in the spelling used, for renames that must stand alone
	trial    bool            // "alpha" came last
	lacking  cli.Flag        // a flag at the end whose value is missing
	ended    bool            // "--" came: no flags any more
	asksHelp bool
	warnings []string
}

func (p *argParser) parse() error {
	for len(p.rest) > 0 {
		arg := p.rest[0]
		p.rest = p.rest[1:]
		var err error
		switch {
		case arg == "--" && p.leaf():
			p.ended = true
			p.operands = append(p.operands, p.rest...)
			p.rest = nil
		case arg == "--" && slices.Contains(p.global, "--dry-run=true"): // alpha dry-run -- up -d
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

// leaf reports whether words are operands from here on, rather than names of commands.
func (p *argParser) leaf() bool { return len(p.path) > 0 && len(p.commands) == 0 }

func (p *argParser) operandsAfterDashes() error {
	for len(p.rest) > 0 && !p.leaf() {
		word := p.rest[0]
		p.rest = p.rest[1:]
		if err := p.word(word); err != nil {
			return err
		}
	}
	p.operands = append(p.operands, p.rest...)
	p.rest = nil
	return nil
}

// word takes a command's name or an operand.
func (p *argParser) word(w string) error {
	if p.leaf() {
		p.operands = append(p.operands, w)
		if slices.Contains(stopsAtFirst, p.path[len(p.path)-1]) {
			p.ended = true
			p.operands = append(p.operands, p.rest...)
			p.rest = nil
		}
		return nil
	}
	if len(p.path) == 0 && w == "help" {
		p.asksHelp = true
		return nil
	}
	if len(p.path) == 0 && w == "alpha" && !p.trial {
		p.trial = true
		return nil
	}
	if p.trial {
		p.trial = false
		if w == "dry-run" {
			p.global = append(p.global, "--dry-run=true")
			return nil
		}
		if !slices.Contains(trials, w) {
			return unknownCommand(p.root.Name, []string{"alpha", w})
		}
	}
	if to, ok := aliases[w]; ok && len(p.path) == 0 {
		w = to
	}
	if w == "config" && len(p.path) == 0 && len(p.rest) > 0 && slices.Contains(objectVerbs, p.rest[0]) {
		w = configsName
	}
	for _, c := range p.commands {
		if c.HasName(w) {
			p.path = append(p.path, c.Name)
			p.level, p.commands = c.Flags, c.Subcommands
			return nil
		}
	}
	return unknownCommand(p.root.Name, append(slices.Clone(p.path), w))
}

// long takes "--name" or "--name=value", given without its dashes.
func (p *argParser) long(arg string) error {
	name, value, has := strings.Cut(arg, "=")
	if name == "help" {
		p.asksHelp = true
		return nil
	}
	scope, f, err := p.find(name, true)
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
	case len(p.rest) == 0:
		p.lacking = f
		return p.unknown("flag needs an argument: --" + name)
	default:
		value, p.rest = p.rest[0], p.rest[1:]
	}
	return p.emit(scope, f, "--"+name, value)
}

// cluster takes "-it", "-eA=1", "-f=x", "-f x", given without the dash.
func (p *argParser) cluster(arg string) error {
	for rest := arg; rest != ""; {
		_, size := utf8.DecodeRuneInString(rest)
		name, tail := rest[:size], rest[size:]
		rest = tail
		if name == "h" {
			p.asksHelp = true
			continue
		}
		scope, f, err := p.find(name, false)
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
		case takesValue(f) && len(p.rest) == 0:
			p.lacking = f
			return p.unknown("flag needs an argument: -" + name)
		case takesValue(f):
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

// find looks for a flag of the innermost command, then for a global one. The scope is "" for the latter.
func (p *argParser) find(name string, long bool) (scope string, f cli.Flag, err error) {
	if len(p.path) > 0 {
		scope = p.path[0]
		if f = p.lookup(scope, p.level, name, long); f != nil {
			return scope, f, nil
		}
	}
	f = p.lookup("", p.root.Flags, name, long)
	if f != nil && len(p.path) > 0 && slices.Contains(onlyBefore, f.Names()[0]) {
		f = nil
	}
	return "", f, nil
}

// lookup finds a flag by its name, or by an old spelling of it.
func (p *argParser) lookup(scope string, flags []cli.Flag, name string, long bool) cli.Flag {
	if r, ok := renamed[scope][name]; ok && long {
		return flagNamed(flags, r.to, true)
	}
	return flagNamed(flags, name, long)
}

func flagNamed(flags []cli.Flag, name string, long bool) cli.Flag {
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
func (p *argParser) emit(scope string, f cli.Flag, spelled, value string) error {
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
		p.global = append(p.global, word)
	} else {
		p.local = append(p.local, word)
	}
	return nil
}

// modern warns about an old spelling and returns the value that the new one gets.
func (p *argParser) modern(r rename, spelled, value string) string {
	now := strings.TrimSpace("--" + r.to + " " + r.value)
	if !r.quiet {
		p.warnings = append(p.warnings, fmt.Sprintf("%s is deprecated: use %s", spelled, now))
	}
	if r.value != "" {
		return r.value
	}
	return value
}

func (p *argParser) note(scope, name string) {
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	p.seen[scope+"/"+name] = true
}

// finish refuses old spellings beside new ones, and answers calls for help and for the version.
func (p *argParser) finish() error {
	for scope, names := range renamed {
		for old, r := range names {
			if r.alone && p.seen[scope+"/"+old] && p.seen[scope+"/"+r.to] {
				return usage("--%s cannot be given together with --%s", old, r.to)
			}
		}
	}
	if p.trial {
		return fault.Hint(usage("alpha needs a command"), "it has dry-run, %s", strings.Join(trials, ", "))
	}
	if p.asksHelp {
		p.global, p.local, p.operands = nil, []string{"--help=true"}, nil
		return nil
	}
	if slices.Contains(p.global, "--version=true") {
		p.global, p.path, p.local, p.operands = nil, []string{"version"}, nil, nil
	}
	return nil
}

// checkValue says in plain words what package flag would say in its own.
func checkValue(f cli.Flag, spelled, value string) error {
	switch f.(type) {
	case *boolFlag:
		if _, err := strconv.ParseBool(value); err != nil {
			return usage("invalid value %q for %s: want true or false", value, spelled)
		}
	case *intFlag:
		if _, err := strconv.Atoi(value); err != nil {
			return usage("invalid value %q for %s: want a whole number", value, spelled)
		}
	}
	return nil
}

func (p *argParser) unknown(message string) error {
	help := strings.Join(append([]string{p.root.Name}, p.path...), " ") + " --help"
	return fault.Hint(usage("%s", message), "see %s", help)
}
