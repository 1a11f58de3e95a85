package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"golang.org/x/term"

	"podc.example/podc/control"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/helper"
)

// console is what a command sees of the world around it. Tests build their own.
type console struct {
	in       io.Reader
	out, err io.Writer
	// Which of the three are terminals.
	inTTY, outTTY, errTTY bool
	env                   map[string]string
	// standalone says that podc was called as docker-compose, and answers as that does.
	standalone bool
	uid        int    // effective
	dir        string // working directory
	// size is that of the terminal behind err; zero when there is none.
	size func() (width, height int)
	exe  string // path of the running podc, beside which its helpers lie
	// connect opens podc at its roots.
	connect func(con *console, root, runRoot string) (*control.Control, error)
	// keyboard opens the terminal behind in for single keys.
	keyboard func() (*keyboard, error)
	// secondSignal takes over what a second signal does: the channel is closed by it, and podc is not ended.
	secondSignal func() <-chan struct{}
}

// systemConsole is the console of this process.
func systemConsole() *console {
	dir, _ := os.Getwd()
	exe, _ := os.Executable()
	return &console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY: isTerminal(os.Stdin), outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
		env: environment(os.Environ()), uid: os.Geteuid(), dir: dir, exe: exe,
		standalone: filepath.Base(os.Args[0]) == standaloneName,
		size: func() (int, int) {
			w, h, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0, 0
			}
			return w, h
		},
		keyboard: func() (*keyboard, error) { return openKeyboard(os.Stdin) },
	}
}

const standaloneName = "docker-compose"

// program is the name that podc goes by.
func (c *console) program() string {
	if c.standalone {
		return standaloneName
	}
	return "podc"
}

// terminal is podc's own terminal; nil if it has none.
func (c *console) terminal() *os.File {
	if f, ok := c.in.(*os.File); ok && c.inTTY {
		return f
	}
	if f, ok := c.out.(*os.File); ok && c.outTTY {
		return f
	}
	return nil
}

// terminalSize is that of podc's own terminal in characters; zero if there is none.
func (c *console) terminalSize() (width, height int) {
	t := c.terminal()
	if t == nil {
		return 0, 0
	}
	width, height, err := term.GetSize(int(t.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// needRoot refuses an ordinary user, in one sentence for every command: what each would fail at first says little.
func (c *console) needRoot() error {
	if c.uid == 0 {
		return nil
	}
	return fault.New(errdefs.ErrPermissionDenied, "permission denied: podc runs as root (with sudo, for example) until it serves ordinary users (rootless)")
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// environment is environ as a map, without "_", which shells set to the program they run: were it part of what memos depend
// on, the same command under time(1) would be another question.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "_" {
			env[k] = v
		}
	}
	return env
}

// isTrue reads a boolean environment variable as docker does: anything that is not a boolean is false.
func (c *console) isTrue(name string) bool {
	switch strings.ToLower(c.env[name]) {
	case "1", "t", "true", "y", "yes":
		return true
	}
	return false
}

// printable makes text from elsewhere (logs, names, errors of other programs) harmless on a terminal: escape sequences and
// control characters are dropped, but for tab and newline.
func printable(s string) string {
	clean := strings.IndexFunc(s, unprintable) < 0
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return -1
		}
		return r
	}, stripEscapes(s))
}

func unprintable(r rune) bool {
	return (r < 0x20 && r != '\t' && r != '\n') || (r >= 0x7f && r <= 0x9f)
}

// helper is a program that lies beside podc, run as podc was.
func (c *console) helper(name string, deadline time.Duration) helper.Program {
	return helper.Program{Path: filepath.Join(filepath.Dir(c.exe), name), Dir: c.dir, Env: c.env, Deadline: deadline}
}

// readStdin reads all of the standard input, up to limit bytes.
func readStdin(con *console, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(con.in), limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the standard input: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fault.New(errdefs.ErrInvalidArgument, "standard input holds more than %s", size(limit))
	}
	return b, nil
}

func warn(con *console, message string) {
	fmt.Fprintf(con.err, "warning: %s\n", printable(message))
}

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return fault.New(errdefs.ErrInvalidArgument, format, args...)
}

// bufferConsole is one without terminals, whose output is kept.
func bufferConsole() (con *console, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	return &console{in: strings.NewReader(""), out: out, err: err, env: map[string]string{}, dir: "/src",
		exe: "/nowhere/podc", size: func() (int, int) { return 80, 24 }}, out, err
}
