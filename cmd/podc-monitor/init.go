package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/child"
)

// initVerb is the first process of a container with `init: true`: it runs the command as its child, passes signals on,
// reaps every process that lost its parent, and ends as the command does, by docker's convention 128+n for a signal. The
// command may run in an image that holds nothing else.
func initVerb(args []string) error {
	stayLean(200*time.Millisecond, 0)
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("no command")
	}
	// In a pid namespace of others it is not the first process, to which orphans go by themselves.
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	died := make(chan os.Signal, 1) // one word is enough for any number of deaths, and none gets lost among other signals
	signal.Notify(died, unix.SIGCHLD)
	command, code, err := spawn(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot run %s: %v\n", args[0], err)
		os.Exit(code)
	}
	for {
		select {
		case <-died:
			if code, ended := reap(command); ended {
				os.Exit(code)
			}
		case s := <-signals:
			pass(command, s.(syscall.Signal))
		}
	}
}

// pass sends a signal on, unless it is this process's own affair.
func pass(child int, sig syscall.Signal) {
	switch sig {
	case unix.SIGCHLD:
	case unix.SIGURG: // sent to and fro by the Go runtime
	case unix.SIGTTIN, unix.SIGTTOU: // about the terminal, which this process does not touch
	default:
		unix.Kill(child, sig)
	}
}

// spawn starts the command in a process group of its own, in the foreground of the terminal if there is one. code says, by
// the convention of shells, why it could not.
func spawn(args []string) (pid, code int, err error) {
	path, err := exec.LookPath(args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		if errors.Is(err, os.ErrPermission) {
			return 0, 126, err
		}
		return 0, 127, err
	}
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true}}
	if _, err := unix.IoctlGetTermios(0, unix.TCGETS); err == nil {
		attr.Sys.Foreground, attr.Sys.Ctty = true, 0
	}
	pid, err = child.Fork(path, args, attr)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EPERM) && attr.Sys.Foreground {
		attr.Sys.Foreground = false // a terminal, but not this session's
		pid, err = child.Fork(path, args, attr)
	}
	return pid, 126, err
}

// reap takes note of every process that has ended; of the child, with the code that follows from it.
func reap(child int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid == 0:
			return code, ended
		case pid == child && status.Signaled():
			code, ended = 128+int(status.Signal()), true
		case pid == child && status.Exited():
			code, ended = status.ExitStatus(), true
		}
	}
}
