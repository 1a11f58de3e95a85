package show

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

// Console is what a command sees of the world around it. Tests build their own.
type Console struct {
	In       io.Reader
	Out, Err io.Writer
	// Which of the three are terminals.
	InTTY, OutTTY, ErrTTY bool
	Env                   map[string]string
	// Standalone says that podc was called as docker-compose, and answers as that does.
	Standalone bool
	UID        int    // effective
	Dir        string // working directory
	// size is that of the terminal behind err; zero when there is none.
	size func() (width, height int)
	Exe  string // path of the running podc, beside which its helpers lie
	// Connect opens podc at its roots.
	Connect func(con *Console, root, runRoot string) (*control.Control, error)
	// Keyboard opens the terminal behind in for single keys.
	Keyboard func() (*Keyboard, error)
	// SecondSignal takes over what a second signal does: the channel is closed by it, and podc is not ended.
	SecondSignal func() <-chan struct{}
}

// SystemConsole is the console of this process.
func SystemConsole() *Console {
	dir, _ := os.Getwd()
	exe, _ := os.Executable()
	return &Console{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		InTTY: isTerminal(os.Stdin), OutTTY: isTerminal(os.Stdout), ErrTTY: isTerminal(os.Stderr),
		Env: environment(os.Environ()), UID: os.Geteuid(), Dir: dir, Exe: exe,
		Standalone: filepath.Base(os.Args[0]) == StandaloneName,
		size: func() (int, int) {
			w, h, err := term.GetSize(int(os.Stderr.Fd()))
			if err != nil {
				return 0, 0
			}
			return w, h
		},
		Keyboard: func() (*Keyboard, error) { return openKeyboard(os.Stdin) },
	}
}

const StandaloneName = "docker-compose"

// Program is the name that podc goes by.
func (c *Console) Program() string {
	if c.Standalone {
		return StandaloneName
	}
	return "podc"
}

// Terminal is podc's own terminal; nil if it has none.
func (c *Console) Terminal() *os.File {
	if f, ok := c.In.(*os.File); ok && c.InTTY {
		return f
	}
	if f, ok := c.Out.(*os.File); ok && c.OutTTY {
		return f
	}
	return nil
}

// TerminalSize is that of podc's own terminal in characters; zero if there is none.
func (c *Console) TerminalSize() (width, height int) {
	t := c.Terminal()
	if t == nil {
		return 0, 0
	}
	width, height, err := term.GetSize(int(t.Fd()))
	if err != nil {
		return 0, 0
	}
	return width, height
}

// NeedRoot refuses an ordinary user, in one sentence for every command: what each would fail at first says little.
func (c *Console) NeedRoot() error {
	if c.UID == 0 {
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

// IsTrue reads a boolean environment variable as docker does: anything that is not a boolean is false.
func (c *Console) IsTrue(name string) bool {
	switch strings.ToLower(c.Env[name]) {
	case "1", "t", "true", "y", "yes":
		return true
	}
	return false
}

// Printable makes text from elsewhere (logs, names, errors of other programs) harmless on a terminal: escape sequences and
// control characters are dropped, but for tab and newline.
func Printable(s string) string {
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

// Helper is a program that lies beside podc, run as podc was.
func (c *Console) Helper(name string, deadline time.Duration) helper.Program {
	return helper.Program{Path: filepath.Join(filepath.Dir(c.Exe), name), Dir: c.Dir, Env: c.Env, Deadline: deadline}
}

// ReadStdin reads all of the standard input, up to limit bytes.
func ReadStdin(con *Console, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(bufio.NewReader(con.In), limit+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the standard input: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fault.New(errdefs.ErrInvalidArgument, "standard input holds more than %s", Size(limit))
	}
	return b, nil
}

func Warn(con *Console, message string) {
	fmt.Fprintf(con.Err, "warning: %s\n", Printable(message))
}

// BufferConsole is one without terminals, whose output is kept.
func BufferConsole() (con *Console, out, err *bytes.Buffer) {
	out, err = &bytes.Buffer{}, &bytes.Buffer{}
	return &Console{In: strings.NewReader(""), Out: out, Err: err, Env: map[string]string{}, Dir: "/src",
		Exe: "/nowhere/podc", size: func() (int, int) { return 80, 24 }}, out, err
}
