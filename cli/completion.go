package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
	"podc.example/podc/cli/command"
)

// completionScripts have each shell ask `podc __complete WORD...`, whose last word is the one being typed (complete.go). A line
// of the answer is a word, a tab and what it is; ":files" stands for names of files, ":nospace" says that the word goes on.
var completionScripts = map[string]string{
	"bash": `# bash completion for %[1]s; source it, or put it into /usr/share/bash-completion/completions/%[1]s
_%[2]s() {
	local line cur=${COMP_WORDS[COMP_CWORD]}
	[[ $cur == = ]] && cur=
	COMPREPLY=()
	while IFS= read -r line; do
		case $line in
		:files)
			compopt -o filenames
			while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$cur")
			;;
		:nospace) compopt -o nospace ;;
		*) COMPREPLY+=("${line%%%%$'\t'*}") ;;
		esac
	done < <("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _%[2]s %[1]s
`,
	"zsh": `#compdef %[1]s
# zsh completion for %[1]s; put it as _%[1]s into a folder of $fpath
_%[2]s() {
	local -a found
	local line files
	while IFS= read -r line; do
		case $line in
		:files) files=1 ;;
		:nospace) ;;
		*$'\t'*) found+=("${${line%%%%$'\t'*}//:/\\:}:${line#*$'\t'}") ;;
		*) found+=("${line//:/\\:}") ;;
		esac
	done < <(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)
	(( $#found )) && _describe %[1]s found
	[[ -n $files ]] && _files
	return 0
}
if [[ $funcstack[1] == _%[1]s ]]; then _%[2]s "$@"; else compdef _%[2]s %[1]s; fi
`,
	"fish": `# fish completion for %[1]s; put it into ~/.config/fish/completions/%[1]s.fish
function __%[2]s_complete
	set -l typed (commandline -opc)
	for line in ($typed[1] __complete $typed[2..-1] (commandline -ct) 2>/dev/null)
		switch $line
			case ':files'
				__fish_complete_path (commandline -ct)
			case ':*'
			case '*'
				echo $line
		end
	end
end
complete -c %[1]s -f -a '(__%[2]s_complete)'
`,
}

func completionCommand() *command.Command {
	return &command.Command{
		Name: "completion", Usage: "print a script that completes command lines", Needs: command.NoEngine,
		Args:     command.Args{command.One(command.OneOf("SHELL", "bash", "zsh", "fish"))},
		Examples: []string{"source <(podc completion bash)"},
		Run: func(s *command.Session, c *cli.Context) error {
			program := s.Con.Program()
			function := strings.ReplaceAll(program, "-", "_") // shells want it so
			_, err := fmt.Fprintf(s.Con.Out, completionScripts[c.Args().First()], program, function)
			return err
		},
	}
}
