// Command podc-image is podc's helper for images: it links containers/storage and containers/image, so that podc need not.
// It is executed by podc and speaks the protocol of engine/imageapi.go: a reply or an ImageFailure as JSON on stdout,
// each ImageEvent as JSON lines on stderr.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/sirupsen/logrus"
	"go.podman.io/storage/pkg/reexec"

	"podc.example/podc/engine"
	"podc.example/podc/engine/images"
	"podc.example/podc/internal/fault"
)

func main() {
	// containers/storage unpacks layers in a child of this very program.
	if reexec.Init() {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one verb and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := &tool{stdin: stdin, events: &events{w: stderr}}
	logrus.SetOutput(stderr)
	logrus.SetFormatter(t.events)
	logrus.SetLevel(logrus.WarnLevel)
	reply, err := t.command(ctx, args)
	if err != nil {
		done, _ := json.Marshal(reply)
		reply = engine.ImageFailure{Fault: fault.Of(hinted(err)), Done: done}
	}
	if werr := json.NewEncoder(stdout).Encode(reply); werr != nil || err != nil {
		return 1
	}
	return 0
}

// tool is one execution of the program.
type tool struct {
	stdin  io.Reader
	events *events
	config images.Config
}

const usage = "usage: podc-image [--root DIR] [--runroot DIR] load|pull|ls|inspect|rm|tag|resolve|unpin|check|where ..."

// command parses the global flags, opens the store and runs the verb.
func (t *tool) command(ctx context.Context, args []string) (any, error) {
	flags := flag.NewFlagSet("podc-image", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&t.config.Root, "root", environment("PODC_ROOT", defaultRoot), "")
	flags.StringVar(&t.config.RunRoot, "runroot", environment("PODC_RUNROOT", defaultRunRoot), "")
	if err := parse(flags, args); err != nil {
		return nil, err
	}
	t.config.Private = t.config.Root != defaultRoot
	rest := flags.Args()
	if len(rest) == 0 {
		return nil, invalid("%s", usage)
	}
	verb, ok := verbs[rest[0]]
	if !ok {
		return nil, invalid("unknown verb %q; %s", rest[0], usage)
	}
	return verb(ctx, t, rest[1:])
}

const (
	defaultRoot    = "/var/lib/podc"
	defaultRunRoot = "/run/podc"
)

func environment(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return invalid("%s: %v", flags.Name(), err)
	}
	return nil
}

// invalid is an error in how the program was called.
func invalid(format string, args ...any) error {
	return fault.New(errdefs.ErrInvalidArgument, format, args...)
}

// with opens the store for one call.
func with[T any](t *tool, do func(*images.Store) (T, error)) (reply T, err error) {
	s, err := images.Open(t.config)
	if err != nil {
		return reply, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return do(s)
}

// withReserve is with for what removes or looks: it works on a full disk too. do must be idempotent.
func withReserve[T any](t *tool, do func(*images.Store) (T, error)) (reply T, err error) {
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

// events writes progress, and what the libraries log, as one JSON object a line.
type events struct {
	mu sync.Mutex
	w  io.Writer
}

func (e *events) say(ev engine.ImageEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	// A reader that has gone away does not stop the transfer.
	_ = json.NewEncoder(e.w).Encode(ev)
}

// Format makes an event of a log entry of containers/storage or containers/image.
func (e *events) Format(entry *logrus.Entry) ([]byte, error) {
	b, err := json.Marshal(engine.ImageEvent{ID: "log", Status: "Warning", Text: entry.Message})
	return append(b, '\n'), err
}

// words is a flag that may be given several times.
type words []string

func (w *words) String() string { return strings.Join(*w, ",") }

func (w *words) Set(s string) error {
	if !slices.Contains(*w, s) {
		*w = append(*w, s)
	}
	return nil
}
