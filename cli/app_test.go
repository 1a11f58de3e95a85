package cli

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

// globalsFor reads a command line of global flags in an environment.
func globalsFor(t *testing.T, line string, env map[string]string, tty bool) (g command.Globals, err error) {
	t.Helper()
	con, _, _ := show.BufferConsole()
	con.Env, con.ErrTTY = env, tty
	args := append(strings.Fields(line), "version")
	root := allCommands(con, args)
	w, err := command.Arguments(root, args)
	if err != nil {
		return g, err
	}
	app := root.App(con)
	app.Before = func(c *cli.Context) error {
		g, err = command.GlobalsOf(c, con)
		return err
	}
	return g, app.Run(w.Argv)
}

func TestAnsiAndProgress(t *testing.T) {
	type env = map[string]string
	for _, tt := range []struct {
		line  string
		env   env
		tty   bool
		want  show.ProgressStyle
		color bool // on a terminal
		err   string
	}{
		{line: "", want: show.ProgressPlain, color: true},
		{line: "", tty: true, want: show.ProgressTTY, color: true},
		{line: "--progress auto", tty: true, want: show.ProgressTTY, color: true},
		{line: "--ansi auto", tty: true, want: show.ProgressTTY, color: true},
		{line: "--ansi never", tty: true, want: show.ProgressPlain},
		{line: "--no-ansi", tty: true, want: show.ProgressPlain},
		{line: "--ansi always", want: show.ProgressTTY, color: true},
		{line: "--progress tty", want: show.ProgressTTY, color: true},
		{line: "--progress plain", tty: true, want: show.ProgressPlain, color: true},
		{line: "--progress json", tty: true, want: show.ProgressJSON, color: true},
		{line: "--progress quiet", tty: true, want: show.ProgressQuiet, color: true},
		{line: "--progress none", tty: true, want: show.ProgressQuiet, color: true},
		{line: "", env: env{"COMPOSE_PROGRESS": "json"}, tty: true, want: show.ProgressJSON, color: true},
		{line: "--progress plain", env: env{"COMPOSE_PROGRESS": "json"}, tty: true, want: show.ProgressPlain, color: true},
		{line: "", env: env{"COMPOSE_ANSI": "never"}, tty: true, want: show.ProgressPlain},
		{line: "--ansi always", env: env{"COMPOSE_ANSI": "never"}, want: show.ProgressTTY, color: true},
		{line: "", env: env{"NO_COLOR": "1"}, tty: true, want: show.ProgressTTY},
		{line: "--ansi always", env: env{"NO_COLOR": "1"}, want: show.ProgressTTY},
		{line: "--progress tty --ansi never", err: "--progress tty cannot be used with --ansi never"},
		{line: "--progress plain --ansi always", err: "--progress plain cannot be used with --ansi always"},
		{line: "--progress dots", err: `unknown --progress "dots"`},
		{line: "--ansi sometimes", err: `unknown --ansi "sometimes"`},
		{line: "", env: env{"COMPOSE_ANSI": "x"}, err: `unknown --ansi "x"`},
		{line: "--no-ansi --ansi always", err: "--no-ansi cannot be given together with --ansi"},
	} {
		g, err := globalsFor(t, tt.line, tt.env, tt.tty)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q in %v: %v", tt.line, tt.env, err)
			}
		case err != nil || g.Progress != tt.want || g.Color(true) != tt.color:
			t.Errorf("%q in %v: %s, colour %t, %v", tt.line, tt.env, g.Progress, g.Color(true), err)
		}
	}
}

func TestParallel(t *testing.T) {
	type env = map[string]string
	for _, tt := range []struct {
		line string
		env  env
		want int
		err  string
	}{
		{line: "", want: 0},
		{line: "--parallel 2", want: 2},
		{line: "--parallel -1", want: math.MaxInt32},
		{line: "", env: env{"COMPOSE_PARALLEL_LIMIT": "3"}, want: 3},
		{line: "--parallel 2", env: env{"COMPOSE_PARALLEL_LIMIT": "3"}, want: 2},
		{line: "", env: env{"COMPOSE_PARALLEL_LIMIT": "few"}, err: `COMPOSE_PARALLEL_LIMIT is "few"`},
	} {
		g, err := globalsFor(t, tt.line, tt.env, false)
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || tt.err == "" && (err != nil || g.Pulls != tt.want) {
			t.Errorf("%q in %v: %d, %v", tt.line, tt.env, g.Pulls, err)
		}
	}
}

func TestValuesOfLists(t *testing.T) {
	con, _, _ := show.BufferConsole()
	var got []string
	root := &command.Command{Name: "podc", Subcommands: []*command.Command{{
		Name: "exec", Needs: command.NoEngine, Flags: []*command.Flag{command.List("env", command.Variable, "", "e")},
		Run: func(_ *command.Session, c *cli.Context) error {
			got = c.StringSlice("env")
			return nil
		},
	}}}
	w, err := command.Arguments(root, []string{"exec", "-eA=1,2", "--env", " B=3 ", "-e", "C"})
	if err == nil {
		err = root.App(con).Run(w.Argv)
	}
	if want := []string{"A=1,2", " B=3 ", "C"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, want %q (%v)", got, want, err)
	}
}
