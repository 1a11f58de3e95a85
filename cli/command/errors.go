package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/cli/show"
	"podc.example/podc/internal/fault"
)

// Exit codes that are not those of a container.
const (
	ExitFailure     = 1
	ExitInterrupted = 130
)

// ErrInterrupted is the cause of a context that SIGINT or SIGTERM ended.
var ErrInterrupted = fault.Exit(errors.New("interrupted"), ExitInterrupted)

// later names the commands of docker compose that podc does not have yet, so that asking for one is answered by name.
var later = []string{"bridge",
	"publish", "watch",
	"secret", "diff", "save", "import", "tag", "rmi", "login", "logout"}

// never names commands of docker that podc will not have, and why.
var never = map[string]string{
	"container rename": "a container's name is where its files lie: create it anew under the other name",
	"container update": "what a container is does not change: change the compose file and run \"podc up\"",
}

func unknownCommand(program string, path []string) error {
	name := strings.Join(path, " ")
	if why := never[name]; why != "" {
		return fault.New(errdefs.ErrNotImplemented, `"%s %s" is not available: %s`, program, name, why)
	}
	if path[0] == "container" && len(path) == 2 && slices.Contains(later, path[1]) {
		return fault.New(errdefs.ErrNotImplemented, `"%s %s" is not available yet`, program, name)
	}
	if len(path) == 1 && slices.Contains(later, path[0]) {
		return fault.New(errdefs.ErrNotImplemented, `"%s %s" is not available yet`, program, path[0])
	}
	err := fault.Invalid("unknown %s command: %q", program, name)
	if program == show.StandaloneName { // in docker's words
		err = fault.Invalid("unknown docker command: %q", "compose "+name)
	}
	return fault.Hint(err, "see %s --help", strings.Join(append([]string{program}, path[:len(path)-1]...), " "))
}

// Report writes err for people, or as the last event of a JSON progress.
func Report(w io.Writer, err error, asJSON bool) {
	if err == nil || fault.IsSilent(err) || errors.Is(err, ErrInterrupted) { // who interrupts knows it
		return
	}
	if asJSON {
		line, _ := json.Marshal(struct {
			Error   bool   `json:"error"`
			Message string `json:"message"`
		}{true, err.Error()})
		fmt.Fprintf(w, "%s\n", line)
		return
	}
	fmt.Fprintf(w, "podc: %s\n", show.Printable(err.Error()))
	if hint := fault.HintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", show.Printable(hint))
	}
}

// ComposeVersion is that of docker compose whose command line podc has.
const ComposeVersion = "5.5.0"
