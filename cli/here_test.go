package cli

import (
	"context"
	"path/filepath"

	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/control/local"
)

// here opens podc on this machine.
func here(con *show.Console, root, runRoot string) (*control.Control, error) {
	return local.Open(local.Config{Root: root, RunRoot: runRoot, Helpers: filepath.Dir(con.Exe), Dir: con.Dir, Env: con.Env, UID: con.UID})
}

// runHere is run with podc on this machine.
func runHere(ctx context.Context, con *show.Console, args []string) int {
	con.Connect = here
	return run(ctx, con, args)
}
