package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/control"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// upOptions are the flags of `up`.
type upOptions struct {
	verb               string // the command's name
	services           []string
	detach             bool
	pull               project.PullPolicy
	quietPull          bool
	forceRecreate      bool
	noRecreate         bool
	alwaysRecreateDeps bool
	renewAnonVolumes   bool
	noDeps             bool
	noStart            bool
	scale              map[string]int
	timeout            *time.Duration // nil: each service's own grace period
	wait               bool
	waitTimeout        time.Duration // 0: none
	yes                bool
	explain            bool
	watch              attachOptions
}

// attachOptions say what an attached `up` shows, and when it ends by itself.
type attachOptions struct {
	attach, noAttach   []string
	attachDependencies bool
	abortOnExit        bool
	abortOnFailure     bool
	exitCodeFrom       string
	menu               bool // listen to the keyboard
	style              logStyle
}

func upCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "up", Usage: "create and start containers", ArgsUsage: "[SERVICE...]",
		Flags: []cli.Flag{
			toggle("detach", "return once everything runs", "d"),
			hidden(toggle("build", "")),
			toggle("no-build", "never build an image"),
			text("pull", "when to pull images: always, missing or never (`POLICY`)"),
			toggle("quiet-pull", "show no progress of pulls"),
			hidden(toggle("quiet-build", "")),
			toggle("force-recreate", "replace containers even when nothing changed"),
			toggle("no-recreate", "leave existing containers as they are"),
			toggle("always-recreate-deps", "replace the dependencies of the named services too"),
			toggle("renew-anon-volumes", "begin with new anonymous volumes", "V"),
			toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			toggle("no-deps", "leave the dependencies of the named services alone"),
			toggle("no-start", "only create"),
			list("scale", "number of replicas, `SERVICE=N`"),
			number("timeout", 0, "`SECONDS` that containers get to stop", "t"),
			toggle("abort-on-container-exit", "stop everything when a container ends"),
			toggle("abort-on-container-failure", "stop everything when a container ends badly"),
			text("exit-code-from", "end with the exit code of `SERVICE`; stops everything when a container ends"),
			list("attach", "show the output of `SERVICE` only, repeatable"),
			list("no-attach", "do not show the output of `SERVICE`, repeatable"),
			toggle("attach-dependencies", "show the output of dependencies too"),
			toggle("no-color", "no colours in output"),
			toggle("no-log-prefix", "no names before lines of output"),
			toggle("timestamps", "a time before each line of output"),
			toggle("wait", "return once everything is running or healthy"),
			number("wait-timeout", 0, "wait at most `SECONDS`"),
			hidden(toggle("watch", "", "w")),
			toggle("menu", "listen to the keyboard while attached to a terminal (default: true)"),
			toggle("yes", "answer every question with yes", "y"),
			toggle("explain", "say why each step is taken"),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt, err := upOptionsOf(c, s)
			if err != nil {
				return err
			}
			return s.up(c.Context, opt)
		}),
	}
}

func upOptionsOf(c *cli.Context, s *session) (upOptions, error) {
	opt := upOptions{
		verb: "up", services: c.Args().Slice(), detach: c.Bool("detach"), quietPull: c.Bool("quiet-pull"),
		forceRecreate: c.Bool("force-recreate"), noRecreate: c.Bool("no-recreate"),
		alwaysRecreateDeps: c.Bool("always-recreate-deps"), renewAnonVolumes: c.Bool("renew-anon-volumes"),
		noDeps: c.Bool("no-deps"), noStart: c.Bool("no-start"),
		timeout: seconds(c, "timeout"), wait: c.Bool("wait"), waitTimeout: time.Duration(c.Int("wait-timeout")) * time.Second,
		yes: c.Bool("yes"), explain: c.Bool("explain"),
		watch: attachOptions{
			attach: c.StringSlice("attach"), noAttach: c.StringSlice("no-attach"),
			attachDependencies: c.Bool("attach-dependencies"), abortOnExit: c.Bool("abort-on-container-exit"),
			abortOnFailure: c.Bool("abort-on-container-failure"), exitCodeFrom: c.String("exit-code-from"),
		},
	}
	var err error
	if opt.pull, err = pullPolicy(c.String("pull")); err != nil {
		return opt, err
	}
	if opt.scale, err = scales("--scale", c.StringSlice("scale")); err != nil {
		return opt, err
	}
	if err := notServed(c, "build", "watch"); err != nil {
		return opt, err
	}
	if opt.watch.exitCodeFrom != "" && !opt.watch.abortOnFailure {
		opt.watch.abortOnExit = true
	}
	return opt, opt.check(c)
}

// check refuses flags that contradict each other.
func (opt upOptions) check(c *cli.Context) error {
	attached := []string{"abort-on-container-exit", "abort-on-container-failure", "exit-code-from", "attach", "attach-dependencies"}
	for _, pair := range []struct {
		flag string
		with []string
	}{
		{"detach", append(slices.Clone(attached), "no-attach")},
		{"wait", attached},
		{"no-start", append(slices.Clone(attached), "wait")},
		{"no-recreate", []string{"force-recreate", "renew-anon-volumes", "always-recreate-deps"}},
		{"abort-on-container-exit", []string{"abort-on-container-failure"}},
	} {
		for _, other := range pair.with {
			if given(c, pair.flag) && given(c, other) {
				return usage("--%s and --%s cannot be combined", pair.flag, other)
			}
		}
	}
	if opt.waitTimeout < 0 {
		return usage("--wait-timeout is negative")
	}
	return nil
}

