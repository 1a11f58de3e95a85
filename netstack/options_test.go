package netstack

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryOptionIsInATest: an option that is served is one that some test gives to a network or an endpoint, here, where compose files
// are translated, or end to end.
func TestEveryOptionIsInATest(t *testing.T) {
	options, err := os.ReadFile("options.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, pattern := range []string{"*_test.go", "../project/translate/*_test.go", "../project/translate/testdata/*.txtar", "../e2e/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	served := regexp.MustCompile(`(?m)^\t(\w+)\s+= "(com\.docker\.\S+)"$`).FindAllStringSubmatch(string(options), -1)
	if len(served) < 10 {
		t.Fatalf("only %d options", len(served))
	}
	for _, o := range served {
		if !strings.Contains(tests.String(), o[1]) && !strings.Contains(tests.String(), o[2]) {
			t.Errorf("no test has %s (%s)", o[1], o[2])
		}
	}
}

// A gateway's mode is one for each family.
func TestModesOfGateways(t *testing.T) {
	for _, option := range []string{optionMode4, optionMode6} {
		for value, fits := range map[string]bool{"nat": true, "routed": true, "": false, "isolated by wish": false} {
			if err := CheckOption("bridge", option, value); (err == nil) != fits {
				t.Errorf("%s=%q: %v", option, value, err)
			}
		}
	}
}
