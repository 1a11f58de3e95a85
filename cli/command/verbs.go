package command

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// Operation runs one verb of package project with its progress on display.
type Operation struct {
	S *Session
	Reporter
	Yes    bool     // answer every question with yes
	Listen []string // services whose output is shown
}

// Operate begins the display of a verb; end it with close.
func (s *Session) Operate(name string) *Operation {
	o := &Operation{S: s, Reporter: Reporter{Progress: show.NewProgress(s.Con, s.Style, name), Explain: s.Verbose, pod: s.Container,
		restart: name == "restart"}}
	if s.DryRun {
		o.dry = func(p project.Plan) { ShowPlan(o, p) }
	}
	s.waits.use(o.Say)
	return o
}

// Watch is how the verb is heard of, and asks.
func (o *Operation) Watch() control.Watch {
	return control.Watch{Report: o.Report, Confirm: o.confirm, DryRun: o.S.DryRun, Pulls: o.S.Pulls}
}

// confirm asks whether steps may be taken that should not be taken unasked.
func (o *Operation) confirm(steps []project.Step) bool {
	if o.Yes || o.S.DryRun {
		return true
	}
	if !o.S.Con.InTTY {
		o.Say("warning: not asked, since the standard input is no terminal: nothing is removed")
		return false
	}
	agreed := false
	o.Aside(func() {
		fmt.Fprintln(o.S.Con.Err, "Going to:")
		for _, s := range steps {
			fmt.Fprintf(o.S.Con.Err, "  %s (%s)\n", show.Printable(s.Key.String()), show.Printable(s.Why.String()))
		}
		agreed = ask(o.S.Con, "Are you sure?")
	})
	return agreed
}

// ShowAct shows something as it begins and, with the text that do returns, ends.
func (o *Operation) ShowAct(e show.Event, do func() (string, error)) error {
	e.Status = show.Working
	o.Show(e)
	text, err := do()
	if e.Status, e.Text = show.Done, text; err != nil {
		e.Status, e.Text, e.Details = show.Failed, "Error", show.OneLine(err.Error())
	}
	o.Show(e)
	return err
}

// ask puts a question to the person at the terminal. Anything but yes is no.
func ask(con *show.Console, question string) bool {
	fmt.Fprintf(con.Err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(con.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// VerbOn runs a verb, that of the command, on the pods that exist of the services named, or of all where none is.
func VerbOn[O any](s *Session, c *cli.Context, opt O, run func(context.Context, project.Desired, O, control.Watch) error) error {
	d, _, err := s.Existing(c.Context, c.Args().Slice(), podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.Operate(c.Command.Name)
	defer o.Close()
	return run(c.Context, d, opt, o.Watch())
}

// WatchImages shows how images are transferred, until the display is closed.
func (s *Session) WatchImages(operation string, quiet bool) (w control.ImageWatch, shown func()) {
	g := s.Style
	if quiet {
		g.Progress = show.ProgressQuiet
	}
	p := show.NewProgress(s.Con, g, operation)
	return control.ImageWatch{
		Progress: func(e api.Progress) {
			if e.Status == show.Failed {
				e.Details = "" // the error says it
			}
			p.Show(show.Event{Progress: e})
		},
		Warn: func(text string) { p.Say("warning: " + text) },
	}, p.Close
}
