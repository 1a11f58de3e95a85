package conmon

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/kernel"
)

// Stream is a connection to the input and output of a pod's container, through the socket of its conmon. Several may be open
// at once: each sees the output written since it was opened. A Stream may be read by one goroutine and written by another.
type Stream struct {
	conn *net.UnixConn
	ctl  string // conmon's control FIFO
	// Held, if not nil, is let go of with the stream.
	Held *disk.Lock
	buf  [streamMessage]byte
}

// streamMessage bounds one message in either direction: conmon's own buffer, and a byte that says which stream it is of.
const streamMessage = 8<<10 + 1

// Dial opens a stream to the container of a bundle.
func Dial(bundle string) (*Stream, error) {
	// A socket path is limited to 108 bytes, a root's is not: the way through the folder's descriptor always fits.
	dir, err := os.Open(bundle)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := kernel.FDPath(int(dir.Fd())) + "/attach"
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("conmon does not answer: %w", errors.Unwrap(err))
	}
	return &Stream{conn: conn, ctl: filepath.Join(bundle, "ctl")}, nil
}

// Output passes what the container writes to out and err (with a terminal, everything to out) until it has ended, the stream
// is closed or a writer fails, whose error it returns.
func (s *Stream) Output(out, err io.Writer) error {
	const stderr = 3 // conmon's number for it; everything else is standard output
	for {
		n, readErr := s.conn.Read(s.buf[:])
		if readErr != nil {
			if errors.Is(readErr, io.EOF) || errors.Is(readErr, net.ErrClosed) || errors.Is(readErr, unix.ECONNRESET) {
				return nil
			}
			return readErr
		}
		if n < 2 {
			continue
		}
		w := out
		if s.buf[0] == stderr {
			w = err
		}
		if _, err := w.Write(s.buf[1:n]); err != nil {
			return err
		}
	}
}

// Write sends b to the container's standard input, or its terminal.
func (s *Stream) Write(b []byte) (n int, err error) {
	for n < len(b) {
		part := b[n:min(len(b), n+streamMessage-1)]
		if _, err := s.conn.Write(part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// CloseWrite ends the container's standard input, if the pod's spec says StdinOnce and it has no terminal.
func (s *Stream) CloseWrite() error { return s.conn.CloseWrite() }

// Resize tells the container's terminal its size, in characters.
func (s *Stream) Resize(width, height int) error {
	f, err := os.OpenFile(s.ctl, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = fmt.Fprintf(f, "1 %d %d\n", height, width); err != nil {
		return err
	}
	// conmon heeds only the first of two messages that it reads at once, and the last size is the one that counts.
	for late := time.Now().Add(resizePatience); time.Now().Before(late); <-time.After(100 * time.Microsecond) {
		if unread, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCINQ); err != nil || unread == 0 {
			return err
		}
	}
	return nil
}

// resizePatience is how long conmon may take to read a message: it is busy while somebody does not read the output.
const resizePatience = 100 * time.Millisecond

// Close lets go of the container, which goes on.
func (s *Stream) Close() error {
	s.Held.Unlock()
	return s.conn.Close()
}
