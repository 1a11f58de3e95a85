package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/errdefs"

	"podc.example/podc/engine"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// Exit codes that are not those of a container.
const (
	exitFailure     = 1
	exitInterrupted = 130
)

// errInterrupted is the cause of a context that SIGINT or SIGTERM ended.
var errInterrupted = errors.New("interrupted")

// exitCode ends the program with a code of its own and no message: that of a container, or one already explained.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// hinted is an error and what can be done about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	return hinted{err, fmt.Sprintf(format, args...)}
}

// usage is an error of the command line.
func usage(format string, args ...any) error {
	return fault.New(errdefs.ErrInvalidArgument, format, args...)
}

// later names the commands of docker compose that podc does not have yet, so that asking for one is answered by name.
var later = []string{"build", "bridge",
	"publish", "pull", "push", "watch",
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
	err := usage("unknown %s command: %q", program, name)
	if program == standaloneName { // in docker's words
		err = usage("unknown docker command: %q", "compose "+name)
	}
	return withHint(err, "see %s --help", strings.Join(append([]string{program}, path[:len(path)-1]...), " "))
}

// hintOf is what can be done about err: what came with it, else what its class suggests.
func hintOf(err error) string {
	var h hinted
	var image *engine.ImageError
	var load *project.LoadError
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &image): // no repair of podc's mends an image store
		return image.Hint
	case errors.As(err, &load) && load.Hint != "":
		return load.Hint
	case errdefs.IsDataLoss(err):
		return "podc system check --repair"
	}
	return ""
}

// codeOf is the exit code that err ends the program with.
func codeOf(err error) int {
	var code exitCode
	var own coded
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	}
	return exitFailure
}

// report writes err for people, or as the last event of a JSON progress.
func report(w io.Writer, err error, asJSON bool) {
	var code exitCode
	if err == nil || errors.As(err, &code) || errors.Is(err, errInterrupted) { // who interrupts knows it
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
	fmt.Fprintf(w, "podc: %s\n", printable(err.Error()))
	if hint := hintOf(err); hint != "" {
		fmt.Fprintf(w, "hint: %s\n", printable(hint))
	}
}
