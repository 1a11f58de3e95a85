package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/engine/monitor"
	"podc.example/podc/internal/child"
	"podc.example/podc/netstack/dns"
)

// Descriptors that monitor and guardian are started with.
const (
	readyFd    = 3 // monitor: whom to tell that it serves
	guardianFd = 4 // monitor --adopt: the guardian that starts it
	monitorFd  = 3 // guardian: the monitor that starts it
)

// monitorVerb is the life of a group's monitor.
func monitorVerb(args []string) error {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM)
	stayLean(time.Second, 10*time.Second)
	var adopt bool
	r, args, err := parse("monitor", args, 1, &adopt)
	if err != nil {
		return err
	}
	e, err := r.open()
	if err != nil {
		return err
	}
	// Before the guardian is born, so that it never was in the caller's cgroup either.
	if err := e.Monitors().LeaveCgroup(); err != nil {
		return err
	}
	group := args[0]
	log := openLog("monitor")
	trimLog(filepath.Join(e.Monitors().Dir(group), "log"))
	names, err := dns.New(e.Network(), log)
	if err != nil {
		return err
	}
	cfg := monitor.Config{Engine: e, Group: group, Log: log, Names: names, Ready: os.NewFile(readyFd, "ready"), Terminated: terminated}
	cfg.Guardian = func() (*os.File, error) { return startGuardian(r, group) }
	if adopt {
		if err := unix.SetNonblock(guardianFd, true); err != nil {
			return err
		}
		cfg.Adopt = os.NewFile(guardianFd, "guardian")
	}
	release, err := monitor.Run(context.Background(), cfg)
	if err == nil {
		os.Exit(0)
	}
	runtime.KeepAlive(release)
	return err
}

func openLog(who string) *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("who", who, "pid", os.Getpid())
}

// maxLog is when the log of a group's monitors, which is written little and read rarely, begins anew.
const maxLog = 1 << 20

func trimLog(path string) {
	if fi, err := os.Stat(path); err == nil && fi.Size() > maxLog {
		os.Truncate(path, 0)
	}
}

// startGuardian starts the guardian of this process and returns a pidfd of it.
func startGuardian(r roots, group string) (*os.File, error) {
	self, err := pidfd(os.Getpid())
	if err != nil {
		return nil, err
	}
	defer self.Close()
	cmd, err := command(append(append([]string{"guard"}, r.args()...), group), self)
	if err != nil {
		return nil, err
	}
	fd := -1
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &fd}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	cmd.Process.Release()
	if fd < 0 {
		return nil, errors.New("the kernel knows no pidfds (Linux 5.3 does)")
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "guardian"), nil
}

// guardVerb is the life of a guardian. A SIGTERM is the monitor's affair, with which it ends.
func guardVerb(args []string) error {
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM)
	stayLean(200*time.Millisecond, 0)
	r, args, err := parse("guard", args, 1, nil)
	if err != nil {
		return err
	}
	group := args[0]
	if err := unix.SetNonblock(monitorFd, true); err != nil {
		return err
	}
	e, err := r.open()
	if err != nil {
		return err
	}
	revive := func() error { return revive(r, group) }
	return monitor.Guard(e.Monitors().Dir(group), os.NewFile(monitorFd, "monitor"), revive, openLog("guardian"))
}

// revive starts a monitor and waits for its end.
func revive(r roots, group string) error {
	self, err := pidfd(os.Getpid())
	if err != nil {
		return err
	}
	defer self.Close()
	nobody, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer nobody.Close()
	cmd, err := command(append(append([]string{"monitor", "--adopt"}, r.args()...), group), nobody, self)
	if err != nil {
		return err
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled() {
		return fmt.Errorf("%w: %w", monitor.ErrKilled, err)
	}
	return err
}

// command runs this program anew, with files as descriptors 3 and on. Its errors go where ours go.
func command(args []string, files ...*os.File) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := child.Command(context.Background(), path, args...)
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = files
	cmd.Dir = "/"
	return cmd, nil
}

func pidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot open process %d: %w", pid, err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}
