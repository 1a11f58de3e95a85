// Command podc brings compose projects up and looks after them: the command line of package cli over podc on this machine. Compose
// files are read by podc-compose and images kept by podc-image, two helpers beside it, so that commands which need neither start
// quickly.
package main

import (
	"path/filepath"
	"runtime/debug"

	"podc.example/podc/cli"
	"podc.example/podc/cli/show"
	"podc.example/podc/control"
	"podc.example/podc/control/local"
)

func main() {
	debug.SetGCPercent(400) // most commands end before the first collection is worth its time
	cli.Main(func(con *show.Console, root, runRoot string) (*control.Control, error) {
		return local.Open(local.Config{Root: root, RunRoot: runRoot, Helpers: filepath.Dir(con.Exe), Dir: con.Dir, Env: con.Env, UID: con.UID})
	})
}
