package container

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
)

// Interaction connects podc's own streams with those of a container, until the container ends or the person detaches.
type Interaction struct {
	Con        *show.Console
	Podc       *control.Control
	Pod        string
	Stream     control.Stream
	Tty        bool // the container has a terminal
	Stdin      bool // the container has a standard input, and gets podc's
	Proxy      bool // signals are passed on
	DetachKeys []byte
	output     chan error // the end of the output
}

// signals are those that podc has got since it listens.
type signals chan os.Signal

// Listen begins to collect signals: before the container starts, so that none is lost. Those that would end podc are then for
// the container.
func (in *Interaction) Listen() signals {
	c := make(signals, 32)
	signal.Notify(c, syscall.SIGPIPE, syscall.SIGWINCH) // a broken pipe is an error of the output, and no more
	if in.Proxy {
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM)
		if in.Con.SecondSignal != nil {
			in.Con.SecondSignal()
		}
	}
	return c
}

func (c signals) Stop() { signal.Stop(c) }

// Stay passes input, output and signals on. It returns the pod when it has ended, and nil if the person detached.
func (in *Interaction) Stay(ctx context.Context, got signals) (*api.Pod, error) {
	restore, err := in.raw()
	if err != nil {
		return nil, err
	}
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.output = make(chan error, 1)
	go func() { in.output <- in.Stream.Output(in.Con.Out, in.Con.Err) }()
	detached := make(chan struct{})
	if in.Stdin {
		go in.input(detached)
	}
	type end struct {
		pod api.Pod
		err error
	}
	ended := make(chan end, 1)
	go func() {
		p, err := in.Podc.Containers.Await(ctx, in.Pod)
		ended <- end{p, err}
	}()
	forward := in.forwarder(ctx)
	output := in.output
	for {
		select {
		case e := <-ended:
			return &e.pod, e.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-detached:
			return nil, nil
		case sig := <-got:
			forward(sig)
		case err := <-output:
			in.output <- err // for finish
			output = nil
			if err != nil { // nobody wants to hear it any more, but conmon would wait for its reader, and note no end
				go in.Stream.Output(io.Discard, io.Discard)
				go in.Podc.Containers.Stop(ctx, in.Pod, control.StopOptions{})
			}
		}
	}
}

// Finish returns when all output is shown; the pod has been settled, which ends the stream.
func (in *Interaction) Finish() {
	select {
	case <-in.output:
	case <-time.After(LastWords):
	}
}

// input passes podc's standard input on.
func (in *Interaction) input(detached chan struct{}) {
	keys := detacher{keys: in.DetachKeys}
	buf := make([]byte, 8<<10)
	for {
		n, err := in.Con.In.Read(buf)
		b := buf[:n]
		if in.Tty {
			var leave bool
			if b, leave = keys.pass(b); leave {
				close(detached)
				return
			}
		}
		if len(b) > 0 {
			if _, err := in.Stream.Write(b); err != nil {
				return
			}
		}
		if err != nil {
			in.Stream.CloseWrite()
			return
		}
	}
}

// forwarder passes signals on. One that asks the container to end (an interrupt only when it is repeated: many programs have a
// use for one) stops it beside: with its stop signal and its grace period. When it is asked a third time it is killed. When the
// machine goes down it asks all, more than once, and for the same end.
func (in *Interaction) forwarder(ctx context.Context) func(os.Signal) {
	asked, stopping, ending := 0, false, false
	return func(sig os.Signal) {
		switch sig {
		case syscall.SIGPIPE:
			return
		case syscall.SIGWINCH:
			in.resize(in.Stream)
			return
		case syscall.SIGINT:
			asked++
		case syscall.SIGTERM, syscall.SIGHUP:
			asked = max(asked+1, 2)
		}
		if asked >= 2 && !stopping && in.Podc.System.Ending() {
			stopping, ending = true, true
			go in.Podc.Containers.Stop(ctx, in.Pod, control.StopOptions{ForEnd: true})
		}
		if ending {
			return
		}
		if asked > 2 {
			go in.Podc.Containers.Stop(ctx, in.Pod, control.StopOptions{Timeout: new(time.Duration)})
			return
		}
		stops := asked == 2 && !stopping
		if !stops || !isSignal(in.stopSignal(ctx), sig) { // which it is not sent twice
			in.Podc.Containers.Kill(ctx, in.Pod, unix.SignalName(sig.(syscall.Signal)))
		}
		if stops {
			stopping = true
			go in.Podc.Containers.Stop(ctx, in.Pod, control.StopOptions{})
		}
	}
}

// stopSignal is that of the container, as it is spelt; "" if nobody knows.
func (in *Interaction) stopSignal(ctx context.Context) string {
	p, err := in.Podc.Containers.Get(ctx, in.Pod)
	if err != nil {
		return ""
	}
	return cmp.Or(api.Effective(p.Spec.Container, p.Image.Config).StopSignal, "SIGTERM")
}

// isSignal reports whether name, with or without "SIG", or a number, is that of sig.
func isSignal(name string, sig os.Signal) bool {
	s, ok := sig.(syscall.Signal)
	name = strings.ToUpper(name)
	return ok && (name == strconv.Itoa(int(s)) || "SIG"+strings.TrimPrefix(name, "SIG") == unix.SignalName(s))
}

// raw has podc's terminal pass every key on, if the container has one of its own.
func (in *Interaction) raw() (restore func(), err error) {
	t := in.Con.Terminal()
	if !in.Tty || !in.Stdin || t == nil || !in.Con.InTTY {
		return func() {}, nil
	}
	old, err := term.MakeRaw(int(t.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the terminal: %w", err)
	}
	return func() { term.Restore(int(t.Fd()), old) }, nil
}

// resize gives the container's terminal the size of podc's.
func (in *Interaction) resize(s control.Stream) {
	if w, h, ok := in.Size(); ok {
		s.Resize(w, h)
	}
}

// Size is that of podc's terminal, if the container has one and podc too.
func (in *Interaction) Size() (width, height int, ok bool) {
	if !in.Tty {
		return 0, 0, false
	}
	width, height = in.Con.TerminalSize()
	return width, height, width > 0
}
