package project

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Whoever asks may have no command line: what people can do is among Remedies.
func TestNoTextNamesAFlag(t *testing.T) {
	flag := regexp.MustCompile(`"[^"]*(^|[" ])--?[a-z]+[^"]*"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			if !strings.HasSuffix(file, "_test.go") && flag.MatchString(line) {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
}

func TestReasonsInWords(t *testing.T) {
	for want, r := range map[string]Reason{
		"missing":                                       because(Missing),
		"volume data not mounted at /data":              because(NotMounted, "data", "/data"),
		"configuration changed":                         because(ConfigChanged),
		"ports added, {all} changed":                    because(ConfigChanged, "ports added", "{all} changed"),
		"driver, ipam changed":                          because(AttributesChanged, "driver", "ipam"),
		"shares the network of db-1 now":                because(LenderChanged, "network", "db-1"),
		"uses the volumes of db-1, which was recreated": because(LenderReplaced, "volumes", "db-1"),
		"needed by a, b":                                because(Needed, "a").join(because(Needed, "b")).join(because(Needed, "a")),
		"asked for":                                     because(Awaited),
		"asked for, needed by a":                        because(Awaited).join(because(Needed, "a")),
	} {
		if got := r.String(); got != want {
			t.Errorf("%v is %q, want %q", r, got, want)
		}
	}
	if (Reason{}).String() != "" {
		t.Error("no reason has words")
	}
}
