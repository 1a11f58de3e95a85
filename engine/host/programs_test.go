package host

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a compose file calls a runtime is no name of a package: only of programs that are known a package is named.
func TestMissingProgramsAreLookedForByTheirPackages(t *testing.T) {
	t.Setenv("PATH", "/no-such")
	for name, want := range map[string]string{
		"no-such": "looked for in PATH and in /usr/local/sbin, ", "./no-such": "no program at that path", "/no/crun": "apt-get install crun",
	} {
		_, err := Lookup(name)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "install no-such") {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if got := whereToGet("apparmor_parser"); !strings.Contains(got, "install apparmor") || strings.Contains(got, "_") {
		t.Errorf("apparmor_parser: %s", got)
	}
}

func TestHybridCgroupsThatCrunRefusesAreNamed(t *testing.T) {
	dir := t.TempDir()
	if err := checkHybrid(dir); err != nil {
		t.Errorf("no unified hierarchy: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "unified"), 0o755); err != nil {
		t.Fatal(err)
	}
	for content, refused := range map[string]bool{"\n": false, "hugetlb misc\n": true} {
		if err := os.WriteFile(filepath.Join(dir, "unified", "cgroup.controllers"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		err := checkHybrid(dir)
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "hugetlb, misc") {
			t.Errorf("with controllers %q: %v", content, err)
		}
	}
}
