package main

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

func execCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "exec", Usage: "run a command in a running container", ArgsUsage: "SERVICE COMMAND [ARG...]",
		Flags: []cli.Flag{
			toggle("detach", "do not wait for the command", "d"),
			list("env", "environment variable, `NAME=VALUE` or NAME, repeatable", "e"),
			number("index", 0, "`NUMBER` of the replica (default: the lowest)"),
			toggle("no-tty", "no terminal (default where standard output is none)", "T"),
			toggle("privileged", "give the command all capabilities"),
			text("user", "run as `USER[:GROUP]`", "u"),
			text("workdir", "run in `DIR`", "w"),
			hidden(toggleOn("interactive", "", "i")),
			hidden(toggleOn("tty", "", "t")),
		},
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 2); err != nil {
				return err
			}
			return s.exec(c.Context, execOptions{
				service: c.Args().First(), command: c.Args().Tail(), index: c.Int("index"), detach: c.Bool("detach"),
				interactive: c.Bool("interactive"), env: c.StringSlice("env"), noTTY: noTTY(c, con),
				privileged: c.Bool("privileged"), user: c.String("user"), workdir: c.String("workdir"),
			})
		}),
	}
}

// noTTY decides whether the command gets no terminal: as asked, else where podc has none.
func noTTY(c *cli.Context, con *console) bool {
	switch {
	case c.IsSet("no-tty"):
		return c.Bool("no-tty")
	case c.IsSet("tty"):
		return !c.Bool("tty")
	}
	return !con.outTTY || !con.inTTY
}

// exec runs a command in a container of a service. With a terminal podc becomes the runtime, which moves bytes between that one
// and the container's; else podc does it, for which it stays.
func (s *session) exec(ctx context.Context, opt execOptions) error {
	runtime.GOMAXPROCS(1) // one thing is done after another: threads that look for more would only be in the runtime's way
	t, err := s.target(ctx, []string{opt.service})
	if err != nil {
		return err
	}
	pod, err := s.replica(t.name, opt.service, opt.index)
	if err != nil {
		return err
	}
	return s.execIn(ctx, pod, opt)
}

// execIn is exec in a container that is known already.
func (s *session) execIn(ctx context.Context, pod api.Pod, opt execOptions) error {
	width, height := s.con.terminalSize()
	life := ctx
	if !opt.detach {
		life = context.WithoutCancel(ctx) // a signal is the command's
	}
	env, err := variables(opt.env, s.con.env)
	if err != nil {
		return err
	}
	x := control.ExecOptions{
		Args: opt.command, Env: env, User: opt.user, WorkingDir: opt.workdir, TTY: !opt.noTTY && !opt.detach, Detach: opt.detach,
		Privileged: opt.privileged, Width: width, Height: height,
	}
	if becomer, ok := s.podc.Streams.(control.Becomer); ok && x.TTY {
		return becomer.Become(life, pod.Spec.Name, x)
	}
	signals := make(chan os.Signal, 32)
	defer signal.Stop(signals)
	with := control.ExecStreams{Out: s.con.out, Err: s.con.err, Signals: signals, Begun: func() { s.con.collect(ctx, signals) }}
	if opt.interactive {
		with.In = s.con.in
	}
	code, err := s.podc.Streams.Exec(life, pod.Spec.Name, x, with)
	if err == nil && code != 0 {
		err = fault.Silent(code)
	}
	return err
}

// collect has signals that would end podc collected in the channel: they are a command's, as is one that has ended ctx.
func (c *console) collect(ctx context.Context, signals chan<- os.Signal) {
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	if c.secondSignal != nil {
		c.secondSignal()
	}
	if ctx.Err() != nil { // one came before
		signals <- syscall.SIGTERM
	}
}

// replica is the running container of a service with a number, or with the lowest. As a rule its name follows from the two, and
// no other needs to be read.
func (s *session) replica(projectName, service string, index int) (api.Pod, error) {
	n := max(index, 1)
	name := strings.Join([]string{projectName, service, strconv.Itoa(n)}, "-")
	if p, err := s.container(name); err == nil && p.Spec.Name == name && p.Spec.Group == projectName && !control.IsOneOff(p) && control.NumberOf(p) == n {
		if p, err := replicaOf([]api.Pod{p}, service, index); err == nil {
			return p, nil
		}
	}
	pods, err := s.podc.Containers.List(s.flags.Context, control.Selection{Group: projectName, OneOffs: true})
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
		return api.Pod{}, noReplica(service, index)
	}
	return api.Pod{}, fault.New(errdefs.ErrFailedPrecondition, "service %q is not running", service)
}
