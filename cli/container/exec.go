package container

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// execOptions are the flags of `exec`.
type execOptions struct {
	service     string
	command     []string
	index       int // 0: the lowest number
	detach      bool
	interactive bool // has podc's standard input
	env         []string
	noTTY       bool
	privileged  bool
	user        string
	workdir     string
}

func ExecCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a running container", ArgsUsage: "SERVICE COMMAND [ARG...]",
		Flags: []cli.Flag{
			command.Toggle("detach", "do not wait for the command", "d"),
			command.List("env", "environment variable, `NAME=VALUE` or NAME, repeatable", "e"),
			command.Number("index", 0, "`NUMBER` of the replica (default: the lowest)"),
			command.Toggle("no-tty", "no terminal (default where standard output is none)", "T"),
			command.Toggle("privileged", "give the command all capabilities"),
			command.Text("user", "run as `USER[:GROUP]`", "u"),
			command.Text("workdir", "run in `DIR`", "w"),
			command.Hidden(command.ToggleOn("interactive", "", "i")),
			command.Hidden(command.ToggleOn("tty", "", "t")),
		},
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 2); err != nil {
				return err
			}
			return exec(c.Context, s, execOptions{
				service: c.Args().First(), command: c.Args().Tail(), index: c.Int("index"), detach: c.Bool("detach"),
				interactive: c.Bool("interactive"), env: c.StringSlice("env"), noTTY: NoTTY(c, con),
				privileged: c.Bool("privileged"), user: c.String("user"), workdir: c.String("workdir"),
			})
		}),
	}
}

// NoTTY decides whether the command gets no terminal: as asked, else where podc has none.
func NoTTY(c *cli.Context, con *show.Console) bool {
	switch {
	case c.IsSet("no-tty"):
		return c.Bool("no-tty")
	case c.IsSet("tty"):
		return !c.Bool("tty")
	}
	return !con.OutTTY || !con.InTTY
}

// exec runs a command in a container of a service. With a terminal podc becomes the runtime, which moves bytes between that one
// and the container's; else podc does it, for which it stays.
func exec(ctx context.Context, s *command.Session, opt execOptions) error {
	runtime.GOMAXPROCS(1) // one thing is done after another: threads that look for more would only be in the runtime's way
	t, err := s.Target(ctx, []string{opt.service})
	if err != nil {
		return err
	}
	pod, err := Replica(s, t.Name, opt.service, opt.index)
	if err != nil {
		return err
	}
	return execIn(ctx, s, pod, opt)
}

// execIn is exec in a container that is known already.
func execIn(ctx context.Context, s *command.Session, pod api.Pod, opt execOptions) error {
	width, height := s.Con.TerminalSize()
	life := ctx
	if !opt.detach {
		life = context.WithoutCancel(ctx) // a signal is the command's
	}
	env, err := command.Variables(opt.env, s.Con.Env)
	if err != nil {
		return err
	}
	x := api.ExecOptions{
		Args: opt.command, Env: env, User: opt.user, WorkingDir: opt.workdir, TTY: !opt.noTTY && !opt.detach, Detach: opt.detach,
		Privileged: opt.privileged, Width: width, Height: height,
	}
	if becomer, ok := s.Podc.Streams.(control.Becomer); ok && x.TTY {
		return becomer.Become(life, pod.Spec.Name, x)
	}
	signals := make(chan os.Signal, 32)
	defer signal.Stop(signals)
	with := control.ExecStreams{Out: s.Con.Out, Err: s.Con.Err, Signals: signals, Begun: func() { collect(s.Con, ctx, signals) }}
	if opt.interactive {
		with.In = s.Con.In
	}
	code, err := s.Podc.Streams.Exec(life, pod.Spec.Name, x, with)
	if err == nil && code != 0 {
		err = fault.Silent(code)
	}
	return err
}

// collect has signals that would end podc collected in the channel: they are a command's, as is one that has ended ctx.
func collect(c *show.Console, ctx context.Context, signals chan<- os.Signal) {
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if c.SecondSignal != nil {
		c.SecondSignal()
	}
	if ctx.Err() != nil { // one came before
		signals <- syscall.SIGTERM
	}
}

// Replica is the running container of a service with a number, or with the lowest. As a rule its name follows from the two, and
// no other needs to be read.
func Replica(s *command.Session, projectName, service string, index int) (api.Pod, error) {
	n := max(index, 1)
	name := strings.Join([]string{projectName, service, strconv.Itoa(n)}, "-")
	if p, err := s.Container(name); err == nil && p.Spec.Name == name && p.Spec.Group == projectName && !control.IsOneOff(p) && control.NumberOf(p) == n {
		if p, err := replicaOf([]api.Pod{p}, service, index); err == nil {
			return p, nil
		}
	}
	pods, err := s.Podc.Containers.List(s.Flags.Context, control.Selection{Group: projectName, OneOffs: true})
	if err != nil {
		return api.Pod{}, err
	}
	return replicaOf(pods, service, index)
}

// replicaOf finds the running container of a service with a number, or with the lowest. One-offs, which have none, come last.
func replicaOf(pods []api.Pod, service string, index int) (api.Pod, error) {
	var found *api.Pod
	before := func(p, q api.Pod) bool {
		if control.IsOneOff(p) != control.IsOneOff(q) {
			return control.IsOneOff(q)
		}
		return control.NumberOf(p) < control.NumberOf(q)
	}
	for i, p := range pods {
		if p.Spec.Labels[project.LabelService] != service || !p.Status.Live() || index > 0 && control.NumberOf(p) != index {
			continue
		}
		if found == nil || before(p, *found) {
			found = &pods[i]
		}
	}
	switch {
	case found != nil:
		return *found, nil
	case index > 0:
		return api.Pod{}, command.NoReplica(service, index)
	}
	return api.Pod{}, fault.New(errdefs.ErrFailedPrecondition, "service %q is not running", service)
}
