package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A shell completes names of what there is, by the script that podc prints for it.
func TestShellsComplete(t *testing.T) {
	s := newStack(t, fleet)
	s.load("busybox")
	s.podc("up", "--no-start")
	for _, shell := range []struct{ name, script string }{
		{"bash", `
source <(podc completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
compopt() { :; }
_podc
printf '%s\n' "${COMPREPLY[@]}"
`},
		{"fish", `
podc completion fish | source
complete -C "$argv" | string replace -r '\t.*' ''
true
`},
		{"zsh", `
autoload -U compinit; compinit -u -D
_describe() { local -a found=("${(@P)2}"); found=("${(@)found//\\:/@}"); found=("${(@)found%%:*}"); print -l -- "${(@)found//@/:}" }
_files() { print -l -- *(N) }
source <(podc completion zsh)
words=("$@") CURRENT=$#
_podc
`},
	} {
		s.behaves(shell.name, func(s *stack) {
			path, err := exec.LookPath(shell.name)
			if err != nil {
				s.t.Skip("needs " + shell.name)
			}
			complete := func(line ...string) string {
				args := []string{"-c", shell.script}
				if shell.name != "fish" {
					args = append(args, shell.name)
				}
				like := s.cmd(s.t.Context(), "ps")
				words := append([]string{"podc"}, line...)
				if shell.name == "fish" {
					words = []string{strings.Join(words, " ")}
				}
				cmd := exec.Command(path, append(args, words...)...)
				cmd.Dir, cmd.Env = like.Dir, append(like.Env, "PATH="+filepath.Dir(like.Path)+":/usr/bin:/bin")
				out, err := cmd.CombinedOutput()
				if err != nil {
					s.t.Fatalf("%v: %s", err, out)
				}
				return strings.Join(strings.Fields(string(out)), " ")
			}
			for _, tt := range []struct {
				line []string
				want string
			}{
				{[]string{"up", "-d", "w"}, "web"},
				{[]string{"resta"}, "restart"},
				{[]string{"container", "inspect", "p-d"}, "p-db-1"},
				{[]string{"network", "rm", "p_"}, "p_default"},
				{[]string{"image", "rm", "localhost/podc-b"}, "localhost/podc-busybox:latest"},
				{[]string{"-p", ""}, "p"},
				{[]string{"--profile", "t"}, "tools"},
				{[]string{"-f", "compo"}, "compose.yaml"},
				{[]string{"up", "--always-rec"}, "--always-recreate-deps"},
			} {
				if got := complete(tt.line...); got != tt.want {
					s.t.Errorf("%q: %q, want %q", tt.line, got, tt.want)
				}
			}
		})
	}
}
