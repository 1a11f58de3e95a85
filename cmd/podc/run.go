package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// runOptions are the flags of `run`.
type runOptions struct {
	pod           project.OneOff
	request       podccompose.RunRequest // what the compose file's parsers make of it
	detach        bool
	noDeps        bool
	pull          project.PullPolicy
	quiet         bool
	quietPull     bool
	removeOrphans bool
}

func runCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "run", Usage: "run a command in a container of its own", ArgsUsage: "SERVICE [COMMAND] [ARG...]",
		Flags: []cli.Flag{
			hidden(toggle("build", "")),
			list("cap-add", "give the container `CAPABILITY`, repeatable"),
			list("cap-drop", "take `CAPABILITY` from the container, repeatable"),
			toggle("detach", "print the container's id and do not wait for it", "d"),
			text("entrypoint", "run `COMMAND` instead of the image's entrypoint"),
			list("env", "environment variable, `NAME=VALUE` or NAME, repeatable", "e"),
			list("env-from-file", "`FILE` with environment variables, repeatable"),
			toggleOn("interactive", "pass the standard input on (-i=false: do not)", "i"),
			list("label", "label, `NAME=VALUE`, repeatable", "l"),
			text("name", "`NAME` of the container"),
			toggle("no-deps", "leave the services that this one depends on alone"),
			toggle("no-tty", "no terminal (default where standard input or output is none)", "T"),
			list("publish", "publish a port, `[[ADDRESS:]PORT:]PORT`, repeatable", "p"),
			text("pull", "when to pull images: always, missing or never (`POLICY`)"),
			toggle("quiet", "show nothing but the output of the command", "q"),
			hidden(toggle("quiet-build", "")),
			toggle("quiet-pull", "show no progress of pulls"),
			toggle("remove-orphans", "remove containers of services that are no longer in the file"),
			toggle("rm", "remove the container when it has ended"),
			toggle("service-ports", "publish the ports of the service", "P"),
			toggle("use-aliases", "answer to the names of the service on its networks"),
			text("user", "run as `USER[:GROUP]`", "u"),
			list("volume", "mount, `[SOURCE:]TARGET[:OPTIONS]`, repeatable", "v"),
			text("workdir", "run in `DIR`", "w"),
			hidden(toggleOn("tty", "", "t")),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			opt, err := runOptionsOf(c, con)
			if err != nil {
				return err
			}
			return s.run(c.Context, opt)
		}),
	}
}

func runOptionsOf(c *cli.Context, con *console) (runOptions, error) {
	opt := runOptions{
		pod: project.OneOff{
			Service: c.Args().First(), Pod: c.String("name"), Slug: engine.NewID(), Command: command(c.Args().Tail()),
			User: c.String("user"), WorkingDir: c.String("workdir"),
			CapAdd: c.StringSlice("cap-add"), CapDrop: c.StringSlice("cap-drop"),
			TTY: !noTTY(c, con), Stdin: c.Bool("interactive"), StdinOnce: !c.Bool("detach"), AutoRemove: c.Bool("rm"),
			UseAliases: c.Bool("use-aliases"),
		},
		request: podccompose.RunRequest{
			Service: c.Args().First(), ServicePorts: c.Bool("service-ports"), Ports: c.StringSlice("publish"),
			Volumes: c.StringSlice("volume"), EnvFiles: c.StringSlice("env-from-file"),
		},
		detach: c.Bool("detach"), noDeps: c.Bool("no-deps"), quiet: c.Bool("quiet"), quietPull: c.Bool("quiet-pull"),
		removeOrphans: c.Bool("remove-orphans"),
	}
	if err := needArgs(c, 1); err != nil {
		return opt, err
	}
	if err := notServed(c, "build", "quiet-build"); err != nil {
		return opt, err
	}
	if opt.request.ServicePorts && len(opt.request.Ports) > 0 {
		return opt, usage("--service-ports and --publish cannot be combined")
	}
	if c.IsSet("entrypoint") {
		entrypoint := c.String("entrypoint")
		opt.request.Entrypoint = &entrypoint
	}
	var err error
	if opt.pod.Env, err = variables(c.StringSlice("env"), con.env); err != nil {
		return opt, err
	}
	if opt.pod.Labels, err = pairs("label", c.StringSlice("label")); err != nil {
		return opt, err
	}
	opt.pull, err = pullPolicy(c.String("pull"))
	return opt, err
}

// command is nil where no command is given: then the service's counts.
func command(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	return args
}

// run makes a one-off, after what its service depends on, and stays with it unless it is to run on its own.
func (s *session) run(ctx context.Context, opt runOptions) error {
	req, err := s.loadRequest(selection{services: []string{opt.pod.Service}, noDeps: opt.noDeps})
	if err != nil {
		return err
	}
	req.Run = &opt.request
	w, err := s.answer(ctx, req, podccompose.Whole)
	if err != nil {
		return err
	}
	service := serviceOf(w.Desired, opt.pod.Service)
	if service == nil {
		return noSuchService(opt.pod.Service)
	}
	if opt.pod.Pod == "" {
		opt.pod.Pod = oneOffName(w.Name, service.Name, opt.pod.Slug, s.compatibility)
	}
	wanted := project.UpOptions{
		Services: []string{service.Name}, NoDeps: opt.noDeps, OneOff: &opt.pod, Pull: opt.pull,
		RemoveOrphans: opt.removeOrphans, IgnoreOrphans: !opt.removeOrphans, // which are none of its business
	}
	if opt.quiet {
		s.progress = progressQuiet
	}
	o := s.operate("run")
	defer o.close()
	o.quiet = opt.quietPull
	if s.dryRun {
		return o.dryUp(ctx, w, wanted)
	}
	if opt.detach {
		return s.runDetached(ctx, o, w, wanted)
	}
	return s.runAttached(ctx, o, w, wanted)
}

