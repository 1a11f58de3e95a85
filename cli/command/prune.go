package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/show"
	"podc.example/podc/control"
)

// ListFlags are those of every list; keys says what can be filtered by.
func ListFlags(keys string, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		List("filter", "only those for which `KEY=VALUE` holds ("+keys+"); repeatable", "f"),
		Text("format", "table, json or a Go template (`FORMAT`)"),
		Toggle("no-trunc", "do not shorten"),
		Toggle("quiet", "only ids or names", "q"),
	}, more...)
}

// PruneFlags are those of every prune.
func PruneFlags(keys string, more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{
		List("filter", "only those for which `KEY=VALUE` holds ("+keys+"); repeatable"),
		Toggle("force", "do not ask", "f"),
	}, more...)
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

// Pruning is what a prune asks about, says and does.
type Pruning struct {
	What, Title string
	Frees       bool // say how many bytes
	Do          func(ctx context.Context) (control.Pruned, error)
}

// Prune asks, does it, and says which went, whatever kept the others.
func (s *Session) Prune(c *cli.Context, p Pruning) error {
	if !pruneAgreed(s.Con, c, p.What) {
		return nil
	}
	gone, err := p.Do(c.Context)
	if len(gone.Names) > 0 {
		fmt.Fprintf(s.Con.Out, "%s:\n%s\n\n", p.Title, show.Printable(strings.Join(gone.Names, "\n")))
	}
	if p.Frees {
		fmt.Fprintf(s.Con.Out, "Total reclaimed space: %s\n", show.Size(gone.Freed))
	}
	return err
}

// PruneFilters are those of containers and networks.
func PruneFilters(c *cli.Context) (control.Filters, error) {
	f, err := FiltersOf(c, control.PruneFilters...)
	if err == nil {
		_, err = f.Until(time.Now())
	}
	return f, err
}

// FiltersOf reads --filter.
func FiltersOf(c *cli.Context, known ...string) (control.Filters, error) {
	return control.ParseFilters(c.StringSlice("filter"), known...)
}
