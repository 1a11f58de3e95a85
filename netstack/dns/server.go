// Package dns answers the name queries of pods at 127.0.0.11. It holds nothing that could be lost: names are the record files
// that netstack writes, read again as they change, and the sockets are opened anew at the same ports by whoever serves next.
//
// A pod sees the names of the networks that it is on, its links, and through the host's servers the rest of the world;
// on internal networks only, nothing is ever asked outside.
package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"podc.example/podc/netstack"
)

const (
	maxForwards = 64              // queries of one attachment that wait for an upstream; more are answered SERVFAIL
	maxConns    = 32              // TCP connections of one attachment; more are closed at once
	tcpIdle     = 5 * time.Second // a TCP connection that asks nothing for so long is closed
	acceptPause = 100 * time.Millisecond
)

// Server serves any number of attachments. It must run in the host's network namespace: that is from where upstream servers
// are asked.
type Server struct {
	stack *netstack.Stack
	log   *slog.Logger
	names *names
	hosts *upstreams

	mu      sync.Mutex // protects clients
	clients map[string]*client
}

// New returns a server that serves nobody yet.
func New(stack *netstack.Stack, log *slog.Logger) (*Server, error) {
	n, err := openNames(stack.NamesDir())
	if err != nil {
		return nil, fmt.Errorf("cannot watch names: %w", err)
	}
	return &Server{stack: stack, log: log, names: n, hosts: hostUpstreams(), clients: map[string]*client{}}, nil
}

// Serve answers the queries of an attachment until Stop or Close. It returns as soon as its sockets are open and the redirect
// in its namespace leads to them, so that no query is lost that is asked afterwards. Serving an attachment again, as after
// its restart, replaces what was.
func (s *Server) Serve(ctx context.Context, id string) error {
	// The old sockets stay open until the new ones are there, so that a query is always answered: networks of a running pod may
	// have changed.
	socks, err := s.stack.ListenDNS(ctx, id)
	if err != nil {
		return err
	}
	s.Stop(id)
	c, err := s.newClient(id, socks)
	if err != nil {
		socks.Close()
		return fmt.Errorf("cannot serve names to attachment %s: %w", id, err)
	}
	s.mu.Lock()
	s.clients[id] = c
	s.mu.Unlock()
	c.running.Go(c.serveUDP)
	c.running.Go(c.serveTCP)
	return nil
}

// Stop closes the sockets of an attachment, which would keep its namespace alive, and returns when they are closed. One that is
// not served is no error.
func (s *Server) Stop(id string) {
	s.mu.Lock()
	c := s.clients[id]
	delete(s.clients, id)
	s.mu.Unlock()
	if c != nil {
		c.stop()
	}
}

// Serving returns the ids that are served.
func (s *Server) Serving() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.clients))
}

// Close stops everything.
func (s *Server) Close() {
	for _, id := range s.Serving() {
		s.Stop(id)
	}
	s.names.close()
}

// client is one attachment that is served.
type client struct {
	id    string
	view  view
	socks netstack.DNSSockets
	log   *slog.Logger

	ctx     context.Context // ends with stop
	cancel  context.CancelFunc
	running sync.WaitGroup // what holds sockets of the namespace
	forward chan struct{}  // tokens of maxForwards

	mu    sync.Mutex // protects conns
	conns map[net.Conn]bool
}

func (s *Server) newClient(id string, socks netstack.DNSSockets) (*client, error) {
	a, err := s.stack.Attachment(id)
	if err != nil {
		return nil, err
	}
	v, err := s.viewOf(a)
	if err != nil {
		return nil, err
	}
	c := &client{id: id, view: v, socks: socks, log: s.log.With("attachment", id),
		forward: make(chan struct{}, maxForwards), conns: map[net.Conn]bool{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

func (c *client) stop() {
	c.cancel()
	c.socks.Close()
	c.mu.Lock()
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.running.Wait()
}

// serveUDP answers what it can at once; only what must be asked elsewhere gets a goroutine.
func (c *client) serveUDP() {
	buf := make([]byte, 4096)
	for {
		n, from, err := c.socks.UDP.ReadFromUDPAddrPort(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.log.Debug("cannot read a query", "err", err) // such as a bounced answer
			continue
		}
		reply := func(b []byte) {
			if b != nil {
				c.socks.UDP.WriteToUDPAddrPort(b, from)
			}
		}
		answer, ask := c.view.handle(buf[:n], false)
		if ask == nil {
			reply(answer)
			continue
		}
		if !c.limited(func() { reply(c.ask("udp", ask)) }) {
			reply(refusal(ask))
		}
	}
}

// limited runs f in a goroutine unless too many run already.
func (c *client) limited(f func()) bool {
	select {
	case c.forward <- struct{}{}:
		go func() {
			defer func() { <-c.forward }()
			f()
		}()
		return true
	default:
		return false
	}
}

func (c *client) serveTCP() {
	for {
		conn, err := c.socks.TCP.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.log.Warn("cannot accept a connection", "err", err)
			select { // this process is short of descriptors: give it time to get some back
			case <-c.ctx.Done():
				return
			case <-time.After(acceptPause):
			}
			continue
		}
		if c.track(conn) {
			c.running.Go(func() { c.serveConn(conn) })
		} else {
			conn.Close()
		}
	}
}

// track notes a connection, so that stop closes it; false if there are too many or the client is stopped.
func (c *client) track(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.conns) >= maxConns || c.ctx.Err() != nil {
		return false
	}
	c.conns[conn] = true
	return true
}

func (c *client) serveConn(conn net.Conn) {
	defer func() {
		conn.Close()
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
	}()
	for {
		conn.SetDeadline(time.Now().Add(tcpIdle))
		query, err := readTCP(conn)
		if err != nil {
			return
		}
		answer, ask := c.view.handle(query, true)
		if ask != nil {
			answer = c.ask("tcp", ask)
		}
		if answer == nil {
			return
		}
		conn.SetDeadline(time.Now().Add(tcpIdle))
		if err := writeTCP(conn, answer); err != nil {
			return
		}
	}
}
