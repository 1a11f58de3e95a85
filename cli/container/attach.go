package container

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

// attachCommandOptions are the flags of `attach`.
type attachCommandOptions struct {
	service    string
	index      int // 0: the lowest number
	noStdin    bool
	sigProxy   bool
	detachKeys []byte
}

func AttachCommand(con *show.Console) *cli.Command {
	return &cli.Command{
		Name: "attach", Usage: "connect the terminal with a running container", ArgsUsage: "SERVICE",
		Flags: append(attachFlags(), command.Number("index", 0, "`NUMBER` of the replica (default: the lowest)")),
		Action: command.With(con, func(s *command.Session, c *cli.Context) error {
			if err := command.NeedArgs(c, 1); err != nil {
				return err
			}
			if c.NArg() > 1 {
				return fault.Invalid("attach takes one service")
			}
			opt, err := attachOptionsOf(c)
			if err != nil {
				return err
			}
			opt.service, opt.index = c.Args().First(), c.Int("index")
			return attach(c.Context, s, opt)
		}),
	}
}

// attachFlags are those of every attach.
func attachFlags() []cli.Flag {
	return []cli.Flag{
		command.Text("detach-keys", "`KEYS` that leave the container running (default: ctrl-p,ctrl-q)"),
		command.Toggle("no-stdin", "do not pass the standard input on"),
		command.ToggleOn("sig-proxy", "pass signals on (--sig-proxy=false: they end podc)"),
	}
}

func attachOptionsOf(c *cli.Context) (attachCommandOptions, error) {
	keys, err := detachKeys(c.String("detach-keys"))
	if err != nil {
		return attachCommandOptions{}, fault.Invalid("%v", err)
	}
	return attachCommandOptions{noStdin: c.Bool("no-stdin"), sigProxy: c.Bool("sig-proxy"), detachKeys: keys}, nil
}

// attach connects podc's streams with those of a container until it ends, whose exit code is then podc's, or the person leaves.
func attach(ctx context.Context, s *command.Session, opt attachCommandOptions) error {
	t, err := s.Target(ctx, []string{opt.service})
	if err != nil {
		return err
	}
	pod, err := Replica(s, t.Name, opt.service, opt.index)
	if err != nil {
		return err
	}
	return attachTo(ctx, s, pod, opt)
}

// attachTo is attach to a container that is known already.
func attachTo(ctx context.Context, s *command.Session, pod api.Pod, opt attachCommandOptions) (err error) {
	spec := pod.Spec.Container
	in := &Interaction{
		Con: s.Con, Podc: s.Podc, Pod: pod.Spec.Name, Tty: spec.TTY, Stdin: (spec.StdinOpen || spec.TTY) && !opt.noStdin,
		Proxy: opt.sigProxy, DetachKeys: opt.detachKeys,
	}
	signals := in.Listen()
	defer signals.Stop()
	if in.Stream, err = s.Podc.Streams.Attach(ctx, pod.Spec.Name); err != nil {
		return err
	}
	defer in.Stream.Close()
	in.redraw()
	if opt.sigProxy {
		ctx = context.WithoutCancel(ctx)
	}
	ended, err := in.Stay(ctx, signals)
	if err != nil || ended == nil {
		return err
	}
	if _, err := s.Podc.Containers.Refresh(context.WithoutCancel(ctx), pod.Spec.Name); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	in.Finish()
	return EndOf(*ended)
}

// redraw has a program that fills its terminal draw it anew, which it does when the size changes.
func (in *Interaction) redraw() {
	if w, h, ok := in.Size(); ok {
		in.Stream.Resize(w, h+1)
		in.Stream.Resize(w, h)
	}
}
