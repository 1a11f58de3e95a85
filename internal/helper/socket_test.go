package helper

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// dial connects to verbs that are served, each connection on its own; ended is closed when a connection is done with.
func dial(t *testing.T, verbs map[string]Verb) (conn net.Conn, ended chan struct{}) {
	t.Helper()
	here, there := net.Pipe()
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		ServeConn(t.Context(), there, verbs)
	}()
	return here, ended
}

func TestAskConn(t *testing.T) {
	verbs := map[string]Verb{
		"echo": Answer(func(_ context.Context, c *Call, q question) (told, error) {
			c.Tell(api.Progress{ID: "a", Text: "half way"})
			return told(q), nil
		}),
		"half": Answer(func(_ context.Context, _ *Call, q question) (told, error) {
			return told(q), fault.Hint(fault.New(errdefs.ErrConflict, "only half"), "ask again")
		}),
	}
	var reply told
	var said []string
	conn, ended := dial(t, verbs)
	q := Question{Verb: "echo", Request: question{"here\nand there"}, Tell: func(e api.Progress) { said = append(said, e.Text) }}
	if err := AskConn(t.Context(), conn, q, &reply); err != nil || reply.Text != "here\nand there" || len(said) != 1 || said[0] != "half way" {
		t.Errorf("%+v, %q, %v", reply, said, err)
	}
	<-ended
	conn, _ = dial(t, verbs)
	err := AskConn(t.Context(), conn, Question{Verb: "half", Request: question{"this"}}, &reply)
	if !errdefs.IsConflict(err) || fault.HintOf(err) != "ask again" || reply.Text != "this" {
		t.Errorf("%+v, %v", reply, err)
	}
	conn, _ = dial(t, verbs)
	if err := AskConn(t.Context(), conn, Question{Verb: "frobnicate"}, &reply); !errdefs.IsInvalidArgument(err) {
		t.Errorf("%v", err)
	}
}

// Who hangs up wants no answer any more.
func TestServeConnEndsWithWhoAsks(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	conn, ended := dial(t, map[string]Verb{"hang": func(ctx context.Context, _ *Call) (any, error) {
		cancel(enough)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if err := AskConn(ctx, conn, Question{Verb: "hang"}, nil); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	<-ended
}

// What ends before it heard the question can be asked again elsewhere, what ends later cannot.
func TestAskConnOfTheDead(t *testing.T) {
	here, there := net.Pipe()
	there.Close()
	if err := AskConn(t.Context(), here, Question{Verb: "echo"}, nil); !errors.Is(err, ErrHungUp) {
		t.Errorf("%v", err)
	}
	conn, _ := dial(t, map[string]Verb{"die": func(_ context.Context, c *Call) (any, error) {
		c.Tell(api.Progress{ID: "a"})
		c.events.(*serial).w.(net.Conn).Close()
		return nil, nil
	}})
	if err := AskConn(t.Context(), conn, Question{Verb: "die"}, nil); !errors.Is(err, ErrDied) {
		t.Errorf("%v", err)
	}
}
