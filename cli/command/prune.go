package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/show"
	"podc.example/podc/control"
)

// ListFlags are those of every list; keys says what can be filtered by.
func ListFlags(keys []string, more ...*Flag) []*Flag {
	return append([]*Flag{
		FilterFlag(keys, "f"),
		Text("format", Format("table", "json"), ""),
		Toggle("no-trunc", "do not shorten"),
		Toggle("quiet", "only ids or names", "q"),
	}, more...)
}

// PruneFlags are those of every prune.
func PruneFlags(keys []string, more ...*Flag) []*Flag {
	return append([]*Flag{FilterFlag(keys), Toggle("force", "do not ask", "f")}, more...)
}

// FilterFlag is the --filter of what can be filtered by these keys.
func FilterFlag(keys []string, short ...string) *Flag {
	return List("filter", Pair, "only those for which KEY=VALUE holds ("+strings.Join(keys, ", ")+"); repeatable", short...)
}

// InspectFlags are those of every inspect.
func InspectFlags(more ...*Flag) []*Flag {
	return append([]*Flag{Text("format", Format("json"), "", "f")}, more...)
}

// pruneAgreed asks before something is pruned, unless forced. Without a terminal to ask at, the answer is no.
func pruneAgreed(con *show.Console, c *cli.Context, what string) bool {
	if c.Bool("force") {
		return true
	}
	if !con.InTTY {
		show.Warn(con, "not asked, since the standard input is no terminal: nothing is removed (--force does not ask)")
		return false
	}
	return ask(con, "This removes "+what+". Are you sure?")
}

// Pruning is what a prune asks about, and says.
type Pruning struct {
	What, Title string
	Frees       bool // say how many bytes
}

// Prune asks, does it, and says which went, whatever kept the others.
func (s *Session) Prune(c *cli.Context, p Pruning, f control.Filters, do func(context.Context, control.Filters) (control.Pruned, error)) error {
	if !pruneAgreed(s.Con, c, p.What) {
		return nil
	}
	gone, err := do(c.Context, f)
	if len(gone.Names) > 0 {
		fmt.Fprintf(s.Con.Out, "%s:\n%s\n\n", p.Title, show.Printable(strings.Join(gone.Names, "\n")))
	}
	if p.Frees {
		fmt.Fprintf(s.Con.Out, "Total reclaimed space: %s\n", units.HumanSize(float64(gone.Freed)))
	}
	return err
}

// PruneFiltered is Prune of containers or networks, whose filters it reads.
func (s *Session) PruneFiltered(c *cli.Context, p Pruning, do func(context.Context, control.Filters) (control.Pruned, error)) error {
	f, err := FiltersOf(c, control.PruneFilters...)
	if err == nil {
		_, err = f.Until(time.Now())
	}
	if err != nil {
		return err
	}
	return s.Prune(c, p, f, do)
}

// FiltersOf reads --filter.
func FiltersOf(c *cli.Context, known ...string) (control.Filters, error) {
	return control.ParseFilters(c.StringSlice("filter"), known...)
}
