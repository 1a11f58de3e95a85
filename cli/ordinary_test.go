package cli

import (
	"context"
	"slices"
	"strings"
	"testing"

	"podc.example/podc/cli/command"
	"podc.example/podc/cli/show"
)

// An ordinary user is told one true thing by every command that needs root, and is shown nothing that would be wrong.
func TestAnOrdinaryUserIsToldOneTrueThing(t *testing.T) {
	unprivileged := []string{"config", "viz", "doctor", "version", "completion"}
	const sentence = "podc: permission denied: podc runs as root (with sudo, for example) until it serves ordinary users (rootless)\n"
	var walk func(path []string, c *command.Command)
	walk = func(path []string, c *command.Command) {
		path = append(slices.Clone(path), strings.Replace(c.Name, command.ConfigsName, "config", 1))
		for _, sub := range c.Subcommands {
			walk(path, sub)
		}
		if c.Run == nil || slices.Contains(unprivileged, c.Name) && len(path) == 1 {
			return
		}
		con, out, stderr := show.BufferConsole()
		con.UID = 1000
		con.Env["PODC_ROOT"], con.Env["PODC_RUNROOT"] = t.TempDir(), t.TempDir()
		if code := runHere(context.Background(), con, path); code != 1 || stderr.String() != sentence || out.Len() > 0 {
			t.Errorf("podc %s: exit code %d\n%s%s", strings.Join(path, " "), code, out, stderr)
		}
	}
	for _, c := range commands {
		walk(nil, c.make())
	}
	con, out, stderr := show.BufferConsole()
	con.UID = 1000
	if code := runHere(context.Background(), con, []string{"doctor"}); code != 1 || !strings.Contains(out.String(), "podc runs as root") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("podc doctor: exit code %d\n%s%s", code, out, stderr)
	}
	con, out, stderr = show.BufferConsole()
	con.UID = 1000
	if code := runHere(context.Background(), con, []string{"config", "--hash", "*"}); code != 1 || stderr.String() != sentence { // made with a key of root's
		t.Errorf("podc config --hash: exit code %d\n%s%s", code, out, stderr)
	}
	for _, args := range [][]string{{"boot", "--unit"}, {"version"}, {"completion", "bash"}, {"ps", "--help"}} {
		con, out, stderr := show.BufferConsole()
		con.UID = 1000
		if code := runHere(context.Background(), con, args); code != 0 || out.Len() == 0 {
			t.Errorf("podc %q: exit code %d: %s", args, code, stderr)
		}
	}
}
