package main

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"
	"podc.example/podc/api"
)

// attachCommandOptions are the flags of `attach`.
type attachCommandOptions struct {
	service    string
	index      int // 0: the lowest number
	noStdin    bool
	sigProxy   bool
	detachKeys []byte
}

func attachCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "attach", Usage: "connect the terminal with a running container", ArgsUsage: "SERVICE",
		Flags: append(attachFlags(), number("index", 0, "`NUMBER` of the replica (default: the lowest)")),
		Action: with(con, func(s *session, c *cli.Context) error {
			if err := needArgs(c, 1); err != nil {
				return err
			}
			if c.NArg() > 1 {
				return usage("attach takes one service")
			}
			opt, err := attachOptionsOf(c)
			if err != nil {
				return err
			}
			opt.service, opt.index = c.Args().First(), c.Int("index")
			return s.attach(c.Context, opt)
		}),
	}
}

// attachFlags are those of every attach.
func attachFlags() []cli.Flag {
	return []cli.Flag{
		text("detach-keys", "`KEYS` that leave the container running (default: ctrl-p,ctrl-q)"),
		toggle("no-stdin", "do not pass the standard input on"),
		toggleOn("sig-proxy", "pass signals on (--sig-proxy=false: they end podc)"),
	}
}

func attachOptionsOf(c *cli.Context) (attachCommandOptions, error) {
	keys, err := detachKeys(c.String("detach-keys"))
	if err != nil {
		return attachCommandOptions{}, usage("%v", err)
	}
	return attachCommandOptions{noStdin: c.Bool("no-stdin"), sigProxy: c.Bool("sig-proxy"), detachKeys: keys}, nil
}

// attach connects podc's streams with those of a container until it ends, whose exit code is then podc's, or the person leaves.
func (s *session) attach(ctx context.Context, opt attachCommandOptions) error {
	t, err := s.target(ctx, []string{opt.service})
	if err != nil {
		return err
	}
	pod, err := s.replica(t.name, opt.service, opt.index)
	if err != nil {
		return err
	}
	return s.attachTo(ctx, pod, opt)
}

// attachTo is attach to a container that is known already.
func (s *session) attachTo(ctx context.Context, pod api.Pod, opt attachCommandOptions) (err error) {
	spec := pod.Spec.Container
	in := &interaction{
		con: s.con, podc: s.podc, pod: pod.Spec.Name, tty: spec.TTY, stdin: (spec.StdinOpen || spec.TTY) && !opt.noStdin,
		proxy: opt.sigProxy, detachKeys: opt.detachKeys,
	}
	signals := in.listen()
	defer signals.stop()
	if in.stream, err = s.podc.Streams.Attach(ctx, pod.Spec.Name); err != nil {
		return err
	}
	defer in.stream.Close()
	in.redraw()
	if opt.sigProxy {
		ctx = context.WithoutCancel(ctx)
	}
	ended, err := in.stay(ctx, signals)
	if err != nil || ended == nil {
		return err
	}
	if _, err := s.podc.Containers.Refresh(context.WithoutCancel(ctx), pod.Spec.Name); err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	in.finish()
	return endOf(*ended)
}

// redraw has a program that fills its terminal draw it anew, which it does when the size changes.
func (in *interaction) redraw() {
	if w, h, ok := in.size(); ok {
		in.stream.Resize(w, h+1)
		in.stream.Resize(w, h)
	}
}
