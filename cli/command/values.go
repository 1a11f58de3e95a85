package command

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"podc.example/podc/internal/fault"
)

// Value says what the value of a flag, or an argument, is: help, completion and the manual pages follow from it.
type Value struct {
	Name  string   // what stands for it in help: "FILE"
	Kind  Kind     // of the things that completion looks for
	Words []string // it is one of these: help lists them, and others are refused, unless there is
	Or    string   // what else it may be, for help,
	Free  bool     // or the command itself knows more words, and refuses others
}

// Kind is a kind of things that completion knows how to find.
type Kind int

const (
	FileNames Kind = iota + 1
	ProjectNames
	ProfileNames
	ServiceNames
	ServiceCounts // a service, "=", and a number
	ServicePlaces // a service, ":", and a path; or a path here
	ContainerNames
	ContainerPlaces // as ServicePlaces
	NetworkNames
	VolumeNames
	ImageNames
	SignalNames
)

// What flags and arguments are.
var (
	File           = Value{Name: "FILE", Kind: FileNames}
	Dir            = Value{Name: "DIR", Kind: FileNames}
	Service        = Value{Name: "SERVICE", Kind: ServiceNames}
	Replicas       = Value{Name: "SERVICE=N", Kind: ServiceCounts}
	ServicePlace   = Value{Name: "SERVICE:PATH", Kind: ServicePlaces}
	Container      = Value{Name: "CONTAINER", Kind: ContainerNames}
	ContainerPlace = Value{Name: "CONTAINER:PATH", Kind: ContainerPlaces}
	Network        = Value{Name: "NETWORK", Kind: NetworkNames}
	Volume         = Value{Name: "VOLUME", Kind: VolumeNames}
	Image          = Value{Name: "IMAGE", Kind: ImageNames}
	Signal         = Value{Name: "SIGNAL", Kind: SignalNames}
	Policy         = Value{Name: "POLICY", Words: []string{"always", "missing", "never"}, Free: true} // older words too
	Pair           = Word("KEY=VALUE")
	Variable       = Word("NAME=VALUE")
	Name           = Word("NAME")
	Time           = Word("TIME")
	Address        = Word("ADDRESS")
	User           = Word("USER[:GROUP]")
)

// Word is any text, of which nothing is known but what stands for it in help.
func Word(name string) Value { return Value{Name: name} }

// OneOf is one of a few words; any other is refused.
func OneOf(name string, words ...string) Value { return Value{Name: name, Words: words} }

// Format is the value of a --format that knows these words, and templates too.
func Format(words ...string) Value {
	return Value{Name: "FORMAT", Words: words, Or: "a Go template"}
}

// choices are the words: "table, json or a Go template".
func (v Value) choices() string {
	words := v.Words
	if v.Or != "" {
		words = append(slices.Clone(words), v.Or)
	}
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// explain is usage with what the value can be.
func (v Value) explain(usage string) string {
	if usage == "" || len(v.Words) == 0 {
		return usage + v.choices()
	}
	return usage + ": " + v.choices()
}

// check refuses what is none of the words. Nothing at all is as if it had not been given.
func (v Value) check(what, text string) error {
	if text == "" || len(v.Words) == 0 || v.Free || v.Or != "" || slices.Contains(v.Words, text) {
		return nil
	}
	return fault.Invalid("invalid value for %s: %q (want %s)", what, text, v.choices())
}

// Args are the arguments of a command, in their order.
type Args []Arg

// Arg is one of them. Only the last one may be repeated.
type Arg struct {
	Value
	Optional, Repeated bool
}

// One argument, perhaps one, at least one, any number of them.
func One(v Value) Arg   { return Arg{Value: v} }
func Maybe(v Value) Arg { return Arg{Value: v, Optional: true} }
func Many(v Value) Arg  { return Arg{Value: v, Repeated: true} }
func Any(v Value) Arg   { return Arg{Value: v, Optional: true, Repeated: true} }

// What most commands take.
var (
	AnyServices  = Args{{Service, true, true}}
	OneService   = Args{{Value: Service}}
	Containers   = Args{{Container, false, true}}
	OneContainer = Args{{Value: Container}}
)

// String is how help shows them: "SERVICE [COMMAND...]".
func (a Args) String() string {
	var words []string
	for _, arg := range a {
		word := arg.Name
		if arg.Repeated {
			word += "..."
		}
		if arg.Optional {
			word = "[" + word + "]"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// At is the argument that comes after n others, if there can be one.
func (a Args) At(n int) (arg Arg, ok bool) {
	switch {
	case n < len(a):
		return a[n], true
	case len(a) > 0 && a[len(a)-1].Repeated:
		return a[len(a)-1], true
	}
	return Arg{}, false
}

// check refuses arguments that are too few, too many, or none of the words that there are for them.
func (a Args) check(name string, given []string) error {
	least, most := 0, len(a)
	for _, arg := range a {
		if !arg.Optional {
			least++
		}
		if arg.Repeated {
			most = math.MaxInt
		}
	}
	n := len(given)
	switch {
	case most == 0 && n > 0:
		return fault.Invalid("%s takes %s", name, count(0))
	case least == most && n != most:
		return fault.Invalid("%s needs %s: %s", name, count(least), a)
	case n < least:
		return fault.Invalid("%s needs at least %s: %s", name, count(least), a)
	case n > most:
		return fault.Invalid("%s takes at most %s: %s", name, count(most), a)
	}
	for i, text := range given {
		arg, _ := a.At(i)
		if err := arg.check(arg.Name, text); err != nil {
			return err
		}
	}
	return nil
}

func count(n int) string {
	switch n {
	case 0:
		return "no arguments"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}
