package conmon

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// listener stands in for conmon: a socket that keeps the bounds of messages.
func listener(t *testing.T) (string, *net.UnixListener) {
	t.Helper()
	dir := t.TempDir()
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: filepath.Join(dir, "attach"), Net: "unixpacket"})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { l.Close() })
	return dir, l
}

func TestStreamKeepsOutputAndErrorsApart(t *testing.T) {
	dir, l := listener(t)
	go func() {
		c, err := l.AcceptUnix()
		if err != nil {
			return
		}
		for _, message := range []string{"\x02out ", "\x03err", "\x02", "\x02more"} {
			c.Write([]byte(message))
		}
		c.Close()
	}()
	s, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs bytes.Buffer
	if err := s.Output(&out, &errs); err != nil || out.String() != "out more" || errs.String() != "err" {
		t.Errorf("%q %q %v", &out, &errs, err)
	}
}

func TestStreamCutsInputIntoMessages(t *testing.T) {
	dir, l := listener(t)
	got := make(chan []byte)
	go func() {
		defer close(got)
		c, err := l.AcceptUnix()
		for err == nil {
			b := make([]byte, 2*streamMessage)
			var n int
			if n, err = c.Read(b); err == nil && n > 0 {
				got <- b[:n]
			}
		}
	}()
	s, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	input := bytes.Repeat([]byte("0123456789"), 5000)
	go func() {
		s.Write(input)
		s.CloseWrite()
	}()
	var all []byte
	for b := range got {
		if len(b) > streamMessage-1 {
			t.Errorf("a message has %d bytes", len(b))
		}
		all = append(all, b...)
	}
	if !bytes.Equal(all, input) {
		t.Errorf("of %d bytes %d came", len(input), len(all))
	}
	s.Close()
}

func TestStreamEndsWithItsWriter(t *testing.T) {
	dir, l := listener(t)
	go func() {
		if c, err := l.AcceptUnix(); err == nil {
			c.Write([]byte("\x02x"))
		}
	}()
	s, err := Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	full := errors.New("full")
	if err := s.Output(failingWriter{full}, nil); !errors.Is(err, full) {
		t.Error(err)
	}
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestStreamResizes(t *testing.T) {
	dir := t.TempDir()
	s := &Stream{ctl: filepath.Join(dir, "ctl")}
	if err := unix.Mkfifo(s.ctl, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(s.ctl, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Nobody reads: it gives up, and the message stays.
	if err := s.Resize(80, 24); err != nil {
		t.Fatal(err)
	}
	var kind, height, width int
	if _, err := fmt.Fscan(f, &kind, &height, &width); err != nil || kind != 1 || height != 24 || width != 80 {
		t.Errorf("%d %d %d %v", kind, height, width, err)
	}
}

func TestStreamOfNothing(t *testing.T) {
	dir, l := listener(t)
	l.Close()
	if s, err := Dial(dir); err == nil || s != nil {
		t.Errorf("%v %v", s, err)
	}
}
