// Command compare runs a command beside docker compose and a Docker engine that lives only as long as it does. The engine has a
// network namespace, mounts, a data root and a socket of its own, and nothing of it is installed: it comes from Debian's packages,
// unpacked in a cache, and docker compose from its Go module.
//
//	go run ./internal/compare COMMAND ARGS...
//
// COMMAND finds the engine in DOCKER_HOST and docker compose as docker-compose on its PATH. It needs root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"podc.example/podc/internal/testimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command []string) error {
	if len(command) == 0 {
		return errors.New("say what to run, as compare COMMAND ARG")
	}
	cache, err := testimage.CacheDir()
	if err != nil {
		return err
	}
	compose, err := dockerCompose(ctx, cache)
	if err != nil {
		return err
	}
	debian, err := dockerEngine(ctx, cache)
	if err != nil {
		return err
	}
	e, err := startEngine(ctx, debian)
	if err != nil {
		return err
	}
	os.Setenv("DOCKER_HOST", "unix://"+e.socket)
	os.Setenv("PATH", filepath.Dir(compose)+":"+os.Getenv("PATH"))
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return errors.Join(cmd.Run(), e.stop())
}
