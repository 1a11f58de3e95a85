package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/resolvconf"
)

const (
	perUpstream  = 2 * time.Second // for one upstream's answer
	perQuestion  = 5 * time.Second // for all of them
	upstreamPort = "53"
)

// ask forwards a query to its upstreams in turn until one answers. The answer is SERVFAIL if none does.
func (c *client) ask(network string, q *question) []byte {
	ctx, cancel := context.WithTimeout(c.ctx, perQuestion)
	defer cancel()
	for _, server := range q.upstreams {
		if answer, err := exchange(ctx, network, server, q); err == nil {
			return answer
		} else {
			c.log.Debug("upstream does not answer", "upstream", server, "err", err)
		}
	}
	return refusal(q)
}

// exchange asks one upstream, over the protocol that the client uses. Id and port are random and new, and the answer must be to
// this question.
func exchange(ctx context.Context, network, server string, q *question) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, perUpstream)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	id := uint16(rand.Uint32())
	wire := append([]byte(nil), q.wire...)
	binary.BigEndian.PutUint16(wire, id)
	if network == "tcp" {
		err = writeTCP(conn, wire)
	} else {
		_, err = conn.Write(wire)
	}
	for err == nil {
		var b []byte
		if b, err = readAnswer(conn, network); err == nil && answers(b, id, q.msg.Question[0]) {
			binary.BigEndian.PutUint16(b, q.msg.Id)
			return b, nil
		}
	}
	return nil, err
}

func readAnswer(conn net.Conn, network string) ([]byte, error) {
	if network == "tcp" {
		return readTCP(conn)
	}
	buf := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buf)
	return buf[:n], err
}

// answers reports whether b is an answer to a question asked with an id; others are forged or late.
func answers(b []byte, id uint16, q dns.Question) bool {
	m := new(dns.Msg)
	if m.Unpack(b) != nil || m.Id != id || !m.Response || len(m.Question) != 1 {
		return false
	}
	got := m.Question[0]
	return strings.EqualFold(got.Name, q.Name) && got.Qtype == q.Qtype && got.Qclass == q.Qclass
}

// readTCP reads a message with its length before it.
func readTCP(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeTCP(w io.Writer, b []byte) error {
	if len(b) > dns.MaxMsgSize {
		return errors.New("message too long")
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// upstreams are the name servers of the host, as its resolv.conf says at the moment.
type upstreams struct {
	conf     string // resolv.conf
	resolved string // where systemd-resolved lists the servers behind its stub

	mu   sync.Mutex // protects what follows
	seen [2]disk.Stamp
	list []string
}

func hostUpstreams() *upstreams {
	return &upstreams{conf: resolvconf.Path, resolved: "/run/systemd/resolve/resolv.conf"}
}

// get returns the servers with their ports. It reads the files again when they have changed.
func (u *upstreams) get() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	var now [2]disk.Stamp
	now[0], _ = disk.StampOf(u.conf)
	now[1], _ = disk.StampOf(u.resolved)
	if u.list != nil && now == u.seen {
		return u.list
	}
	servers := nameservers(u.conf)
	if isStub(servers) {
		if real := nameservers(u.resolved); len(real) > 0 {
			servers = real
		}
	}
	if len(servers) == 0 {
		servers = []string{"127.0.0.1"} // what resolv.conf(5) says
	}
	u.seen, u.list = now, withPort(servers)
	return u.list
}

// isStub reports whether the servers are only systemd-resolved's, which answer from its own point of view.
func isStub(servers []string) bool {
	return len(servers) > 0 && !slices.ContainsFunc(servers, func(s string) bool { return s != "127.0.0.53" && s != "127.0.0.54" })
}

func nameservers(path string) []string {
	conf, _ := resolvconf.Read(path)
	var out []string
	for _, a := range conf.Servers {
		out = append(out, a.String())
	}
	return out
}

func withPort(servers []string) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		out[i] = net.JoinHostPort(s, upstreamPort)
	}
	return out
}
