package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// session is a podc command on a terminal of its own, at which a test types and reads.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	master *os.File
	done   chan struct{}

	mu   sync.Mutex // protects what follows
	seen string     // all that was shown
	read int        // up to where it was waited for
}

// onTerminal starts podc on a terminal of 80 by 24 characters.
func (s *stack) onTerminal(args ...string) *session {
	s.t.Helper()
	master, slave := openPty(s.t)
	defer slave.Close()
	in := &session{t: s.t, cmd: s.cmd(s.t.Context(), args...), master: master, done: make(chan struct{})}
	in.resize(80, 24)
	in.cmd.Env = append(in.cmd.Env, "TERM=xterm")
	in.cmd.Stdin, in.cmd.Stdout, in.cmd.Stderr = slave, slave, slave
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := in.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { master.Close() })
	go in.collect()
	go func() {
		in.cmd.Wait()
		close(in.done)
	}()
	return in
}

// openPty opens a pair of a terminal's two ends.
func openPty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var number int
	conn, err := master.SyscallConn()
	if err == nil {
		conn.Control(func(fd uintptr) {
			if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
				number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
			}
		})
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func (s *session) collect() {
	buf := make([]byte, 4096)
	for {
		n, err := s.master.Read(buf)
		s.mu.Lock()
		s.seen += string(buf[:n])
		s.mu.Unlock()
		if err != nil { // EIO: nobody has the other end any more
			return
		}
	}
}

// types types text.
func (s *session) types(text string) {
	s.t.Helper()
	if _, err := s.master.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// shows waits until text is shown after what was waited for before.
func (s *session) shows(text string) {
	s.t.Helper()
	eventually(s.t, 20*time.Second, func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		i := strings.Index(s.seen[s.read:], text)
		if i < 0 {
			return fmt.Errorf("%q is not shown in %q", text, s.seen[s.read:])
		}
		s.read += i + len(text)
		return nil
	})
}

// shown is everything that was shown.
func (s *session) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

func (s *session) resize(width, height uint16) {
	s.t.Helper()
	conn, err := s.master.SyscallConn()
	if err == nil {
		conn.Control(func(fd uintptr) {
			err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// modes are the local modes of the terminal, which a program that has the keys for itself changes.
func (s *session) modes() uint32 {
	s.t.Helper()
	conn, err := s.master.SyscallConn()
	var modes uint32
	if err == nil {
		conn.Control(func(fd uintptr) {
			var t *unix.Termios
			if t, err = unix.IoctlGetTermios(int(fd), unix.TCGETS); err == nil {
				modes = t.Lflag
			}
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return modes
}

// ends waits for the end of the command, which must have an exit code and leave the terminal as it was.
func (s *session) ends(code int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.cmd.Process.Kill()
		s.t.Fatalf("it does not end; it shows %q", s.shown())
	}
	if got := s.cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("it ends with code %d, want %d; it shows %q", got, code, s.shown())
	}
	if m := s.modes(); m&unix.ICANON == 0 || m&unix.ECHO == 0 || m&unix.ISIG == 0 {
		s.t.Errorf("the terminal's modes are left as %#x", m)
	}
}
