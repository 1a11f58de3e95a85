// Command podc-image is podc's helper for images: it links containers/storage and containers/image, so that podc need not.
// What it is asked is in package podcimage, and how, in package helper.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"go.podman.io/storage/pkg/reexec"

	"podc.example/podc/api"
	"podc.example/podc/engine/images"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
	"podc.example/podc/internal/podcimage"
)

func main() {
	// containers/storage unpacks layers in a child of this very program.
	if reexec.Init() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], helper.Standard())
	stop()
	os.Exit(code)
}

// run answers one question and returns the exit code.
func run(ctx context.Context, args []string, s helper.Streams) int {
	logrus.SetOutput(s.Stderr)
	logrus.SetFormatter(complaints{})
	logrus.SetLevel(logrus.WarnLevel)
	var t tool
	flags := flag.NewFlagSet(podcimage.Program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&t.config.Root, "root", defaultRoot, "")
	flags.StringVar(&t.config.RunRoot, "runroot", defaultRunRoot, "")
	if err := flags.Parse(args); err != nil {
		return helper.Fail(s.Stdout, invalid("%v", err))
	}
	t.config.Private = t.config.Root != defaultRoot
	return helper.Serve(ctx, s, t.verbs(), flags.Args())
}

// tool is one execution of the program.
type tool struct{ config images.Config }

const (
	defaultRoot    = "/var/lib/podc"
	defaultRunRoot = "/run/podc"
)

// invalid is an error in how the program was called.
func invalid(format string, args ...any) error {
	return fault.New(errdefs.ErrInvalidArgument, podcimage.Program+": "+format, args...)
}

// with opens the store for one call.
func with[T any](t tool, do func(*images.Store) (T, error)) (reply T, err error) {
	s, err := images.Open(t.config)
	if err != nil {
		return reply, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

// withReserve is with for what removes or looks: it works on a full disk too. do must be idempotent.
func withReserve[T any](t tool, do func(*images.Store) (T, error)) (reply T, err error) {
	err = images.WithReserve(t.config, func() (err error) {
		reply, err = with(t, do)
		return err
	})
	return reply, err
}

// hinted is err with what can be done about it, where its text does not say so.
func hinted(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission): // of a file
		return fault.Hint(err, "run podc as root")
	case errdefs.IsUnauthorized(err), errdefs.IsPermissionDenied(err): // of the registry
		return fault.Hint(err, "credentials are read from auth.json and ~/.docker/config.json: log in with podman, skopeo or docker")
	case errdefs.IsUnavailable(err):
		return fault.Hint(err, "check the network and the registry's name, or load the image from a file: podc load -i FILE")
	}
	return err
}

// complaints makes progress of what containers/storage and containers/image log.
type complaints struct{}

func (complaints) Format(entry *logrus.Entry) ([]byte, error) {
	b, err := json.Marshal(api.Progress{ID: podcimage.Complaint, Status: "Warning", Text: entry.Message})
	return append(b, '\n'), err
}
