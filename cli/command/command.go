// Package command is what the commands of podc share: what a command is, how its arguments are read, and how it is run.
package command

import (
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

// Command is a command of podc. Whatever tells of it, help, manual pages and completion, takes it from here.
type Command struct {
	Name     string
	Aliases  []string
	Usage    string // what it does
	Examples []string
	Args     Args
	Synopsis string // how help shows the arguments, if not one after the other
	TooMany  string // why there are no more arguments, if that is worth saying
	Wraps    bool   // the arguments end in another command line: flags behind the first of them are for that
	Flags    []*Flag
	Refused  Refused
	Hidden   bool
	Needs    Needs
	Run      func(s *Session, c *cli.Context) error
	// Subcommands are those of a noun, which has but its name and its usage beside.
	Subcommands []*Command
}

// Needs is what a command cannot do without.
type Needs int

const (
	// Root: it looks at containers, or changes them by a plan, which --dry-run shows.
	Root Needs = iota
	// Effect: it changes something and has no plan to show, so that --dry-run is refused.
	Effect
	// NoRoot: anyone may do it.
	NoRoot
	// NoEngine: its session has no more than the console.
	NoEngine
)

// Refused are flags of docker that podc does not have, and why: "name", "name,n" or, if they take a value, "name=".
type Refused map[string]string

// each calls do for every flag, in order.
func (r Refused) each(do func(f *Flag, why string)) {
	for _, key := range slices.Sorted(maps.Keys(r)) {
		name, takes := strings.CutSuffix(key, "=")
		name, letter, _ := strings.Cut(name, ",")
		if takes {
			do(Hidden(Text(name, Name, "", NonEmpty(letter)...)), r[key])
		} else {
			do(Hidden(Toggle(name, "", NonEmpty(letter)...)), r[key])
		}
	}
}

// AllFlags are those of the command, and those that are known so that they are refused by name.
func (c *Command) AllFlags() []*Flag {
	flags := slices.Clip(c.Flags)
	c.Refused.each(func(f *Flag, _ string) { flags = append(flags, f) })
	return flags
}

// ArgsUsage is how help shows the arguments.
func (c *Command) ArgsUsage() string {
	if c.Synopsis != "" {
		return c.Synopsis
	}
	return c.Args.String()
}

// Is reports whether the command goes by a name.
func (c *Command) Is(name string) bool { return c.Name == name || slices.Contains(c.Aliases, name) }

// App makes of the root of all commands what urfave/cli runs.
func (c *Command) App(con *show.Console) *cli.App {
	top := c.made(con)
	return &cli.App{
		Name: c.Name, HelpName: c.Name, Usage: c.Usage, Version: Version, HideVersion: true, HideHelpCommand: true,
		DisableSliceFlagSeparator: true, Writer: con.Out, ErrWriter: con.Err, Flags: top.Flags, Commands: top.Subcommands,
		ExitErrHandler: func(*cli.Context, error) {}, OnUsageError: top.OnUsageError,
	}
}

// made is the command as urfave/cli has it.
func (c *Command) made(con *show.Console) *cli.Command {
	out := &cli.Command{
		Name: c.Name, Aliases: c.Aliases, Usage: c.Usage, ArgsUsage: c.ArgsUsage(), Description: strings.Join(c.Examples, "\n"),
		Hidden: c.Hidden, HideHelpCommand: true,
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return fault.Invalid("%v", err) },
	}
	if c.Name == ConfigsName {
		out.HelpName = "podc config"
	}
	for _, f := range c.AllFlags() {
		out.Flags = append(out.Flags, f.made())
	}
	for _, sub := range c.Subcommands {
		out.Subcommands = append(out.Subcommands, sub.made(con))
	}
	if c.Run != nil {
		out.Action = func(ctx *cli.Context) error { return c.run(con, ctx) }
	}
	return out
}

// run opens a session and has the command do its work, unless something is wrong with how it was called.
func (c *Command) run(con *show.Console, ctx *cli.Context) error {
	s := &Session{Con: con, Flags: ctx}
	if c.Needs != NoEngine {
		var err error
		if s, err = Open(ctx, con); err != nil {
			return err
		}
	}
	if c.Needs < NoRoot {
		if err := con.NeedRoot(); err != nil {
			return err
		}
	}
	if c.Needs == Effect && s.DryRun {
		return fault.New(errdefs.ErrNotImplemented, "--dry-run is not available for %q: it does at once what its arguments say", ctx.Command.HelpName)
	}
	var refusal error
	c.Refused.each(func(f *Flag, why string) {
		if refusal == nil && ctx.IsSet(f.Name()) {
			refusal = fault.New(errdefs.ErrNotImplemented, "--%s is not available: %s", f.Name(), why)
		}
	})
	if refusal != nil {
		return refusal
	}
	if c.TooMany != "" && ctx.NArg() > len(c.Args) {
		return fault.Invalid("%s takes %s: %s", c.Name, count(len(c.Args)), c.TooMany)
	}
	if err := c.Args.check(c.Name, ctx.Args().Slice()); err != nil {
		return fault.Hint(err, "see podc %s --help", strings.TrimPrefix(ctx.Command.HelpName, "podc "))
	}
	return c.Run(s, ctx)
}
