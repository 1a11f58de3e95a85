package command

import "github.com/urfave/cli/v2"

// The kinds of flags that commands have. They keep their names: urfave/cli asks for those of every flag of a command again and
// again, and derives them with a regular expression each time, which was a tenth of what a short command takes.

type boolFlag struct {
	cli.BoolFlag
	names []string
}

type stringFlag struct {
	cli.StringFlag
	names []string
}

type listFlag struct {
	cli.StringSliceFlag
	names []string
}

type intFlag struct {
	cli.IntFlag
	names []string
}

// Names implements cli.Flag, here and below.
func (f *boolFlag) Names() []string   { return f.names }
func (f *stringFlag) Names() []string { return f.names }
func (f *listFlag) Names() []string   { return f.names }
func (f *intFlag) Names() []string    { return f.names }

func names(name string, short []string) []string { return append([]string{name}, short...) }

func Toggle(name, usage string, short ...string) *boolFlag {
	return &boolFlag{cli.BoolFlag{Name: name, Aliases: short, Usage: usage, DisableDefaultText: true}, names(name, short)}
}

// ToggleOn is a toggle that is on unless it is switched off.
func ToggleOn(name, usage string, short ...string) *boolFlag {
	return &boolFlag{cli.BoolFlag{Name: name, Aliases: short, Usage: usage, Value: true}, names(name, short)}
}

func Text(name, usage string, short ...string) *stringFlag { return TextOr(name, "", usage, short...) }

// TextOr is a text with a default.
func TextOr(name, value, usage string, short ...string) *stringFlag {
	return &stringFlag{cli.StringFlag{Name: name, Value: value, Aliases: short, Usage: usage}, names(name, short)}
}

func List(name, usage string, short ...string) *listFlag {
	return &listFlag{cli.StringSliceFlag{Name: name, Aliases: short, Usage: usage, KeepSpace: true}, names(name, short)}
}

func Number(name string, value int, usage string, short ...string) *intFlag {
	return &intFlag{cli.IntFlag{Name: name, Value: value, Aliases: short, Usage: usage}, names(name, short)}
}

func Hidden(f cli.Flag) cli.Flag {
	switch f := f.(type) {
	case *boolFlag:
		f.Hidden = true
	case *stringFlag:
		f.Hidden = true
	case *listFlag:
		f.Hidden = true
	case *intFlag:
		f.Hidden = true
	}
	return f
}
