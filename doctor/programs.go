package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/internal/child"
)

// tool is a program that podc runs.
type tool struct {
	name    string
	atLeast string // the oldest version that works
	advised string // the oldest version without holes that are known to be used
	why     string // what is wrong with those before
	pkg     string // of Debian and Ubuntu
	needed  bool
}

var tools = []tool{
	{"conmon", "2.0.18", "2.0.18", "older ones write no exit files", "conmon", true},
	{"crun", "1.0", "1.14.1", "older ones let an image with a crafted working directory reach the host (CVE-2024-21626 and its like)", "crun", true},
	{"runc", "1.1.12", "1.1.12", "older ones let an image reach the host (CVE-2024-21626)", "runc", false},
}

// helperPrograms are podc's own, and lie beside it.
var helperPrograms = []string{"podc-compose", "podc-image", "podc-monitor"}

func programs(ctx context.Context, h Host) []Finding {
	var found []Finding
	for _, t := range tools {
		if f := t.look(ctx, h); f != (Finding{}) {
			found = append(found, f)
		}
	}
	for _, name := range helperPrograms {
		if path := filepath.Join(h.Helpers, name); executable(path) {
			found = append(found, fine(name, path))
		} else {
			found = append(found, Finding{name, Missing, "not in " + h.Helpers, "install podc whole: its helper programs lie beside podc"})
		}
	}
	return append(found, plugins(h))
}

// look finds a program and judges its version.
func (t tool) look(ctx context.Context, h Host) Finding {
	path := h.find(t.name)
	install := "install it: apt-get install " + t.pkg
	switch {
	case path == "" && t.needed:
		return Finding{t.name, Missing, "not found", install}
	case path == "":
		return Finding{}
	}
	version, err := versionOf(ctx, path)
	switch {
	case err != nil && t.needed:
		return Finding{t.name, Missing, fmt.Sprintf("%s does not tell its version: %v", path, err), "install it anew: apt-get install --reinstall " + t.pkg}
	case err != nil:
		return Finding{t.name, Warning, fmt.Sprintf("%s does not tell its version: %v", path, err), "install it anew, or remove it"}
	case older(version, t.atLeast) && t.needed:
		return Finding{t.name, Missing, fmt.Sprintf("%s is version %s, and podc needs %s: %s", path, version, t.atLeast, t.why), "install a newer one"}
	case older(version, t.advised):
		return Finding{t.name, Warning, fmt.Sprintf("%s is version %s, before %s: %s, unless your distribution has mended it", path, version, t.advised, t.why), "upgrade it: apt-get install " + t.pkg}
	}
	return fine(t.name, version+" ("+path+")")
}

// find looks for a program on PATH, then where distributions put what no user calls.
func (h Host) find(name string) string {
	dirs := filepath.SplitList(h.Path)
	if h.Root == "" {
		dirs = append(dirs, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/libexec/podman", "/usr/lib/podman")
	}
	for _, dir := range dirs {
		if path := filepath.Join(dir, name); executable(path) {
			return path
		}
	}
	return ""
}

func executable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}

// versionDeadline bounds the question for a version.
const versionDeadline = 5 * time.Second

// versionOf is the first word of what a program prints for --version that looks like one.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, versionDeadline, fmt.Errorf("no answer within %s", versionDeadline))
	defer cancel()
	cmd := child.Command(ctx, path, "--version")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		return "", err
	}
	for word := range strings.FieldsSeq(string(out)) {
		word = strings.TrimRight(strings.TrimPrefix(word, "v"), ",;")
		if word != "" && word[0] >= '0' && word[0] <= '9' && strings.Contains(word, ".") {
			return word, nil
		}
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return "", fmt.Errorf("it says %q", strings.TrimSpace(line))
}

// older compares versions number by number; what follows the numbers ("+dfsg1") does not count.
func older(a, b string) bool { return slices.Compare(numbers(a), numbers(b)) < 0 }

// numbers are those of a version, without zeros at the end.
func numbers(version string) []int {
	var list []int
	for part := range strings.SplitSeq(version, ".") {
		digits := part[:len(part)-len(strings.TrimLeft(part, "0123456789"))]
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		list = append(list, n)
		if digits != part {
			break
		}
	}
	for len(list) > 0 && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	return list
}

// plugins looks for CNI plugins, which networks of other drivers than bridge are made by.
func plugins(h Host) Finding {
	for _, dir := range h.PluginDirs {
		if executable(h.file(dir + "/macvlan")) {
			return fine("cni plugins", dir)
		}
	}
	return Finding{"cni plugins", Warning, "none found: networks of the drivers macvlan and ipvlan, and those of /etc/cni/net.d, cannot be used",
		"if you want those: apt-get install containernetworking-plugins"}
}
