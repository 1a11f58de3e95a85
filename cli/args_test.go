package cli

import (
	"strings"
	"testing"

	"github.com/containerd/errdefs"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

func TestArguments(t *testing.T) {
	con, _, _ := show.BufferConsole()
	for _, tt := range []struct{ in, want string }{
		{"", "podc"},
		{"up", "podc up"},
		{"up -d", "podc up --detach=true"},
		{"up web -d", "podc up --detach=true -- web"},
		{"up web -d db --wait", "podc up --detach=true --wait=true -- web db"},
		{"up -dV", "podc up --detach=true --renew-anon-volumes=true"},
		{"up -dfX", "podc --file=X up --detach=true"},
		{"up -dt5 web", "podc up --detach=true --timeout=5 -- web"},
		{"up -dt=5", "podc up --detach=true --timeout=5"},
		{"up --timeout -1", "podc up --timeout=-1"},
		{"up --no-color=false", "podc up --no-color=false"},
		{"up --scale web=3 --scale=db=1", "podc up --scale=web=3 --scale=db=1"},
		{"up -- -d web", "podc up -- -d web"},
		{"up web -- -d", "podc up -- web -d"},
		{"up --y", "podc up --yes=true"},

		// Global flags before and after the command.
		{"-f a.yaml -f b.yaml up", "podc --file=a.yaml --file=b.yaml up"},
		{"-fa.yaml -p x up", "podc --file=a.yaml --project-name=x up"},
		{"up -f compose.yaml -p x", "podc --file=compose.yaml --project-name=x up"},
		{"up -f - web", "podc --file=- up -- web"},
		{"up --profile a web --profile b", "podc --profile=a --profile=b up -- web"},
		{"up --dry-run", "podc --dry-run=true up"},
		{"--env-file A=1,2 up", "podc --env-file=A=1,2 up"},
		{"image ls --root /x", "podc --root=/x image ls"},
		{"-- up", "podc up"},
		{"-- up web", "podc up -- web"},
		{"--workdir /w up", "podc --project-directory=/w up"},
		{"--no-ansi up", "podc --ansi=never up"},
		{"--verbose --log-level debug -D -H x up", "podc --verbose=true --log-level=debug --debug=true --host=x up"},

		// Where the command has a flag of that name, its own counts.
		{"logs -f", "podc logs --follow=true"},
		{"-f c.yaml logs -f", "podc --file=c.yaml logs --follow=true"},
		{"logs -fn 5 -t web", "podc logs --follow=true --tail=5 --timestamps=true -- web"},
		{"rm -f", "podc rm --force=true"},
		{"rm -fsv web", "podc rm --force=true --stop=true --volumes=true -- web"},
		{"version -f json", "podc version --format=json"},
		{"down -v", "podc down --volumes=true"},
		{"down --volume", "podc down --volumes=true"},
		{"image rm -f x", "podc image rm --force=true -- x"},

		// exec ends its flags at the first argument.
		{"exec web ls -l", "podc exec -- web ls -l"},
		{"exec -it web sh -c x", "podc exec --interactive=true --tty=true -- web sh -c x"},
		{"exec -eA=1 web env", "podc exec --env=A=1 -- web env"},
		{"exec -e A=1,2 -e=B=2 --env C=3 web env -e", "podc exec --env=A=1,2 --env=B=2 --env=C=3 -- web env -e"},
		{"exec -Tu0:0 web id", "podc exec --no-tty=true --user=0:0 -- web id"},
		{"exec --no-TTY web id", "podc exec --no-tty=true -- web id"},
		{"exec -f c.yaml web ls -f", "podc --file=c.yaml exec -- web ls -f"},
		{"exec -- web ls --help", "podc exec -- web ls --help"},
		{"exec web -- ls", "podc exec -- web -- ls"},

		{"convert -q", "podc config --quiet=true"},
		{"alpha viz --image", "podc viz --image=true"},
		{"-p x alpha viz", "podc --project-name=x viz"},
		{"alpha dry-run -- up -d web", "podc --dry-run=true up --detach=true -- web"},
		{"alpha dry-run up", "podc --dry-run=true up"},
		{"alpha", "error: alpha needs a command"},
		{"alpha up", "error: unknown podc command: \"alpha up\""},
		{"--version", "podc version"},
		{"-v", "podc version"},
		{"help", "podc --help=true"},
		{"--help", "podc --help=true"},
		{"help up", "podc up --help=true"},
		{"-f ps up -d", "podc --file=ps up --detach=true"},
		{"-p x up -dh web", "podc up --help=true"},
		{"image --help", "podc image --help=true"},
		{"-", "error: unknown podc command: \"-\""},
		{"versio", "error: unknown podc command: \"versio\""},
		{"image lss", "error: unknown podc command: \"image lss\""},
		{"run -eA=1 --no-TTY web sh -c -e", "podc run --env=A=1 --no-tty=true -- web sh -c -e"},
		{"run --volumes a:/b --labels x=y web", "podc run --volume=a:/b --label=x=y -- web"},
		{"watch web", "error: \"podc watch\" is not available yet"},
		{"up --nope", "error: unknown flag: --nope"},
		{"up -dX", "error: unknown shorthand flag: \"X\" in -dX"},
		{"up -v", "error: unknown shorthand flag: \"v\" in -v"},
		{"--detach up", "error: unknown flag: --detach"},
		{"up --f x", "error: unknown flag: --f"},
		{"up -t", "error: flag needs an argument: -t"},
		{"-f", "error: flag needs an argument: -f"},
		{"up --detach=maybe", "error: invalid value \"maybe\" for --detach: want true or false"},
		{"up -t soon", "error: invalid value \"soon\" for -t: want a whole number"},
		{"--workdir a --project-directory b up", "error: --workdir cannot be given together with --project-directory"},
		{"--no-ansi --ansi always up", "error: --no-ansi cannot be given together with --ansi"},
	} {
		w, err := command.Arguments(allCommands(con, strings.Fields(tt.in)), strings.Fields(tt.in))
		got := strings.Join(w.Argv, " ")
		if err != nil {
			got = "error: " + err.Error()
			if !errdefs.IsInvalidArgument(err) && !errdefs.IsNotImplemented(err) {
				t.Errorf("podc %s: class of %v", tt.in, err)
			}
		}
		if got != tt.want {
			t.Errorf("podc %s\n got %s\nwant %s", tt.in, got, tt.want)
		}
	}
}

func TestArgumentsKeepValues(t *testing.T) {
	con, _, _ := show.BufferConsole()
	args := []string{"exec", "-e", "A= b, c ", "--env=", "web", "", "a b"}
	w, err := command.Arguments(allCommands(con, args), args)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"podc", "exec", "--env=A= b, c ", "--env=", "--", "web", "", "a b"}
	if strings.Join(w.Argv, "|") != strings.Join(want, "|") {
		t.Errorf("got %q", w.Argv)
	}
}