// removeOrphans is --remove-orphans, or the variable that stands in for it, which an env file may set: ask after loading.
func (s *session) removeOrphans() bool {
	if s.flags.IsSet("remove-orphans") {
		return s.flags.Bool("remove-orphans")
	}
	return s.con.isTrue("COMPOSE_REMOVE_ORPHANS")
}

func pullPolicy(s string) (project.PullPolicy, error) {
	switch s {
	case "":
		return "", nil
	case "missing", "if_not_present":
		return project.PullMissing, nil
	case "never":
		return project.PullNever, nil
	case "always":
		return project.PullAlways, nil
	case "build":
		return "", usage("--pull build is not available yet")
	}
	return "", usage("unknown --pull %q: want always, missing or never", s)
}

// scales reads SERVICE=N; what says where that stands.
func scales(what string, args []string) (map[string]int, error) {
	if len(args) == 0 {
		return nil, nil
	}
	m := map[string]int{}
	for _, arg := range args {
		name, count, ok := strings.Cut(arg, "=")
		n, err := strconv.Atoi(count)
		if !ok || name == "" || err != nil || n < 0 {
			return nil, usage("invalid %s %q: want SERVICE=N", what, arg)
		}
		m[name] = n
	}
	return m, nil
}

// logStyle reads the flags that up and logs share.
func (s *session) logStyle(c *cli.Context) logStyle {
	return logStyle{
		prefix: !c.Bool("no-log-prefix"), timestamps: c.Bool("timestamps"),
		color: !c.Bool("no-color") && s.color(s.con.outTTY),
	}
}

// wanted are the options as package project takes them. Ask after loading, since env files may set variables.
func (opt upOptions) wanted(s *session) (project.UpOptions, error) {
	o := project.UpOptions{
		Services: opt.services, NoDeps: opt.noDeps, ForceRecreate: opt.forceRecreate, NoRecreate: opt.noRecreate,
		RenewAnon: opt.renewAnonVolumes, RemoveOrphans: opt.verb != "scale" && s.removeOrphans(), IgnoreOrphans: s.con.isTrue("COMPOSE_IGNORE_ORPHANS"),
		NoStart: opt.noStart, Scale: opt.scale, Pull: opt.pull, Wait: opt.wait, WaitTimeout: opt.waitTimeout, Timeout: opt.timeout,
	}
	if opt.alwaysRecreateDeps {
		o.Deps = project.RecreateForce
	}
	if o.RemoveOrphans && o.IgnoreOrphans {
		return o, usage("COMPOSE_IGNORE_ORPHANS and --remove-orphans cannot be combined")
	}
	return o, nil
}

func (s *session) up(ctx context.Context, opt upOptions) error {
	sel := selection{opt.services, opt.noDeps, opt.scale}
	w, err := s.load(ctx, sel, podccompose.Planned)
	if err != nil {
		return err
	}
	opt.watch.style, opt.watch.menu = s.logStyle(s.flags), s.wantsMenu() // by now env files have had their say
	wanted, err := opt.wanted(s)
	if err == nil {
		err = opt.watch.check(w.Desired)
	}
	if err != nil {
		return err
	}
	o := s.operate(opt.verb)
	defer o.close()
	o.explain, o.quiet, o.yes = opt.explain || s.verbose, opt.quietPull, opt.yes
	if s.dryRun {
		return o.dryUp(ctx, w, wanted)
	}
	if opt.detach || opt.wait || opt.noStart {
		o.planned = func(p project.Plan) { showUnchanged(o, w.Desired, wanted, p) }
		return o.converge(ctx, w, sel, wanted)
	}
	return newAttachment(o, w.Desired, opt).up(ctx, w, sel, wanted)
}

// converge makes the project what the compose file says. What a memo could not keep is loaded only if there is something to
// make.
func (o *operation) converge(ctx context.Context, w podccompose.Project, sel selection, opt project.UpOptions) error {
	if w.Partial {
		plan, err := o.s.podc.Projects.Plan(ctx, *w.Desired, opt, true, o.watch())
		if err != nil {
			return err
		}
		if plan.Empty() {
			for _, text := range plan.Warnings {
				o.report(project.Event{Kind: project.Warned, Text: text})
			}
			o.report(project.Event{Kind: project.Planned, Plan: &plan})
			return nil
		}
		if w, err = o.s.load(ctx, sel, podccompose.Whole); err != nil {
			return err
		}
	}
	return o.s.podc.Projects.Up(ctx, *w.Desired, control.UpOptions{UpOptions: opt, Listen: o.listen}, o.watch())
}

// dryUp shows what up would do.
func (o *operation) dryUp(ctx context.Context, w podccompose.Project, opt project.UpOptions) error {
	plan, err := o.s.podc.Projects.Plan(ctx, *w.Desired, opt, false, o.watch())
	if err != nil {
		return err
	}
	for _, text := range plan.Warnings {
		o.say("warning: " + text)
	}
	showPlan(o, plan)
	return nil
}
