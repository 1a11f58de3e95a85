package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// operation runs one verb of package project with its progress on display.
type operation struct {
	s *session
	reporter
	yes    bool           // answer every question with yes
	engine project.Engine // what the verb works with
}

// operate begins the display of a verb; end it with close.
func (s *session) operate(name string) *operation {
	o := &operation{s: s, engine: s.engine, reporter: reporter{progress: newProgress(s.con, s.globals, name), explain: s.verbose, pod: s.engine.Pod,
		restart: name == "restart"}}
	s.waits.use(o.say)
	return o
}

// deps are what package project works with.
func (o *operation) deps() project.Deps {
	client := o.s.images()
	client.Warn = func(text string) { o.say("warning: " + text) }
	images := project.Images(client)
	if o.s.dryRun {
		images = unchanged{client}
	}
	return project.Deps{
		Engine:    o.engine,
		Images:    images,
		RunDir:    o.s.runRoot,
		Report:    o.report,
		Confirm:   o.confirm,
		PullLimit: o.s.pulls,
	}
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
	run func(context.Context, project.Deps, project.Desired, O) error) error {
	d, _, err := s.existing(ctx, services, podccompose.Planned)
	if err != nil {
		return err
	}
	o := s.operate(name)
	defer o.close()
	return o.run(ctx, func(ctx context.Context) error { return run(ctx, o.deps(), d, opt) })
}

// errDryRun ends a dry run once its plan is known.
var errDryRun = errors.New("dry run")

// run calls a verb. With --dry-run its plan is shown instead of carried out: the context of the verb ends when the plan is
// known, and a plan takes no step after that.
func (o *operation) run(ctx context.Context, verb func(context.Context) error) error {
	if !o.s.dryRun {
		return verb(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	o.dry = func(p project.Plan) {
		showPlan(o, p)
		cancel(errDryRun)
	}
	err := verb(ctx)
	if errors.Is(context.Cause(ctx), errDryRun) {
		return nil
	}
	return err
}
