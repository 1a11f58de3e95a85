package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
	"podc.example/podc/api"
	"podc.example/podc/control"
)

// interaction connects podc's own streams with those of a container, until the container ends or the person detaches.
type interaction struct {
	con        *console
	podc       *control.Control
	pod        string
	stream     control.Stream
	tty        bool // the container has a terminal
	stdin      bool // the container has a standard input, and gets podc's
	proxy      bool // signals are passed on
	detachKeys []byte
	output     chan error // the end of the output
}

// signals are those that podc has got since it listens.
type signals chan os.Signal

// listen begins to collect signals: before the container starts, so that none is lost. Those that would end podc are then for
// the container.
func (in *interaction) listen() signals {
	c := make(signals, 32)
	signal.Notify(c, syscall.SIGPIPE, syscall.SIGWINCH) // a broken pipe is an error of the output, and no more
	if in.proxy {
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM)
		if in.con.secondSignal != nil {
			in.con.secondSignal()
		}
	}
	return c
}

func (c signals) stop() { signal.Stop(c) }

// stay passes input, output and signals on. It returns the pod when it has ended, and nil if the person detached.
func (in *interaction) stay(ctx context.Context, got signals) (*api.Pod, error) {
	restore, err := in.raw()
	if err != nil {
		return nil, err
	}
	defer restore()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in.output = make(chan error, 1)
	go func() { in.output <- in.stream.Output(in.con.out, in.con.err) }()
	detached := make(chan struct{})
	if in.stdin {
		go in.input(detached)
	}
	type end struct {
		pod api.Pod
		err error
	}
	ended := make(chan end, 1)
	go func() {
		p, err := in.podc.Containers.Await(ctx, in.pod)
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
			if err != nil { // nobody wants to hear it any more
				go in.podc.Containers.Stop(ctx, in.pod, control.StopOptions{})
			}
		}
	}
}

// finish returns when all output is shown; the pod has been settled, which ends the stream.
func (in *interaction) finish() {
	select {
	case <-in.output:
	case <-time.After(lastWords):
	}
}

// input passes podc's standard input on.
func (in *interaction) input(detached chan struct{}) {
	keys := detacher{keys: in.detachKeys}
	buf := make([]byte, 8<<10)
	for {
		n, err := in.con.in.Read(buf)
		b := buf[:n]
		if in.tty {
			var leave bool
			if b, leave = keys.pass(b); leave {
				close(detached)
				return
			}
		}
		if len(b) > 0 {
			if _, err := in.stream.Write(b); err != nil {
				return
			}
		}
		if err != nil {
			in.stream.CloseWrite()
			return
		}
	}
}

// forwarder passes signals on. One that asks the container to end (an interrupt only when it is repeated: many programs have a
// use for one) stops it beside: with its stop signal and its grace period. When it is asked a third time it is killed. When the
// machine goes down it asks all, more than once, and for the same end.
func (in *interaction) forwarder(ctx context.Context) func(os.Signal) {
	asked, stopping, ending := 0, false, false
	return func(sig os.Signal) {
		switch sig {
		case syscall.SIGPIPE:
			return
		case syscall.SIGWINCH:
			in.resize(in.stream)
			return
		case syscall.SIGINT:
			asked++
		case syscall.SIGTERM, syscall.SIGHUP:
			asked = max(asked+1, 2)
		}
		if asked >= 2 && !stopping && in.podc.System.Ending() {
			stopping, ending = true, true
			go in.podc.Containers.Stop(ctx, in.pod, control.StopOptions{ForEnd: true})
		}
		if ending {
			return
		}
		if asked > 2 {
			go in.podc.Containers.Stop(ctx, in.pod, control.StopOptions{Timeout: new(time.Duration)})
			return
		}
		stops := asked == 2 && !stopping
		if !stops || !isSignal(in.stopSignal(ctx), sig) { // which it is not sent twice
			in.podc.Containers.Kill(ctx, in.pod, unix.SignalName(sig.(syscall.Signal)))
		}
		if stops {
			stopping = true
			go in.podc.Containers.Stop(ctx, in.pod, control.StopOptions{})
		}
	}
}

// stopSignal is that of the container, as it is spelt; "" if nobody knows.
func (in *interaction) stopSignal(ctx context.Context) string {
	p, err := in.podc.Containers.Get(ctx, in.pod)
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
func (in *interaction) raw() (restore func(), err error) {
	t := in.con.terminal()
	if !in.tty || !in.stdin || t == nil || !in.con.inTTY {
		return func() {}, nil
	}
	old, err := term.MakeRaw(int(t.Fd()))
	if err != nil {
		return nil, fmt.Errorf("cannot prepare the terminal: %w", err)
	}
	return func() { term.Restore(int(t.Fd()), old) }, nil
}

// resize gives the container's terminal the size of podc's.
func (in *interaction) resize(s control.Stream) {
	if w, h, ok := in.size(); ok {
		s.Resize(w, h)
	}
}

// size is that of podc's terminal, if the container has one and podc too.
func (in *interaction) size() (width, height int, ok bool) {
	if !in.tty {
		return 0, 0, false
	}
	width, height = in.con.terminalSize()
	return width, height, width > 0
}

// errDetachKeys says how detach keys are written.
var errDetachKeys = errors.New(`want keys such as "a" or "ctrl-p", separated by commas`)
