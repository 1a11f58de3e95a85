package main

import (
	"fmt"
	"slices"
	"strings"

	"podc.example/podc/compose"
	"podc.example/podc/internal/podccompose"
)

// flagSet is a parsed command line.
type flagSet struct {
	values   map[string][]string
	services []string
}

func (f *flagSet) is(name string) bool { return f.last(name) == "true" }

func (f *flagSet) last(name string) string {
	if v := f.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// parseFlags parses args by a table. Flags may stand anywhere; "--" ends them.
func parseFlags(args []string, table []podccompose.ConfigFlag) (*flagSet, error) {
	f := &flagSet{values: map[string][]string{}}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			f.services = append(f.services, args...)
			return f, nil
		case strings.HasPrefix(arg, "--"):
			name, value, has := strings.Cut(arg[2:], "=")
			flag := findFlag(table, func(c podccompose.ConfigFlag) bool { return c.Name == name })
			if flag == nil {
				return nil, unknownFlag(arg, table)
			}
			var err error
			if args, err = f.take(flag, "--"+name, value, has, args); err != nil {
				return nil, err
			}
		case len(arg) > 1 && arg[0] == '-':
			var err error
			if args, err = f.short(arg[1:], table, args); err != nil {
				return nil, err
			}
		default:
			f.services = append(f.services, arg)
		}
	}
	return f, nil
}

// short takes a cluster of one-letter flags: -q, -qo FILE, -oFILE.
func (f *flagSet) short(cluster string, table []podccompose.ConfigFlag, args []string) ([]string, error) {
	for i := range len(cluster) {
		letter := cluster[i : i+1]
		flag := findFlag(table, func(c podccompose.ConfigFlag) bool { return c.Short == letter })
		if flag == nil {
			return nil, unknownFlag("-"+letter, table)
		}
		if flag.Value == "" {
			f.values[flag.Name] = []string{"true"}
			continue
		}
		rest := strings.TrimPrefix(cluster[i+1:], "=")
		return f.take(flag, "-"+letter, rest, rest != "", args)
	}
	return args, nil
}

// take records the value of a flag, taken from args if it was not attached, and returns the remaining args.
func (f *flagSet) take(flag *podccompose.ConfigFlag, as, value string, attached bool, args []string) ([]string, error) {
	switch {
	case flag.Value == "":
		if attached && value != "true" && value != "false" {
			return nil, fmt.Errorf("flag %s takes true or false, not %q", as, value)
		}
		if !attached {
			value = "true"
		}
	case !attached && len(args) == 0:
		return nil, fmt.Errorf("flag %s needs a value", as)
	case !attached:
		value, args = args[0], args[1:]
	}
	f.values[flag.Name] = append(f.values[flag.Name], value)
	return args, nil
}

func findFlag(table []podccompose.ConfigFlag, is func(podccompose.ConfigFlag) bool) *podccompose.ConfigFlag {
	if i := slices.IndexFunc(table, is); i >= 0 {
		return &table[i]
	}
	return nil
}

func unknownFlag(arg string, table []podccompose.ConfigFlag) error {
	var names []string
	for _, c := range table {
		names = append(names, "--"+c.Name)
	}
	err := compose.Invalid("", "unknown flag: %s", arg)
	if s := compose.Suggest(arg, names); s != "" {
		err.WithHint("did you mean %s?", s)
	}
	return err
}
