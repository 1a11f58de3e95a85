package container

import (
	"context"

	"github.com/containerd/errdefs"
	"github.com/urfave/cli/v2"

	"podc.example/podc/api"
	"podc.example/podc/cli/command"
)

func AttachCommand() *command.Command {
	return attachCommand(byService, command.Index())
}

func containerAttachCommand() *command.Command { return attachCommand(byName) }

func attachCommand(of finder, more ...*command.Flag) *command.Command {
	return &command.Command{
		Name: "attach", Usage: "connect the terminal with a running container", Args: command.Args{command.One(of.arg)},
		Flags: append([]*command.Flag{
			command.Text("detach-keys", command.Word("KEYS"), "KEYS that leave the container running (default: ctrl-p,ctrl-q)"),
			command.Toggle("no-stdin", "do not pass the standard input on"),
			command.ToggleOn("sig-proxy", "pass signals on (--sig-proxy=false: they end podc)"),
		}, more...),
		Run: func(s *command.Session, c *cli.Context) error {
			keys, err := detachKeys(c.String("detach-keys"))
			if err != nil {
				return err
			}
			p, err := of.running(s, c)
			if err != nil {
				return err
			}
			return attach(c.Context, s, p, keys)
		},
	}
}

// attach connects podc's streams with those of a container until it ends, whose exit code is then podc's, or the person leaves.
func attach(ctx context.Context, s *command.Session, pod api.Pod, detachKeys []byte) (err error) {
	spec := pod.Spec.Container
	in := &Interaction{
		Con: s.Con, Podc: s.Podc, Pod: pod.Spec.Name, Tty: spec.TTY, Stdin: (spec.StdinOpen || spec.TTY) && !s.Flags.Bool("no-stdin"),
		Proxy: s.Flags.Bool("sig-proxy"), DetachKeys: detachKeys,
	}
	signals := in.Listen()
	defer signals.Stop()
	if in.Stream, err = s.Podc.Streams.Attach(ctx, pod.Spec.Name); err != nil {
		return err
	}
	defer in.Stream.Close()
	in.redraw()
	if in.Proxy {
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
