package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"podc.example/podc/control"
)

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

// pruning is what a prune asks about, says and does.
type pruning struct {
	what, title string
	frees       bool // say how many bytes
	do          func(ctx context.Context) (control.Pruned, error)
}

// prune asks, does it, and says which went, whatever kept the others.
func (s *session) prune(c *cli.Context, p pruning) error {
	if !pruneAgreed(s.con, c, p.what) {
		return nil
	}
	gone, err := p.do(c.Context)
	if len(gone.Names) > 0 {
		fmt.Fprintf(s.con.out, "%s:\n%s\n\n", p.title, printable(strings.Join(gone.Names, "\n")))
	}
	if p.frees {
		fmt.Fprintf(s.con.out, "Total reclaimed space: %s\n", size(gone.Freed))
	}
	return err
}

// pruneFilters are those of containers and networks.
func pruneFilters(c *cli.Context) (control.Filters, error) {
	f, err := filtersOf(c, control.PruneFilters...)
	if err == nil {
		_, err = f.Until(time.Now())
	}
	return f, err
}

// filtersOf reads --filter.
func filtersOf(c *cli.Context, known ...string) (control.Filters, error) {
	return control.ParseFilters(c.StringSlice("filter"), known...)
}
