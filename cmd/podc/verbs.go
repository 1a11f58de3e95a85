package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"podc.example/podc/control"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// operation runs one verb of package project with its progress on display.
type operation struct {
	s *session
	reporter
	yes    bool     // answer every question with yes
	listen []string // services whose output is shown
}

// operate begins the display of a verb; end it with close.
func (s *session) operate(name string) *operation {
	o := &operation{s: s, reporter: reporter{progress: newProgress(s.con, s.style, name), explain: s.verbose, pod: s.container,
		restart: name == "restart"}}
	if s.dryRun {
		o.dry = func(p project.Plan) { showPlan(o, p) }
	}
	s.waits.use(o.say)
	return o
}

// watch is how the verb is heard of, and asks.
func (o *operation) watch() control.Watch {
	return control.Watch{Report: o.report, Confirm: o.confirm, DryRun: o.s.dryRun, Pulls: o.s.pulls}
}

// confirm asks whether steps may be taken that should not be taken unasked.
func (o *operation) confirm(steps []project.Step) bool {
	if o.yes || o.s.dryRun {
		return true
	}
	if !o.s.con.inTTY {
		o.say("warning: not asked, since the standard input is no terminal: nothing is removed")
		return false
	}
	agreed := false
	o.aside(func() {
		fmt.Fprintln(o.s.con.err, "Going to:")
		for _, s := range steps {
			fmt.Fprintf(o.s.con.err, "  %s (%s)\n", printable(s.Key.String()), printable(s.Why.String()))
		}
		agreed = ask(o.s.con, "Are you sure?")
	})
	return agreed
}

// ask puts a question to the person at the terminal. Anything but yes is no.
func ask(con *console, question string) bool {
	fmt.Fprintf(con.err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(con.in).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// verbOn runs a verb on the pods that exist of services, or of all where none is named.
func verbOn[O any](ctx context.Context, s *session, name string, services []string, opt O,
	run func(context.Context, project.Desired, O, control.Watch) error) error {
	d, _, err := s.existing(ctx, services, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.operate(name)
	defer o.close()
	return run(ctx, d, opt, o.watch())
}
