// Command podc-monitor is the helper that outlives podc: conmon runs it when a container has ended, each group of pods has it
// as its monitor and as that one's guardian, and containers with `init: true` have it as their first process. It is static
// and small, since it stays in memory.
//
//	podc-monitor exit --root DIR --runroot DIR POD ID
//	podc-monitor monitor --root DIR --runroot DIR GROUP
//	podc-monitor guard --root DIR --runroot DIR GROUP
//	podc-monitor init -- COMMAND [ARGUMENT...]
package main

import (
	"flag"
	"fmt"
	"os"

	"podc.example/podc/engine"
)

func main() {
	verb := ""
	if len(os.Args) > 1 {
		verb = os.Args[1]
	}
	verbs := map[string]func(args []string) error{"exit": exitVerb, "monitor": monitorVerb, "guard": guardVerb, "init": initVerb}
	run := verbs[verb]
	if run == nil {
		fmt.Fprintln(os.Stderr, "podc-monitor is a helper of podc, which starts it when it is needed")
		os.Exit(2)
	}
	if err := run(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "podc-monitor %s: %v\n", verb, err)
		os.Exit(1)
	}
}

// roots are the flags that every verb but init has.
type roots struct{ data, run string }

func (r roots) args() []string { return []string{"--root", r.data, "--runroot", r.run} }

func (r roots) open() (*engine.Engine, error) {
	return engine.Open(engine.Config{Root: r.data, RunRoot: r.run, CNI: engine.CNIFrom(os.Getenv)})
}

// parse reads the flags and want further arguments; adopt, if not nil, is a flag too.
func parse(verb string, args []string, want int, adopt *bool) (roots, []string, error) {
	var r roots
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	f.StringVar(&r.data, "root", "", "data `folder`")
	f.StringVar(&r.run, "runroot", "", "run state `folder`")
	if adopt != nil {
		f.BoolVar(adopt, "adopt", false, "descriptor 4 is a pidfd of the guardian that starts this monitor")
	}
	if err := f.Parse(args); err != nil {
		return r, nil, err
	}
	if f.NArg() != want {
		return r, nil, fmt.Errorf("want %d arguments, have %d", want, f.NArg())
	}
	return r, f.Args(), nil
}
