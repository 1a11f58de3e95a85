package project

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// upOptions are the flags of `up`.
type upOptions struct {
	project.UpOptions
	detach bool
	watch  attachOptions
}

// attachOptions say what an attached `up` shows, and when it ends by itself.
type attachOptions struct {
	attach, noAttach   []string
	attachDependencies bool
	abortOnExit        bool
	abortOnFailure     bool
	exitCodeFrom       string
	menu               bool // listen to the keyboard
	style              show.LogStyle
}

func UpCommand() *command.Command {
	return &command.Command{
		Name: "up", Usage: "create and start containers", Args: command.AnyServices,
		Examples: []string{
			"podc up -d --wait          # in the background, and return once all is healthy",
			"podc up --scale web=3 web  # three containers of web, and what it depends on",
		},
		Flags: slices.Concat([]*command.Flag{command.Toggle("detach", "return once everything runs", "d")}, makingFlags(), changeFlags(),
			planFlags(), attachFlags(), []*command.Flag{
				waitTimeoutFlag(), timeoutFlag(),
				quietBuildFlag(),
				command.Hidden(command.Toggle("watch", "", "w")),
				command.Toggle("explain", "say why each step is taken"),
			}),
		Run: func(s *command.Session, c *cli.Context) error {
			opt, err := upOptionsOf(c)
			if err != nil {
				return err
			}
			return up(s, c, opt)
		},
	}
}

// makingFlags are those of what makes containers.
func makingFlags() []*command.Flag {
	return []*command.Flag{
		buildFlag(),
		command.Toggle("no-build", "never build an image"),
		command.Toggle("quiet-pull", "show no progress of pulls"),
		command.Toggle("yes", "answer every question with yes", "y"),
	}
}

// changeFlags say, to what makes containers and to `plan`, what is to change.
func changeFlags() []*command.Flag {
	return []*command.Flag{
		command.Text("pull", command.Policy, "when to pull images"),
		command.Toggle("force-recreate", "replace containers even when nothing changed"),
		command.Toggle("no-recreate", "leave existing containers as they are"),
		orphansFlag(),
		command.List("scale", command.Replicas, "number of replicas, SERVICE=N"),
	}
}

// planFlags are those that `plan` and `up` have beside.
func planFlags() []*command.Flag {
	return []*command.Flag{
		command.Toggle("always-recreate-deps", "replace the dependencies of the named services too"),
		command.Toggle("renew-anon-volumes", "begin with new anonymous volumes", "V"),
		command.Toggle("no-deps", "leave the dependencies of the named services alone"),
		command.Toggle("no-start", "only create"),
		waitFlag(),
	}
}

// attachFlags are those of an attached `up`.
func attachFlags() []*command.Flag {
	return []*command.Flag{
		command.Toggle("abort-on-container-exit", "stop everything when a container ends"),
		command.Toggle("abort-on-container-failure", "stop everything when a container ends badly"),
		command.Text("exit-code-from", command.Service, "end with the exit code of SERVICE; stops everything when a container ends"),
		command.List("attach", command.Service, "show the output of SERVICE only, repeatable"),
		command.List("no-attach", command.Service, "do not show the output of SERVICE, repeatable"),
		command.Toggle("attach-dependencies", "show the output of dependencies too"),
		command.Toggle("no-color", "no colours in output"),
		command.Toggle("no-log-prefix", "no names before lines of output"),
		command.Toggle("timestamps", "a time before each line of output"),
		command.Toggle("menu", "listen to the keyboard while attached to a terminal (default: true)"),
	}
}

func upOptionsOf(c *cli.Context) (upOptions, error) {
	opt := upOptions{
		UpOptions: project.UpOptions{
			Services: c.Args().Slice(), NoDeps: c.Bool("no-deps"), ForceRecreate: c.Bool("force-recreate"), NoRecreate: c.Bool("no-recreate"),
			RenewAnon: c.Bool("renew-anon-volumes"), NoStart: c.Bool("no-start"), Build: c.Bool("build"), NoBuild: c.Bool("no-build"), Wait: c.Bool("wait"), Timeout: command.Seconds(c, "timeout"),
		},
		detach: c.Bool("detach"),
		watch: attachOptions{
			attach: c.StringSlice("attach"), noAttach: c.StringSlice("no-attach"),
			attachDependencies: c.Bool("attach-dependencies"), abortOnExit: c.Bool("abort-on-container-exit"),
			abortOnFailure: c.Bool("abort-on-container-failure"), exitCodeFrom: c.String("exit-code-from"),
		},
	}
	if c.Bool("always-recreate-deps") {
		opt.Deps = project.RecreateForce
	}
	var err error
	if opt.Pull, err = pullPolicy(c.String("pull")); err != nil {
		return opt, err
	}
	if opt.Scale, err = scales("--scale", c.StringSlice("scale")); err != nil {
		return opt, err
	}
	if opt.WaitTimeout, err = waitTimeout(c); err != nil {
		return opt, err
	}
	if err := command.NotServed(c, "watch"); err != nil {
		return opt, err
	}
	if opt.watch.exitCodeFrom != "" && !opt.watch.abortOnFailure {
		opt.watch.abortOnExit = true
	}
	return opt, checkPairs(c)
}

// waitTimeout is --wait-timeout; 0 is none.
func waitTimeout(c *cli.Context) (time.Duration, error) {
	seconds := c.Int("wait-timeout")
	if seconds < 0 {
		return 0, fault.Invalid("--wait-timeout is negative")
	}
	return time.Duration(seconds) * time.Second, nil
}