// oneOffName is docker compose's.
func oneOffName(projectName, service, slug string, compatibility bool) string {
	sep := "-"
	if compatibility {
		sep = "_"
	}
	return strings.Join([]string{projectName, service, "run", slug[:12]}, sep)
}

func (s *session) runDetached(ctx context.Context, o *operation, w podccompose.Project, wanted project.UpOptions) error {
	deps := o.deps()
	started := &startedPod{Engine: s.engine, name: wanted.OneOff.Pod}
	deps.Engine = started
	if err := project.Up(ctx, deps, *w.Desired, wanted); err != nil {
		return s.failedRun(ctx, wanted.OneOff, err)
	}
	o.close()
	fmt.Fprintln(s.con.out, started.id)
	return nil
}

// startedPod notes the id of a pod when it is about to be started: it may be gone soon after.
type startedPod struct {
	*engine.Engine
	name, id string
}

// StartPod implements project.Engine.
func (e *startedPod) StartPod(ctx context.Context, name string) error {
	if name == e.name {
		if p, err := e.Pod(name); err == nil {
			e.id = p.ID
		}
	}
	return e.Engine.StartPod(ctx, name)
}

func (s *session) runAttached(ctx context.Context, o *operation, w podccompose.Project, wanted project.UpOptions) error {
	pod := wanted.OneOff
	in := &interaction{con: s.con, engine: s.engine, pod: pod.Pod, tty: pod.TTY, stdin: pod.Stdin, proxy: true, detachKeys: defaultDetachKeys}
	signals := in.listen()
	defer signals.stop()
	deps := o.deps()
	attaching := &attachingEngine{Engine: s.engine, in: in}
	deps.Engine = attaching
	err := project.Up(ctx, deps, *w.Desired, wanted)
	o.close()
	if in.stream == nil {
		return s.failedRun(ctx, pod, err)
	}
	defer in.stream.Close()
	if err != nil { // it runs all the same
		report(s.con.err, err, s.progress == progressJSON)
	}
	ctx = context.WithoutCancel(ctx)
	ended, err := in.stay(ctx, signals)
	if err != nil || ended == nil {
		return err
	}
	err = s.afterRun(ctx, w.Name, pod)
	in.finish()
	if err = errors.Join(err, attaching.tidied()); err == nil || ended.ExitCode != 0 {
		return endOf(*ended)
	}
	return err
}

// afterRun clears away what the end of a one-off leaves.
func (s *session) afterRun(ctx context.Context, group string, pod *project.OneOff) error {
	if !pod.AutoRemove {
		_, err := s.engine.Refresh(ctx, pod.Pod)
		return err
	}
	if err := s.engine.RemovePod(ctx, pod.Pod, engine.RemoveOptions{Volumes: true}); err != nil {
		return err
	}
	if pods, err := s.engine.Pods(group); err != nil || len(pods) > 0 {
		return err
	}
	return s.engine.Tidy(ctx, group)
}

// attachingEngine starts the one-off with a stream to it.
type attachingEngine struct {
	*engine.Engine
	in   *interaction
	tidy chan error
}

// StartPod implements project.Engine.
func (e *attachingEngine) StartPod(ctx context.Context, name string) error {
	if name != e.in.pod {
		return e.Engine.StartPod(ctx, name)
	}
	stream, err := e.StartAttached(ctx, name, e.in.resize)
	e.in.stream = stream
	return err
}

// Tidy implements project.Engine. It goes on beside the container, whose output must not wait for it.
func (e *attachingEngine) Tidy(ctx context.Context, group string) error {
	e.tidy = make(chan error, 1)
	go func() { e.tidy <- e.Engine.Tidy(ctx, group) }()
	return nil
}

// tidied waits for Tidy.
func (e *attachingEngine) tidied() error {
	if e.tidy == nil {
		return nil
	}
	return <-e.tidy
}

// endOf is the exit code of podc for the end of a container.
func endOf(p engine.Pod) error {
	switch {
	case !p.ExitKnown:
		return fault.Exit(fmt.Errorf("container %q ended unseen: its exit code is not known", p.Spec.Name), fault.ExitUnable)
	case p.ExitCode != 0:
		return fault.Silent(p.ExitCode)
	}
	return nil
}

// failedRun removes a one-off that did not start, if it was to go with its end, and gives the failure docker's exit code: 127
// for a command that is not there, 126 for one that cannot be executed, 125 for what else keeps the container from running.
func (s *session) failedRun(ctx context.Context, pod *project.OneOff, err error) error {
	if pod.AutoRemove {
		ctx := context.WithoutCancel(ctx)
		if p, podErr := s.engine.Pod(pod.Pod); podErr == nil && p.Spec.Labels[project.LabelSlug] == pod.Slug {
			err = errors.Join(err, s.engine.RemovePod(ctx, pod.Pod, engine.RemoveOptions{Volumes: true, Force: true}))
		}
	}
	var step *project.StepError
	if !errors.As(err, &step) || step.Step.Key.Name != pod.Pod || interrupted(ctx) {
		return err
	}
	code := fault.ExitUnable
	var runtime *engine.RuntimeError
	switch {
	case step.Step.Key.Verb != "start" || !errors.As(err, &runtime):
	case errdefs.IsNotFound(runtime):
		code = fault.ExitNotFound
	case errdefs.IsPermissionDenied(runtime):
		code = fault.ExitNotExecutable
	}
	return fault.Exit(err, code)
}
