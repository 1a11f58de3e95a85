package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/compose-spec/compose-go/v2/schema"
)

// TestTableNamesRealKeys finds lines of the table that no key of the specification matches any more.
func TestTableNamesRealKeys(t *testing.T) {
	real := map[string]bool{}
	for _, p := range schema.AttributePaths() {
		real[string(p)] = true
	}
	listed := strings.Fields(servedKeys + laterKeys)
	for p := range ignoredKeys {
		listed = append(listed, p)
	}
	for p := range refusedKeys {
		listed = append(listed, p)
	}
	seen := map[string]bool{}
	for _, p := range listed {
		if !real[p] && p != "jobs" {
			t.Errorf("%s is in the table but not in the specification", p)
		}
		if seen[p] {
			t.Errorf("%s is in the table twice", p)
		}
		seen[p] = true
	}
}

// TestTableIsComplete insists that every key was decided upon, itself or with the key above it.
func TestTableIsComplete(t *testing.T) {
	for _, p := range schema.AttributePaths() {
		if !decided(string(p)) {
			t.Errorf("%s is in the specification but nobody decided whether it is served", p)
		}
	}
}

func decided(path string) bool {
	if strings.HasSuffix(path, ".*") || strings.HasSuffix(path, ".[]") {
		return true // like its parent
	}
	for p := path; p != ""; {
		if n := keyTree().at(p, false); n != nil && n.said {
			return p == path || n.level != served
		}
		i := strings.LastIndex(p, ".")
		if i < 0 {
			return false
		}
		p = p[:i]
	}
	return false
}

func TestLevels(t *testing.T) {
	for path, want := range map[string]level{
		"services.*.image":                        served,
		"services.*.environment.*":                served,
		"services.*.labels.*":                     served,
		"services.*.ports.[].target":              served,
		"services.*.deploy.placement":             ignored,
		"services.*.deploy.placement.preferences": ignored,
		"services.*.gpus":                         later,
		"services.*.gpus.[].count":                later,
		"services.*.build":                        served,
		"services.*.build.context":                served,
		"services.*.build.isolation":              ignored,
		"volumes.*.driver_opts.*":                 served,
	} {
		n := keyTree().at(path, false)
		if n == nil || n.level != want {
			t.Errorf("%s: %+v, want level %d", path, n, want)
		}
	}
}

// TestEveryServedKeyIsInATest: a key whose line has moved to those that are served, and that no compose file of a test has, is served by
// word only.
func TestEveryServedKeyIsInATest(t *testing.T) {
	used := map[string]bool{}
	for _, pattern := range []string{"../project/translate/*_test.go", "../project/translate/testdata/*.txtar", "../e2e/*_test.go", "../testdata/*/*.y*ml", "*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				used[word] = true
			}
		}
	}
	for _, key := range strings.Fields(servedKeys) {
		if name := key[strings.LastIndex(key, ".")+1:]; name != "*" && name != "[]" && !used[name] {
			t.Errorf("no compose file of a test has %s", key)
		}
	}
}
