package main

import (
	"context"
	"path/filepath"

	"podc.example/podc/control"
	"podc.example/podc/control/local"
)

// here opens podc on this machine.
func here(con *console, root, runRoot string) (*control.Control, error) {
	return local.Open(local.Config{Root: root, RunRoot: runRoot, Helpers: filepath.Dir(con.exe), Dir: con.dir, Env: con.env, UID: con.uid})
}

// runHere is run with podc on this machine.
func runHere(ctx context.Context, con *console, args []string) int {
	con.connect = here
	return run(ctx, con, args)
}
