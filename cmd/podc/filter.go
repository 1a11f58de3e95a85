package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// filters are the --filter flags of a list, values by key. Docker's rule: every key must hold, by any of its values; of labels,
// all must.
type filters map[string][]string

// filtersOf reads --filter. Keys that are not among known are refused by name.
func filtersOf(c *cli.Context, known ...string) (filters, error) {
	f := filters{}
	for _, arg := range c.StringSlice("filter") {
		key, value, ok := strings.Cut(arg, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !ok || !slices.Contains(known, key) {
			return nil, usage("unknown --filter %q: want %s", arg, strings.Join(known, "=, ")+"=")
		}
		f[key] = append(f[key], strings.TrimSpace(value))
	}
	return f, nil
}

// holds reports whether key is not asked about, or one of its values matches.
func (f filters) holds(key string, match func(value string) bool) bool {
	return len(f[key]) == 0 || slices.ContainsFunc(f[key], match)
}

// is holds for keys whose values are names.
func (f filters) is(key string, names ...string) bool {
	return f.holds(key, func(v string) bool { return slices.Contains(names, v) })
}

// labelled reports whether label= and label!= hold.
func (f filters) labelled(labels map[string]string) bool {
	has := func(label string) bool {
		key, value, hasValue := strings.Cut(label, "=")
		got, ok := labels[key]
		return ok && (!hasValue || got == value)
	}
	for _, label := range f["label"] {
		if !has(label) {
			return false
		}
	}
	return !slices.ContainsFunc(f["label!"], has)
}

// matches returns what tells whether a name matches one of the regular expressions given for key.
func (f filters) matches(key string) (func(names ...string) bool, error) {
	var list []*regexp.Regexp
	for _, v := range f[key] {
		re, err := regexp.Compile(v)
		if err != nil {
			return nil, usage("invalid --filter %s=%q: %v", key, v, err)
		}
		list = append(list, re)
	}
	return func(names ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return slices.ContainsFunc(names, re.MatchString) })
	}, nil
}

// toggle reads a key that is true or false. Where it is not given, holds answers yes to everything.
func (f filters) toggle(key string) (holds func(bool) bool, err error) {
	var want []bool
	for _, v := range f[key] {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return nil, usage("invalid --filter %s=%q: want true or false", key, v)
		}
		want = append(want, b)
	}
	return func(is bool) bool { return len(want) == 0 || slices.Contains(want, is) }, nil
}

// until is the moment of until=; the zero time where none is given.
func (f filters) until(now time.Time) (time.Time, error) {
	if n := len(f["until"]); n > 0 {
		return parseTime("filter until", f["until"][n-1], now)
	}
	return time.Time{}, nil
}

// among refuses values of key that are not known.
func (f filters) among(key string, known ...string) error {
	for _, v := range f[key] {
		if !slices.Contains(known, v) {
			return usage("invalid --filter %s=%q: want one of %s", key, v, strings.Join(known, ", "))
		}
	}
	return nil
}

// listFlags are those of every list; keys says what can be filtered by.
func listFlags(keys string, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		list("filter", "only those for which `KEY=VALUE` holds ("+keys+"); repeatable", "f"),
		text("format", "table, json or a Go template (`FORMAT`)"),
		toggle("no-trunc", "do not shorten"),
		toggle("quiet", "only ids or names", "q"),
	}, more...)
}

// pruneFlags are those of every prune.
func pruneFlags(keys string, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		list("filter", "only those for which `KEY=VALUE` holds ("+keys+"); repeatable"),
		toggle("force", "do not ask", "f"),
	}, more...)
}

// pruneAgreed asks before something is pruned, unless forced. Without a terminal to ask at, the answer is no.
func pruneAgreed(con *console, c *cli.Context, what string) bool {
	if c.Bool("force") {
		return true
	}
	if !con.inTTY {
		warn(con, "not asked, since the standard input is no terminal: nothing is removed (--force does not ask)")
		return false
	}
	return ask(con, "This removes "+what+". Are you sure?")
}

// prune removes things one after the other, says which went, and goes on after errors.
func prune(ctx context.Context, con *console, title string, names []string, remove func(context.Context, string) error) error {
	var gone []string
	var errs []error
	for _, name := range names {
		if ctx.Err() != nil {
			errs = append(errs, context.Cause(ctx))
			break
		}
		err := remove(ctx, name)
		if err == nil {
			gone = append(gone, name)
		}
		errs = append(errs, err)
	}
	if len(gone) > 0 {
		fmt.Fprintf(con.out, "%s:\n%s\n\n", title, printable(strings.Join(gone, "\n")))
	}
	return errors.Join(errs...)
}

// sortedValues are the values of m in the order of its keys.
func sortedValues[V any](m map[string]V) []V {
	list := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, m[k])
	}
	return list
}
