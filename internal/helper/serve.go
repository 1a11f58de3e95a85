package helper

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// requestFile is the descriptor of the request.
const requestFile = 3

// Call is one question as a helper gets it.
type Call struct {
	Stream io.Reader // the standard input

	request io.Reader
	mu      sync.Mutex // protects events
	events  io.Writer
}

// Tell says how far the work is. A reader that has gone away does not stop it.
func (c *Call) Tell(e api.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = json.NewEncoder(c.events).Encode(e)
}

// Verb answers a question. A reply beside an error is what was done by then.
type Verb func(ctx context.Context, c *Call) (reply any, err error)

// Answer is a verb whose request is a Q.
func Answer[Q, R any](do func(ctx context.Context, c *Call, req Q) (R, error)) Verb {
	return func(ctx context.Context, c *Call) (any, error) {
		var req Q
		if err := json.NewDecoder(c.request).Decode(&req); err != nil {
			return nil, fault.New(errdefs.ErrInvalidArgument, "cannot decode the request: %w", err)
		}
		return do(ctx, c, req)
	}
}

// Streams are what a question comes by, and its answer.
type Streams struct {
	Request, Stdin io.Reader
	Stdout, Stderr io.Writer
}

// Standard are the streams of this process.
func Standard() Streams {
	syscall.CloseOnExec(requestFile)
	return Streams{os.NewFile(requestFile, "request"), os.Stdin, os.Stdout, os.Stderr}
}

// Serve answers the question for which this process was executed with args, and returns the exit code.
func Serve(ctx context.Context, s Streams, verbs map[string]Verb, args []string) int {
	var verb Verb
	if len(args) == 1 {
		verb = verbs[args[0]]
	}
	if verb == nil {
		return Fail(s.Stdout, fault.New(errdefs.ErrInvalidArgument, "podc calls this program, with one of %s, not %q",
			strings.Join(slices.Sorted(maps.Keys(verbs)), ", "), strings.Join(args, " ")))
	}
	reply, err := verb(ctx, &Call{Stream: s.Stdin, request: s.Request, events: s.Stderr})
	if json.NewEncoder(s.Stdout).Encode(answer{reply, fault.Of(err)}) != nil {
		return 1
	}
	return fault.ExitOf(err)
}

// Fail answers with nothing but err, and returns the exit code.
func Fail(stdout io.Writer, err error) int {
	_ = json.NewEncoder(stdout).Encode(answer{Fault: fault.Of(err)}) // the exit code tells as well
	return fault.ExitOf(err)
}
