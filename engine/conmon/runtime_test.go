package conmon

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"golang.org/x/sys/unix"
)

func TestWhatARuntimeLogsOfItsFailures(t *testing.T) {
	log := "time=\"1\" level=warning msg=\"no cgroup\"\ntime=\"2\" level=info msg=x\n" + `time="3" level=error msg="exec failed: permission denied"`
	if got := failures(log); got != `time="3" level=error msg="exec failed: permission denied"` {
		t.Errorf("it is %q", got)
	}
	if got := failures("time=\"1\" level=warning msg=\"no cgroup\""); got != "" {
		t.Errorf("a warning counts as a failure: %q", got)
	}
	if got := failures("chdir `/x`: No such file or directory"); got == "" {
		t.Error("what crun says does not count")
	}
}

func TestLastWordsAreWholeLines(t *testing.T) {
	var w Tail
	w.Write([]byte("the first line\n" + strings.Repeat("flooding\n", 1000) + "the last line\n"))
	got := strings.Split(w.Words(), "\n")
	if len(got) != lastLines || got[0] != "flooding" || got[len(got)-1] != "the last line" {
		t.Errorf("they are %q", got)
	}
	w = Tail{}
	w.Write([]byte(strings.Repeat("x", 2*lastWords)))
	if len(w.Words()) != lastWords {
		t.Errorf("of a line without end %d bytes are left", len(w.Words()))
	}
}

// What a runtime says has a class from there on.
func TestClassesOfWhatRuntimesSay(t *testing.T) {
	for said, want := range map[string]error{
		"executable file `nope` not found in $PATH: No such file or directory": errdefs.ErrNotFound,
		`exec: "/etc/passwd": permission denied`:                               errdefs.ErrPermissionDenied,
		"open executable: Permission denied":                                   errdefs.ErrPermissionDenied,
		`exec: "/etc": is a directory`:                                         errdefs.ErrPermissionDenied,
		"Failed to write /run/x: No space left on device":                      unix.ENOSPC,
	} {
		if err := Failed("/usr/bin/crun", said, nil); !errors.Is(err, want) {
			t.Errorf("%q is no %v", said, want)
		}
	}
}

func TestReasonsAreSaidOnce(t *testing.T) {
	err := Failed("/usr/bin/crun", "executable file `nope` not found in $PATH: No such file or directory", nil)
	if want := `crun: exec: "nope": executable file not found in $PATH`; err.Error() != want || !errdefs.IsNotFound(err) {
		t.Errorf("%q, want %q", err, want)
	}
}
