package cli

import (
	"strings"
	"testing"

	"podc.example/podc/api"
	"podc.example/podc/cli/show"
	"podc.example/podc/internal/podccompose"
	"podc.example/podc/project"
)

// completions are the words offered for a line, whose last word is being typed.
func completions(t *testing.T, con *show.Console, out interface {
	String() string
	Reset()
}, line string) string {
	t.Helper()
	out.Reset()
	if code := runHere(t.Context(), con, append([]string{completeWord}, strings.Split(line, " ")...)); code != 0 {
		t.Fatalf("code %d", code)
	}
	var words []string
	for l := range strings.Lines(out.String()) {
		word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestComplete(t *testing.T) {
	con, out, _ := show.BufferConsole()
	h := newFakeHelper(t, con, "podc-compose")
	var web project.Service
	web.Name, web.Pod = "web", api.PodSpec{Name: "p-web"}
	h.answer(t, podccompose.LoadReply{Desired: &project.Desired{Name: "p", Services: []project.Service{web}, Disabled: []string{"admin", "worker"}}})
	for _, tt := range []struct{ line, want string }{
		{"do", "down doctor"},
		{"system ", "check info"},
		{"system ch", "check"},
		{"up --force", "--force-recreate"},
		{"up --project", "--project-name --project-directory"},
		{"--ansi ", "never always auto"},
		{"--ansi n", "never"},
		{"--ansi=n", "--ansi=never"},
		{"--ansi = n", "never"},
		{"--ansi =", "never always auto"},
		{"up --pull ", "always missing never"},
		{"ps --format ", "table json"},
		{"version --format ", "pretty json"},
		{"config --format ", "yaml json"},
		{"up -d w", "web worker"},
		{"up web ", "admin web worker"},
		{"up -- w", "web worker"},
		{"up -t 5 a", "admin"},
		{"-f x.yaml logs -n 5 w", "web worker"},
		{"up --scale w", "web= worker= :nospace"},
		{"up --exit-code-from w", "web worker"},
		{"exec w", "web worker"},
		{"exec -e A=1 w", "web worker"},
		{"exec web l", ""},
		{"-f ", ":files"},
		{"load -i ", ":files"},
		{"completion ", "bash zsh fish"},
		{"completion bash ", ""},
		{"down --rmi ", "local all"},
		{"down --rmi=a", "--rmi=all"},
		{"kill -s SIGU", "SIGUSR1 SIGUSR2"},
		{"port --protocol ", "tcp udp sctp"},
		{"cp ", "admin: web: worker: :nospace :files"},
		{"cp a w", "web: worker: :nospace :files"},
		{"network create -d ", "bridge macvlan ipvlan"},
		{"nonsense ", ""},
		{"up --nonsense ", ""},
		{"up --watc", ""}, // hidden
		{"", strings.Join(visibleCommands(t), " ")},
	} {
		if got := completions(t, con, out, tt.line); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.line, got, tt.want)
		}
	}
}

func visibleCommands(t *testing.T) []string {
	t.Helper()
	var names []string
	con, _, _ := show.BufferConsole()
	for _, c := range allCommands(con, []string{"help"}).Subcommands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// Whatever fails, the shell gets no error.
func TestCompleteWithoutAnything(t *testing.T) {
	con, out, stderr := show.BufferConsole()
	newFakeHelper(t, con) // nothing that could answer
	for _, line := range []string{"up ", "volume rm ", "network rm ", "image rm ", "container rm ", "--profile ", "-p "} {
		if got := completions(t, con, out, line); got != "" && got != "*" || stderr.Len() > 0 {
			t.Errorf("%q: %q, %q", line, got, stderr)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		con, out, stderr := show.BufferConsole()
		con.Standalone = true
		if code := runHere(t.Context(), con, []string{"completion", shell}); code != 0 || !strings.Contains(out.String(), "_docker_compose") || strings.Contains(out.String(), "%") && strings.Contains(out.String(), "%!") {
			t.Errorf("%s: code %d, %s%s", shell, code, out, stderr)
		}
	}
	con, _, stderr := show.BufferConsole()
	if code := runHere(t.Context(), con, []string{"completion", "tcsh"}); code != 1 || !strings.Contains(stderr.String(), "bash, zsh or fish") {
		t.Errorf("code %d: %s", code, stderr)
	}
}
