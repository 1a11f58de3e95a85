package project

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/container"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

func RunCommand() *command.Command {
	return &command.Command{
		Name: "run", Usage: "run a command in a container of its own", Wraps: true,
		Examples: []string{"podc run --rm web sh  # beside the service's containers, and removed afterwards"},
		Args:     command.Args{command.One(command.Service), command.Maybe(command.Word("COMMAND")), command.Any(command.Word("ARG"))},
		Flags: []*command.Flag{
			buildFlag(),
			command.List("cap-add", command.Word("CAPABILITY"), "give the container CAPABILITY, repeatable"),
			command.List("cap-drop", command.Word("CAPABILITY"), "take CAPABILITY from the container, repeatable"),
			command.Toggle("detach", "print the container's id and do not wait for it", "d"),
			command.Text("entrypoint", command.Word("COMMAND"), "run COMMAND instead of the image's entrypoint"),
			command.List("env", command.Variable, "environment variable, NAME=VALUE or NAME, repeatable", "e"),
			command.List("env-from-file", command.File, "FILE with environment variables, repeatable"),
			command.ToggleOn("interactive", "pass the standard input on (-i=false: do not)", "i"),
			command.List("label", command.Variable, "label, NAME=VALUE, repeatable", "l"),
			command.Text("name", command.Name, "NAME of the container"),
			command.Toggle("no-deps", "leave the services that this one depends on alone"),
			command.Toggle("no-tty", "no terminal (default where standard input or output is none)", "T"),
			command.List("publish", command.Word("[[ADDRESS:]PORT:]PORT"), "publish a port, [[ADDRESS:]PORT:]PORT, repeatable", "p"),
			command.Text("pull", command.Policy, "when to pull images"),
			command.Toggle("quiet", "show nothing but the output of the command", "q"),
			quietBuildFlag(),
			command.Toggle("quiet-pull", "show no progress of pulls"),
			orphansFlag(),
			command.Toggle("rm", "remove the container when it has ended"),
			command.Toggle("service-ports", "publish the ports of the service", "P"),
			command.Toggle("use-aliases", "answer to the names of the service on its networks"),
			command.Text("user", command.User, "run as USER[:GROUP]", "u"),
			command.List("volume", command.Word("[SOURCE:]TARGET[:OPTIONS]"), "mount, [SOURCE:]TARGET[:OPTIONS], repeatable", "v"),
			command.Text("workdir", command.Dir, "run in DIR", "w"),
			command.Hidden(command.ToggleOn("tty", "", "t")),
		},
		Run: run,
	}
}

// runOptionsOf reads what is wanted of the one-off, and what the parsers of the compose file make of it.
func runOptionsOf(c *cli.Context, con *show.Console) (opt project.UpOptions, req podccompose.RunRequest, err error) {
	one := &project.OneOff{
		Service: c.Args().First(), Pod: c.String("name"), Slug: api.NewID(), Command: commandOf(c.Args().Tail()),
		User: c.String("user"), WorkingDir: c.String("workdir"),
		CapAdd: c.StringSlice("cap-add"), CapDrop: c.StringSlice("cap-drop"),
		TTY: !container.NoTTY(c, con), Stdin: c.Bool("interactive"), StdinOnce: !c.Bool("detach"), AutoRemove: c.Bool("rm"),
		UseAliases: c.Bool("use-aliases"),
	}
	opt = project.UpOptions{
		Services: []string{one.Service}, NoDeps: c.Bool("no-deps"), OneOff: one, Build: c.Bool("build"), Remedies: remedies,
		RemoveOrphans: c.Bool("remove-orphans"), IgnoreOrphans: !c.Bool("remove-orphans"), // which are none of its business
	}
	req = podccompose.RunRequest{
		Service: one.Service, ServicePorts: c.Bool("service-ports"), Ports: c.StringSlice("publish"),
		Volumes: c.StringSlice("volume"), EnvFiles: c.StringSlice("env-from-file"),
	}
	if req.ServicePorts && len(req.Ports) > 0 {
		return opt, req, fault.Invalid("--service-ports and --publish cannot be combined")
	}
	if c.IsSet("entrypoint") {
		entrypoint := c.String("entrypoint")
		req.Entrypoint = &entrypoint
	}
	if one.Env, err = command.Variables("env", c.StringSlice("env"), con.Env); err != nil {
		return opt, req, err
	}
	if one.Labels, err = command.Pairs("label", c.StringSlice("label")); err != nil {
		return opt, req, err
	}
	opt.Pull, err = pullPolicy(c.String("pull"))
	return opt, req, err
}

// commandOf is nil where no command is given: then the service's counts.
func commandOf(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	return args
}

