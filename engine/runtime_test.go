package engine

import (
	"strings"
	"testing"
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
	var w tailWriter
	w.Write([]byte("the first line\n" + strings.Repeat("flooding\n", 1000) + "the last line\n"))
	got := strings.Split(w.words(), "\n")
	if len(got) != lastLines || got[0] != "flooding" || got[len(got)-1] != "the last line" {
		t.Errorf("they are %q", got)
	}
	w = tailWriter{}
	w.Write([]byte(strings.Repeat("x", 2*lastWords)))
	if len(w.words()) != lastWords {
		t.Errorf("of a line without end %d bytes are left", len(w.words()))
	}
}
