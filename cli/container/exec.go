package container

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
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
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

func ExecCommand() *command.Command {
	return execCommand(byService, []*command.Flag{
		command.Index(),
		command.Toggle("no-tty", "no terminal (default where standard output is none)", "T"),
		command.Hidden(command.ToggleOn("interactive", "", "i")),
		command.Hidden(command.ToggleOn("tty", "", "t")),
	}, func(s *command.Session, c *cli.Context) (env []string, tty bool, err error) {
		return nil, !NoTTY(c, s.Con), nil
	})
}

func containerExecCommand() *command.Command {
	cmd := execCommand(byName, []*command.Flag{
		command.List("env-file", command.File, "FILE with environment variables, repeatable"),
		command.Toggle("interactive", "pass the standard input on", "i"),
		command.Toggle("tty", "with a terminal", "t"),
	}, func(s *command.Session, c *cli.Context) (env []string, tty bool, err error) {
		if c.Bool("tty") && c.Bool("interactive") && !s.Con.InTTY {
			return nil, false, fault.Invalid("the standard input is no terminal: --tty cannot be used with --interactive")
		}
		env, err = envFiles(s.Con.Dir, c.StringSlice("env-file"))
		return env, c.Bool("tty"), err
	})
	cmd.Refused, cmd.Needs = command.Refused{"detach-keys=": "an exec is left by ending it"}, command.Effect
	return cmd
}

// execCommand has flags of its own, which its reader makes variables and the wish for a terminal of.
func execCommand(of finder, flags []*command.Flag, read func(*command.Session, *cli.Context) ([]string, bool, error)) *command.Command {
	return &command.Command{
		Name: "exec", Usage: "run a command in a running container", Wraps: true,
		Args: command.Args{command.One(of.arg), command.One(command.Word("COMMAND")), command.Any(command.Word("ARG"))},
		Flags: append([]*command.Flag{
			command.Toggle("detach", "do not wait for the command", "d"),
			command.List("env", command.Variable, "environment variable, NAME=VALUE or NAME, repeatable", "e"),
			command.Toggle("privileged", "give the command all capabilities"),
			command.Text("user", command.User, "run as USER[:GROUP]", "u"),
			command.Text("workdir", command.Dir, "run in DIR", "w"),
		}, flags...),
		Run: func(s *command.Session, c *cli.Context) error {
			runtime.GOMAXPROCS(1) // one thing is done after another: threads that look for more would only be in the runtime's way
			env, tty, err := read(s, c)
			if err != nil {
				return err
			}
			pod, err := of.running(s, c)
			if err != nil {
				return err
			}
			return exec(c, s, pod, append(env, c.StringSlice("env")...), tty)
		},
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

// exec runs a command in a container. With a terminal podc becomes the runtime, which moves bytes between that one and the
// container's; else podc does it, for which it stays.
func exec(c *cli.Context, s *command.Session, pod api.Pod, vars []string, tty bool) error {
	width, height := s.Con.TerminalSize()
	ctx, detach := c.Context, c.Bool("detach")
	life := ctx
	if !detach {
		life = context.WithoutCancel(ctx) // a signal is the command's
	}
	env, err := command.Variables("env", vars, s.Con.Env)
	if err != nil {
		return err
	}
	x := api.ExecOptions{
		Args: c.Args().Tail(), Env: env, User: c.String("user"), WorkingDir: c.String("workdir"), TTY: tty && !detach, Detach: detach,
		Privileged: c.Bool("privileged"), Width: width, Height: height,
	}
	if becomer, ok := s.Podc.Streams.(control.Becomer); ok && x.TTY {
		return becomer.Become(life, pod.Spec.Name, x)
	}
	signals := make(chan os.Signal, 32)
	defer signal.Stop(signals)
	with := control.ExecStreams{Out: s.Con.Out, Err: s.Con.Err, Signals: signals, Begun: func() { collect(s.Con, ctx, signals) }}
	if c.Bool("interactive") {
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

// maxEnvFile is the largest file of variables, in bytes: a process does not take more.
const maxEnvFile = 2 << 20

// envFiles reads docker's files of variables: NAME=VALUE or NAME a line, taken as they stand; "#" begins a comment.
func envFiles(dir string, paths []string) ([]string, error) {
	var env []string
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		b, err := disk.ReadGiven(path, maxEnvFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the variables of --env-file %s: %w", path, err)
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimLeft(strings.TrimRight(line, "\r\n"), " \t"); line != "" && !strings.HasPrefix(line, "#") {
				env = append(env, line)
			}
		}
	}
	return env, nil
}

// finder finds the container that the first argument of a command means.
type finder struct {
	arg     command.Value
	made    func(*command.Session, *cli.Context) (api.Pod, error)
	running func(*command.Session, *cli.Context) (api.Pod, error) // of a service; what is named, whether it runs or not
}

var (
	byName    = finder{command.Container, named, named}
	byService = finder{command.Service, func(s *command.Session, c *cli.Context) (api.Pod, error) {
		pods, err := copyPods(c.Context, s, c.Args().First(), c.Int("index"), false)
		if err != nil {
			return api.Pod{}, err
		}
		return pods[0], nil
	}, func(s *command.Session, c *cli.Context) (api.Pod, error) {
		return Replica(s, c.Args().First(), c.Int("index"))
	}}
)

func named(s *command.Session, c *cli.Context) (api.Pod, error) { return s.Container(c.Args().First()) }

// Replica is the running container of a service with a number, or with the lowest. As a rule its name follows from the two, and
// no other needs to be read.
func Replica(s *command.Session, service string, index int) (api.Pod, error) {
	t, err := s.Target(s.Flags.Context, []string{service})
	if err != nil {
		return api.Pod{}, err
	}
	n := max(index, 1)
	name := strings.Join([]string{t.Name, service, strconv.Itoa(n)}, "-")
	if p, err := s.Container(name); err == nil && p.Spec.Name == name && p.Spec.Group == t.Name && !control.IsOneOff(p) && control.NumberOf(p) == n {
		if p, err := replicaOf([]api.Pod{p}, service, index); err == nil {
			return p, nil
		}
	}
	pods, err := s.Podc.Containers.List(s.Flags.Context, control.Selection{Group: t.Name, OneOffs: true})
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
