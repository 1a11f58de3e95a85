package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/control"
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
			Service: c.Args().First(), Pod: c.String("name"), Slug: api.NewID(), Command: command(c.Args().Tail()),
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
	var id string // noted when it is about to be started: it may be gone soon after
	o.stepped = func(e project.Event) {
		if e.Kind == project.StepBegan && startOf(e, wanted.OneOff.Pod) {
			if p, err := s.container(wanted.OneOff.Pod); err == nil {
				id = p.ID
			}
		}
	}
	if err := s.podc.Projects.Up(ctx, *w.Desired, control.UpOptions{UpOptions: wanted}, o.watch()); err != nil {
		return s.failedRun(ctx, wanted.OneOff, err)
	}
	o.close()
	fmt.Fprintln(s.con.out, id)
	return nil
}

// startOf reports whether an event is about the start of a pod.
func startOf(e project.Event, pod string) bool {
	return e.Step.Key.Verb == "start" && e.Step.Key.Name == pod
}

// runAttached stays with the one-off from its start on. What up has still to do then it does beside the container, whose output must
// not wait for it.
func (s *session) runAttached(ctx context.Context, o *operation, w podccompose.Project, wanted project.UpOptions) error {
	pod := wanted.OneOff
	in := &interaction{con: s.con, podc: s.podc, pod: pod.Pod, tty: pod.TTY, stdin: pod.Stdin, proxy: true, detachKeys: defaultDetachKeys}
	signals := in.listen()
	defer signals.stop()
	up := control.UpOptions{UpOptions: wanted, Attach: pod.Pod}
	up.Width, up.Height, _ = in.size()
	started, done := make(chan struct{}), make(chan error, 1)
	o.stepped = func(e project.Event) {
		if e.Kind == project.StepEnded && e.Err == nil && startOf(e, pod.Pod) {
			close(started)
		}
	}
	go func() { done <- s.podc.Projects.Up(ctx, *w.Desired, up, o.watch()) }()
	runs := true
	var failure error
	select {
	case <-started:
	case failure = <-done:
		done <- nil
		select {
		case <-started:
		default:
			runs = false
		}
	}
	o.close()
	if !runs {
		return s.failedRun(ctx, pod, failure)
	}
	stream, err := s.podc.Streams.Attach(ctx, pod.Pod)
	if err != nil {
		return s.failedRun(ctx, pod, err)
	}
	defer stream.Close()
	in.stream = stream
	if failure != nil { // it runs all the same
		report(s.con.err, failure, s.progress == progressJSON)
	}
	ctx = context.WithoutCancel(ctx)
	ended, err := in.stay(ctx, signals)
	if err != nil || ended == nil {
		return err
	}
	err = s.afterRun(ctx, pod)
	in.finish()
	if err = errors.Join(err, <-done); err == nil || ended.ExitCode != 0 {
		return endOf(*ended)
	}
	return err
}

// afterRun clears away what the end of a one-off leaves.
func (s *session) afterRun(ctx context.Context, pod *project.OneOff) error {
	if !pod.AutoRemove {
		_, err := s.podc.Containers.Refresh(ctx, pod.Pod)
		return err
	}
	return s.podc.Containers.Remove(ctx, pod.Pod, api.RemoveOptions{Volumes: true})
}

// failedRun removes a one-off that did not start, if it was to go with its end.
func (s *session) failedRun(ctx context.Context, pod *project.OneOff, err error) error {
	if !pod.AutoRemove {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if p, podErr := s.container(pod.Pod); podErr == nil && p.Spec.Labels[project.LabelSlug] == pod.Slug {
		err = errors.Join(err, s.podc.Containers.Remove(ctx, pod.Pod, api.RemoveOptions{Volumes: true, Force: true}))
	}
	return err
}
