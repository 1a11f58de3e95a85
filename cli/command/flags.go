package command

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// Flag is a flag of a command, which is parsed by urfave/cli's. It keeps its names: they are asked for again and again, and are derived
// with a regular expression each time, which was a tenth of what a short command takes.
type Flag struct {
	cli.Flag
	names  []string // a long one, and short ones
	usage  string
	value  Value // a switch has none
	hidden bool
}

// Names implements cli.Flag.
func (f *Flag) Names() []string { return f.names }

// Name is the long one.
func (f *Flag) Name() string { return f.names[0] }

// IsVisible tells urfave/cli whether help shows the flag.
func (f *Flag) IsVisible() bool { return !f.hidden }

// TakesValue reports whether the flag is no switch.
func (f *Flag) TakesValue() bool { return f.value.Name != "" }

// Value says what the value of the flag is.
func (f *Flag) Value() Value { return f.value }

// Usage is what the flag is for, and what its value can be.
func (f *Flag) Usage() string { return f.value.explain(f.usage) }

// String implements cli.Flag: it is a line of the help, "-f, --file FILE", a tab, and what it is for.
func (f *Flag) String() string {
	short := "   "
	for _, name := range f.names[1:] {
		if len(name) == 1 {
			short = "-" + name + ","
		}
	}
	return strings.TrimRight(short+" --"+f.Name()+" "+f.value.Name, " ") + "\t" + f.Usage()
}

// made is the flag as urfave/cli has it.
func (f *Flag) made() cli.Flag {
	if l, ok := f.Flag.(*cli.StringSliceFlag); ok {
		return list{l, f}
	}
	return f
}

// list is a flag whose type urfave/cli has to see, or it would take a value with commas for several.
type list struct {
	*cli.StringSliceFlag
	flag *Flag
}

func (l list) Names() []string { return l.flag.names }
func (l list) IsVisible() bool { return !l.flag.hidden }
func (l list) String() string  { return l.flag.String() }

// FlagNamed is the flag with a name, long or short; nil if there is none.
func FlagNamed(flags []*Flag, name string, long bool) *Flag {
	i := slices.IndexFunc(flags, func(f *Flag) bool { return slices.Contains(f.names, name) })
	if i < 0 || (len(name) > 1) != long {
		return nil
	}
	return flags[i]
}

func names(name string, short []string) []string { return append([]string{name}, short...) }

// Toggle is a switch.
func Toggle(name, usage string, short ...string) *Flag {
	f := &cli.BoolFlag{Name: name, Aliases: short}
	return &Flag{Flag: f, names: names(name, short), usage: usage}
}

// ToggleOn is a switch that is on unless it is switched off.
func ToggleOn(name, usage string, short ...string) *Flag {
	f := &cli.BoolFlag{Name: name, Aliases: short, Value: true}
	return &Flag{Flag: f, names: names(name, short), usage: usage}
}

// Text is a flag with a value.
func Text(name string, v Value, usage string, short ...string) *Flag {
	return TextOr(name, "", v, usage, short...)
}

// TextOr is a text with a default.
func TextOr(name, value string, v Value, usage string, short ...string) *Flag {
	f := &cli.StringFlag{Name: name, Aliases: short, Value: value}
	return &Flag{Flag: f, names: names(name, short), usage: usage, value: v}
}

// List is a flag that may be given again and again.
func List(name string, v Value, usage string, short ...string) *Flag {
	f := &cli.StringSliceFlag{Name: name, Aliases: short, KeepSpace: true}
	return &Flag{Flag: f, names: names(name, short), usage: usage, value: v}
}

// Number is a flag with a whole number: so many of unit.
func Number(name string, value int, unit, usage string, short ...string) *Flag {
	f := &cli.IntFlag{Name: name, Aliases: short, Value: value}
	return &Flag{Flag: f, names: names(name, short), usage: usage, value: Value{Name: unit}}
}

// Hidden leaves a flag out of help and completion.
func Hidden(f *Flag) *Flag {
	f.hidden = true
	return f
}
