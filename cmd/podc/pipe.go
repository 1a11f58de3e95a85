package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// pipe runs a program that finds process open as engine.ExecFd, with pipes in the place of podc's own streams: it is not to see,
// nor to get hold of, the terminal that these may be. Signals are passed on; its exit code is podc's.
func (c *console) pipe(argv []string, process *os.File, interactive bool) error {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.ExtraFiles = []*os.File{process}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's signals come by way of podc, and once
	cmd.Stdout, cmd.Stderr = struct{ io.Writer }{c.out}, struct{ io.Writer }{c.err}
	signals := make(chan os.Signal, 32)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if c.secondSignal != nil {
		c.secondSignal()
	}
	if interactive {
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(in, c.in)
			in.Close()
		}()
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot run %s: %w", argv[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			cmd.Process.Signal(sig)
		case err := <-ended:
			return endOfProcess(err)
		}
	}
}

// endOfProcess is the exit code of podc for the end of a program that it ran.
func endOfProcess(err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitCode(128 + int(status.Signal()))
	}
	return exitCode(exit.ExitCode())
}
