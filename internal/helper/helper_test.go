package helper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

type question struct{ Text string }

type told struct{ Text string }

// TestMain makes this program a helper when it is asked something.
func TestMain(m *testing.M) {
	if os.Getenv("HELPER") == "" {
		os.Exit(m.Run())
	}
	os.Exit(Serve(context.Background(), Standard(), map[string]Verb{
		"echo": Answer(func(_ context.Context, c *Call, q question) (told, error) {
			rest, err := io.ReadAll(c.Stream)
			c.Tell(api.Progress{ID: "a", Text: "half way"})
			return told{q.Text + string(rest)}, err
		}),
		"half": Answer(func(_ context.Context, _ *Call, q question) (told, error) {
			return told(q), fault.Hint(fault.New(errdefs.ErrConflict, "only half"), "ask again")
		}),
		"file": Answer(func(_ context.Context, _ *Call, q question) (told, error) {
			b, err := os.ReadFile(q.Text)
			return told{string(b)}, err
		}),
		"die": func(context.Context, *Call) (any, error) {
			fmt.Fprintln(os.Stderr, "panic: at once")
			os.Exit(2)
			return nil, nil
		},
		"mumble": func(context.Context, *Call) (any, error) {
			fmt.Println("well")
			os.Exit(0)
			return nil, nil
		},
		"hang": func(ctx context.Context, _ *Call) (any, error) {
			ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
			defer stop()
			<-ctx.Done()
			return nil, ctx.Err()
		},
	}, os.Args[1:]))
}

func program(t *testing.T) Program {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Program{Path: exe, Dir: t.TempDir(), Env: map[string]string{"HELPER": "1"}, Deadline: time.Minute}
}

func TestAsk(t *testing.T) {
	p := program(t)
	var said []string
	var reply told
	q := Question{Verb: "echo", Request: question{"here "}, Stream: strings.NewReader("and there"), Tell: func(e api.Progress) { said = append(said, e.Text) }}
	if err := p.Ask(t.Context(), q, &reply); err != nil || reply.Text != "here and there" || len(said) != 1 || said[0] != "half way" {
		t.Errorf("%+v, %q, %v", reply, said, err)
	}
	err := p.Ask(t.Context(), Question{Verb: "half", Request: question{"this"}}, &reply)
	if !errdefs.IsConflict(err) || err.Error() != "only half" || fault.HintOf(err) != "ask again" || reply.Text != "this" {
		t.Errorf("%+v, %v", reply, err)
	}
	for verb, want := range map[string]string{"die": "panic: at once", "mumble": "cannot be read", "frobnicate": "frobnicate"} {
		if err := p.Ask(t.Context(), Question{Verb: verb}, &reply); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", verb, err)
		}
	}
	p.Path = filepath.Join(p.Dir, "absent")
	if err := p.Ask(t.Context(), q, &reply); err == nil || !strings.Contains(fault.HintOf(err), p.Dir) {
		t.Errorf("%v", err)
	}
}

// A helper ends with whoever asks, and its death is not taken for an answer.
func TestAskEnds(t *testing.T) {
	p := program(t)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if err := p.Ask(ctx, Question{Verb: "hang"}, nil); !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	p.Deadline = 50 * time.Millisecond
	if err := p.Ask(t.Context(), Question{Verb: "hang"}, nil); err == nil || !strings.Contains(err.Error(), "did not answer within 50ms") {
		t.Errorf("%v", err)
	}
}

// A descriptor of ours, as a shell makes of <(...), has another number in the helper.
func TestHandOver(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	fmt.Fprint(w, "through a pipe")
	w.Close()
	name := fmt.Sprintf("/dev/fd/%d", r.Fd())
	names, files := HandOver([]string{"a.yaml", "--file=" + name, name}, FirstFile)
	defer CloseAll(files)
	if len(files) != 2 || names[0] != "a.yaml" || names[1] != "--file=/dev/fd/4" || names[2] != "/dev/fd/5" {
		t.Fatalf("%q, %d files", names, len(files))
	}
	var reply told
	if err := program(t).Ask(t.Context(), Question{Verb: "file", Request: question{names[2]}, Files: files}, &reply); err != nil || reply.Text != "through a pipe" {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestLines(t *testing.T) {
	var got []string
	l := &Lines{Each: func(line []byte) { got = append(got, string(line)) }}
	for _, part := range []string{"a", "b\n\nc\nd", strings.Repeat("x", 1<<20)} {
		io.WriteString(l, part)
	}
	io.WriteString(l, "e")
	l.Flush()
	if want := []string{"ab", "", "c", "d" + strings.Repeat("x", 1<<20), "e"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%.40q", got)
	}
}
