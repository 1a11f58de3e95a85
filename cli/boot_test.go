package cli

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"podc.example/podc/cli/show"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// The unit that is shipped is the one that `podc boot --unit` prints for where packages put podc.
func TestTheShippedUnitIsThatOfBoot(t *testing.T) {
	con, out, stderr := show.BufferConsole()
	con.Exe = "/usr/bin/podc"
	if code := runHere(context.Background(), con, []string{"boot", "--unit"}); code != 0 {
		t.Fatal(code, stderr)
	}
	const file = "../dist/podc.service"
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != out.String() {
		t.Errorf("%s (%v) is not what podc boot --unit prints:\n%s", file, err, out)
	}
}

func TestTheUnitIsForThisPodcAndItsRoots(t *testing.T) {
	con, out, stderr := show.BufferConsole()
	con.Exe = "/opt/50% off/podc"
	if code := runHere(context.Background(), con, []string{"--root", "/data", "boot", "--unit"}); code != 0 {
		t.Fatal(code, stderr)
	}
	for _, line := range []string{`ExecStart=-"/opt/50%% off/podc" --root /data boot --progress plain`, "RequiresMountsFor=/data /run/podc /var/lib/containers/storage",
		`ExecStop="/opt/50%% off/podc" --root /data boot --stop --progress plain`} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
}
