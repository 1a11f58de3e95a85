package helper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"podc.example/podc/api"
)

// A helper that stays for a while is asked over a socket: a line with the verb, the request, and then what it would write on its
// standard error and output, line by line. Who hangs up wants no answer any more.

// maxLine bounds a line of an answer in bytes.
const maxLine = 64 << 20

// ErrHungUp says that a helper ended before it had heard the question, ErrDied that it did so afterwards.
var (
	ErrHungUp = errors.New("it hung up")
	ErrDied   = errors.New("it ended before it had answered")
)

// AskConn puts q, which has no stream and no files, to a helper at the other end of conn, and closes conn.
func AskConn(ctx context.Context, conn net.Conn, q Question, reply any) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	request, err := json.Marshal(q.Request)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "%s\n%s\n", q.Verb, request); err != nil {
		return fmt.Errorf("%w: %w", ErrHungUp, err)
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, maxLine)
	heard := false
	for lines.Scan() {
		heard = true
		var e api.Progress
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.ID != "" {
			if q.Tell != nil {
				q.Tell(e)
			}
			continue
		}
		a := answer{Reply: reply}
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return fmt.Errorf("an answer cannot be read: %w", err)
		}
		if a.Fault != nil {
			return a.Fault
		}
		return nil
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case heard:
		return ErrDied
	}
	return ErrHungUp
}

// ServeConn answers the question that comes by conn, and closes conn.
func ServeConn(ctx context.Context, conn net.Conn, verbs map[string]Verb) {
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := bufio.NewReader(conn)
	verb, err := in.ReadString('\n')
	if err != nil {
		return
	}
	request, err := in.ReadBytes('\n')
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // until the other end hangs up
		cancel(ErrHungUp)
	}()
	out := &serial{w: conn}
	Serve(ctx, Streams{Request: bytes.NewReader(request), Stdin: strings.NewReader(""), Stdout: out, Stderr: out}, verbs, []string{strings.TrimSuffix(verb, "\n")})
}

// serial is a writer for several goroutines.
type serial struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serial) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}