// checkPairs refuses flags that contradict each other.
func checkPairs(c *cli.Context) error {
	attached := []string{"abort-on-container-exit", "abort-on-container-failure", "exit-code-from", "attach", "attach-dependencies"}
	for _, pair := range []struct {
		flag string
		with []string
	}{
		{"detach", append(slices.Clone(attached), "no-attach")},
		{"wait", attached},
		{"no-start", append(slices.Clone(attached), "wait")},
		{"build", []string{"no-build"}},
		{"no-recreate", []string{"force-recreate", "renew-anon-volumes", "always-recreate-deps"}},
		{"abort-on-container-exit", []string{"abort-on-container-failure"}},
	} {
		for _, other := range pair.with {
			if command.Given(c, pair.flag) && command.Given(c, other) {
				return fault.Invalid("--%s and --%s cannot be combined", pair.flag, other)
			}
		}
	}
	return nil
}

// removeOrphans is --remove-orphans, or the variable that stands in for it, which an env file may set: ask after loading.
func removeOrphans(s *command.Session) bool {
	if s.Flags.IsSet("remove-orphans") {
		return s.Flags.Bool("remove-orphans")
	}
	return s.Con.IsTrue("COMPOSE_REMOVE_ORPHANS")
}

// remedies are the flags and commands for what package project knows to help.
var remedies = project.Remedies{
	project.DropOrphans:   "--remove-orphans removes containers that are not in the compose file",
	project.TakeProfiles:  "--profile '*' takes inactive profiles down too",
	project.RemoveService: "remove it first: podc rm -sf {name}",
	project.LoadImage:     "load it with: podc load -i FILE",
	project.AllowBuild:    "leave out --no-build",
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
		return project.PullBuild, nil
	}
	return "", fault.Invalid("unknown --pull %q: want always, missing, never or build", s)
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
			return nil, fault.Invalid("invalid %s %q: want SERVICE=N", what, arg)
		}
		m[name] = n
	}
	return m, nil
}

// logStyle reads the flags that up and logs share.
func logStyle(s *command.Session, c *cli.Context) show.LogStyle {
	return show.LogStyle{
		Prefix: !c.Bool("no-log-prefix"), Timestamps: c.Bool("timestamps"),
		Color: !c.Bool("no-color") && s.Color(s.Con.OutTTY),
	}
}

// heedEnvironment takes what environment variables say. Call it after loading, since env files may set them.
func (opt *upOptions) heedEnvironment(s *command.Session) error {
	opt.Remedies = remedies
	opt.RemoveOrphans = s.Flags.Command.Name != "scale" && removeOrphans(s)
	opt.IgnoreOrphans = s.Con.IsTrue("COMPOSE_IGNORE_ORPHANS")
	if opt.RemoveOrphans && opt.IgnoreOrphans {
		return fault.Invalid("COMPOSE_IGNORE_ORPHANS and --remove-orphans cannot be combined")
	}
	opt.watch.style, opt.watch.menu = logStyle(s, s.Flags), wantsMenu(s)
	return nil
}

// up runs `up` and what is a special case of it, by the command's own name.
func up(s *command.Session, c *cli.Context, opt upOptions) error {
	ctx, sel := c.Context, command.Selection{Services: opt.Services, NoDeps: opt.NoDeps, Scale: opt.Scale}
	w, err := s.Load(ctx, sel, podccompose.Planned)
	if err == nil {
		err = opt.heedEnvironment(s)
	}
	if err == nil {
		err = opt.watch.check(w.Desired)
	}
	if err != nil {
		return err
	}
	o := s.Operate(c.Command.Name)
	defer o.Close()
	o.Explain, o.QuietPull, o.QuietBuild, o.Yes = c.Bool("explain") || s.Verbose, c.Bool("quiet-pull"), c.Bool("quiet-build"), c.Bool("yes")
	if s.DryRun {
		return dryUp(o, ctx, w, opt.UpOptions)
	}
	if opt.detach || opt.Wait || opt.NoStart {
		o.Planned = func(p project.Plan) { command.ShowUnchanged(o, w.Desired, opt.UpOptions, p) }
		return converge(o, ctx, w, sel, opt.UpOptions)
	}
	return newAttachment(o, w.Desired, opt).up(ctx, w, sel, opt.UpOptions)
}

// converge makes the project what the compose file says. What a memo could not keep is loaded only if there is something to
// make.
func converge(o *command.Operation, ctx context.Context, w podccompose.Project, sel command.Selection, opt project.UpOptions) error {
	if w.Partial {
		plan, err := o.S.Podc.Projects.Plan(ctx, *w.Desired, opt, true, o.Watch())
		if err != nil {
			return err
		}
		if plan.Empty() {
			for _, text := range plan.Warnings {
				o.Report(project.Event{Kind: project.Warned, Text: text})
			}
			o.Report(project.Event{Kind: project.Planned, Plan: &plan})
			return nil
		}
		if w, err = o.S.Load(ctx, sel, podccompose.Whole); err != nil {
			return err
		}
	}
	return o.S.Podc.Projects.Up(ctx, *w.Desired, control.UpOptions{UpOptions: opt, Listen: o.Listen}, o.Watch())
}

// dryUp shows what up would do.
func dryUp(o *command.Operation, ctx context.Context, w podccompose.Project, opt project.UpOptions) error {
	plan, err := o.S.Podc.Projects.Plan(ctx, *w.Desired, opt, false, o.Watch())
	if err != nil {
		return err
	}
	for _, text := range plan.Warnings {
		o.Say("warning: " + text)
	}
	command.ShowPlan(o, plan)
	return nil
}