// run makes a one-off, after what its service depends on, and stays with it unless it is to run on its own.
func run(s *command.Session, c *cli.Context) error {
	ctx := c.Context
	wanted, oneOff, err := runOptionsOf(c, s.Con)
	if err != nil {
		return err
	}
	req, err := s.LoadRequest(command.Selection{Services: wanted.Services, NoDeps: wanted.NoDeps})
	if err != nil {
		return err
	}
	req.Run = &oneOff
	w, err := s.Answer(ctx, req, podccompose.Whole)
	if err != nil {
		return err
	}
	if command.ServiceOf(w.Desired, oneOff.Service) == nil {
		return command.NoSuchService(oneOff.Service)
	}
	if pod := wanted.OneOff; pod.Pod == "" {
		pod.Pod = oneOffName(w.Name, pod.Service, pod.Slug, s.Compatibility)
	}
	if c.Bool("quiet") {
		s.Progress = show.ProgressQuiet
	}
	o := s.Operate("run")
	defer o.Close()
	o.QuietPull, o.QuietBuild = c.Bool("quiet-pull"), c.Bool("quiet-build")
	if s.DryRun {
		return dryUp(o, ctx, w, wanted)
	}
	if c.Bool("detach") {
		return runDetached(ctx, s, o, w, wanted)
	}
	return runAttached(ctx, s, o, w, wanted)
}

// oneOffName is docker compose's.
func oneOffName(projectName, service, slug string, compatibility bool) string {
	sep := "-"
	if compatibility {
		sep = "_"
	}
	return strings.Join([]string{projectName, service, "run", slug[:12]}, sep)
}

func runDetached(ctx context.Context, s *command.Session, o *command.Operation, w podccompose.Project, wanted project.UpOptions) error {
	var id string // noted when it is about to be started: it may be gone soon after
	o.Stepped = func(e project.Event) {
		if e.Kind == project.StepBegan && startOf(e, wanted.OneOff.Pod) {
			if p, err := s.Container(wanted.OneOff.Pod); err == nil {
				id = p.ID
			}
		}
	}
	if err := s.Podc.Projects.Up(ctx, *w.Desired, control.UpOptions{UpOptions: wanted}, o.Watch()); err != nil {
		return failedRun(ctx, s, wanted.OneOff, err)
	}
	o.Close()
	fmt.Fprintln(s.Con.Out, id)
	return nil
}

// startOf reports whether an event is about the start of a pod.
func startOf(e project.Event, pod string) bool {
	return e.Step.Key.Verb == "start" && e.Step.Key.Name == pod
}

// runAttached stays with the one-off from its start on. What up has still to do then it does beside the container, whose output must
// not wait for it.
func runAttached(ctx context.Context, s *command.Session, o *command.Operation, w podccompose.Project, wanted project.UpOptions) error {
	pod := wanted.OneOff
	in := &container.Interaction{Con: s.Con, Podc: s.Podc, Pod: pod.Pod, Tty: pod.TTY, Stdin: pod.Stdin, Proxy: true, DetachKeys: container.DefaultDetachKeys}
	signals := in.Listen()
	defer signals.Stop()
	up := control.UpOptions{UpOptions: wanted, Attach: pod.Pod}
	up.Width, up.Height, _ = in.Size()
	started, done := make(chan struct{}), make(chan error, 1)
	o.Stepped = func(e project.Event) {
		if e.Kind == project.StepEnded && e.Err == nil && startOf(e, pod.Pod) {
			close(started)
		}
	}
	go func() { done <- s.Podc.Projects.Up(ctx, *w.Desired, up, o.Watch()) }()
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
	o.Close()
	if !runs {
		return failedRun(ctx, s, pod, failure)
	}
	stream, err := s.Podc.Streams.Attach(ctx, pod.Pod)
	if err != nil {
		return failedRun(ctx, s, pod, err)
	}
	defer stream.Close()
	in.Stream = stream
	if failure != nil { // it runs all the same
		command.Report(s.Con.Err, failure, s.Progress == show.ProgressJSON)
	}
	ctx = context.WithoutCancel(ctx)
	ended, err := in.Stay(ctx, signals)
	if err != nil || ended == nil {
		return err
	}
	err = afterRun(ctx, s, pod)
	in.Finish()
	if err = errors.Join(err, <-done); err == nil || ended.ExitCode != 0 {
		return container.EndOf(*ended)
	}
	return err
}

// afterRun clears away what the end of a one-off leaves.
func afterRun(ctx context.Context, s *command.Session, pod *project.OneOff) error {
	if !pod.AutoRemove {
		_, err := s.Podc.Containers.Refresh(ctx, pod.Pod)
		return err
	}
	return removeOneOff(ctx, s, pod, false)
}

// removeOneOff removes a one-off that goes with its end. Another command may have been quicker.
func removeOneOff(ctx context.Context, s *command.Session, pod *project.OneOff, force bool) error {
	err := s.Podc.Containers.Remove(ctx, pod.Pod, api.RemoveOptions{Volumes: true, Force: force})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// failedRun removes a one-off that did not start, if it was to go with its end.
func failedRun(ctx context.Context, s *command.Session, pod *project.OneOff, err error) error {
	if !pod.AutoRemove {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if p, podErr := s.Container(pod.Pod); podErr == nil && p.Spec.Labels[project.LabelSlug] == pod.Slug {
		err = errors.Join(err, removeOneOff(ctx, s, pod, true))
	}
	return err
}