func TestArgumentsWarn(t *testing.T) {
	con, _, _ := show.BufferConsole()
	for in, want := range map[string]string{
		"--workdir /w up":   "--workdir is deprecated: use --project-directory",
		"--no-ansi up":      "--no-ansi is deprecated: use --ansi never",
		"down --volume":     "--volume is deprecated: use --volumes",
		"up --y":            "--y is deprecated: use --yes",
		"exec --no-TTY a b": "",
	} {
		w, err := command.Arguments(allCommands(con, strings.Fields(in)), strings.Fields(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(w.Warnings, "; "); got != want {
			t.Errorf("podc %s: warnings %q, want %q", in, got, want)
		}
	}
}

// FuzzArguments: whatever is typed, the rewritten line parses, and operands are neither lost nor invented.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{"up\x00-d\x00web", "exec\x00-eA=1\x00web\x00ls", "-f\x00x\x00logs\x00-f", "up\x00--\x00-d", "-\x80=é", "-\xb2"} {
		f.Add(s)
	}
	con, _, _ := show.BufferConsole()
	f.Fuzz(func(t *testing.T, line string) {
		in := strings.Split(line, "\x00")
		w, err := command.Arguments(allCommands(con, in), in)
		if err != nil {
			return
		}
		if len(w.Argv) == 0 || w.Argv[0] != "podc" {
			t.Fatalf("%q: %q", in, w.Argv)
		}
		given := strings.Join(in, "\x00")
		dashes := false
		for _, word := range w.Argv {
			if dashes && !strings.Contains(given, word) {
				t.Fatalf("%q: invented operand %q", in, word)
			}
			dashes = dashes || word == "--"
		}
	})
}

func TestCalledAsDockerCompose(t *testing.T) {
	for _, tt := range []struct{ in, out, err string }{
		{"version", "Docker Compose version v" + command.ComposeVersion + "\n", ""},
		{"-v", "Docker Compose version v" + command.ComposeVersion + "\n", ""},
		{"version --short", command.ComposeVersion + "\n", ""},
		{"version -f json", `{"version":"v` + command.ComposeVersion + `"}` + "\n", ""},
		{"--verbose -D --log-level debug version --short", command.ComposeVersion + "\n", ""},
		{"-H unix:///x --context c --tls --tlsverify --tlscacert a --tlscert b --tlskey c version --short", command.ComposeVersion + "\n",
			"--host --context --tls --tlsverify --tlscacert --tlscert --tlskey ignored"},
		{"nonsense", "", `unknown docker command: "compose nonsense"`},
	} {
		con, out, stderr := show.BufferConsole()
		con.Standalone = true
		code := runHere(t.Context(), con, strings.Fields(tt.in))
		if out.String() != tt.out || !strings.Contains(stderr.String(), tt.err) || (code != 0) != (tt.out == "") {
			t.Errorf("docker-compose %s: code %d, %q, %q", tt.in, code, out, stderr)
		}
	}
	con, out, _ := show.BufferConsole()
	con.Standalone = true
	if code := runHere(t.Context(), con, nil); code != 0 || !strings.Contains(out.String(), "docker-compose") || strings.Contains(out.String(), "podc -") {
		t.Errorf("help: code %d, %q", code, out)
	}
}
