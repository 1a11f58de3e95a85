package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"podc.example/podc/engine"
	"podc.example/podc/internal/kernel"
)

const (
	// requestDeadline bounds one request on the socket.
	requestDeadline = 30 * time.Second
	// acceptPause is how long a monitor that is out of descriptors waits for one.
	acceptPause = 100 * time.Millisecond
)

// door is the monitor's socket. While it is shut nobody is told that there is a monitor.
type door struct {
	dir   string // of the monitor
	names *served
	log   func(msg string, args ...any)

	mu       sync.RWMutex // held for reading while a request is answered
	shut     bool
	listener *net.UnixListener
	socket   os.FileInfo // of listener
}

// open listens. Whoever holds the monitor's lock may replace a socket that is there: its owner is dead.
func (d *door) open() error {
	// A socket's path is limited to 108 bytes, a root's is not: the way through a descriptor always fits.
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	os.Remove(filepath.Join(d.dir, "sock"))
	path := kernel.FDPath(int(dir.Fd())) + "/sock"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("cannot listen in %s: %w", d.dir, err)
	}
	l.SetUnlinkOnClose(false) // path means nothing once dir is closed
	socket, err := os.Lstat(path)
	if err != nil {
		l.Close()
		return err
	}
	d.mu.Lock()
	d.shut, d.listener, d.socket = false, l, socket
	d.mu.Unlock()
	go d.accept(l)
	return nil
}

// close shuts the door, and returns when everybody who was let in has been answered.
func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = true
	if d.listener != nil {
		// Where the folder was deleted under this monitor, there may be the socket of another one by now.
		if path := filepath.Join(d.dir, "sock"); isFile(path, d.socket) {
			os.Remove(path)
		}
		d.listener.Close()
		d.listener = nil
	}
}

func isFile(path string, fi os.FileInfo) bool {
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(there, fi)
}

func (d *door) accept(l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.log("cannot accept a request", "err", err)
			pause(context.Background(), acceptPause)
			continue
		}
		go d.answer(conn)
	}
}

func (d *door) answer(conn *net.UnixConn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(requestDeadline))
	var req engine.MonitorRequest
	if json.NewDecoder(conn).Decode(&req) != nil {
		return // whoever it was has gone
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.shut {
		return // no answer is an answer: ask again, by then somebody else listens
	}
	var reply engine.MonitorReply
	ctx, cancel := context.WithTimeout(context.Background(), requestDeadline)
	defer cancel()
	switch req.Op {
	case "ping":
	case "serve":
		if err := d.names.serve(ctx, req.ID, true); err != nil {
			reply.Error = err.Error()
		}
	case "release":
		d.names.stop(req.ID)
	default:
		reply.Error = fmt.Sprintf("a monitor does not know how to %q", req.Op)
	}
	json.NewEncoder(conn).Encode(reply)
}

// Resolver answers names inside the namespaces of pods. netstack/dns has the one that counts.
type Resolver interface {
	// Serve returns when queries from the namespace of the attachment id are answered; what served it before is replaced.
	Serve(ctx context.Context, id string) error
	// Stop closes every socket in the namespace of the attachment; one that is not served is fine.
	Stop(id string)
}

// served remembers for whom the resolver works, and asks one thing at a time of it for each attachment.
type served struct {
	resolver Resolver
	mu       sync.Mutex
	ids      map[string]*attachment
}

type attachment struct {
	mu sync.Mutex // held while the resolver is asked
	on bool
}

func (s *served) of(id string) *attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.ids[id]
	if a == nil {
		a = &attachment{}
		s.ids[id] = a
	}
	return a
}

// serve has names answered for an attachment. It is anew for a start, since everything in the namespace may be new; for a pod that is
// found at work it does nothing if that is done already.
func (s *served) serve(ctx context.Context, id string, anew bool) error {
	a := s.of(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.on && !anew {
		return nil
	}
	err := s.resolver.Serve(ctx, id)
	a.on = err == nil
	return err
}

func (s *served) stop(id string) {
	a := s.of(id)
	a.mu.Lock()
	defer a.mu.Unlock()
	s.resolver.Stop(id)
	s.mu.Lock()
	delete(s.ids, id)
	s.mu.Unlock()
}
