package testimage

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// deb is a package as apt would download it.
type deb struct {
	name string // of the file, version included
	hash string
	path string
}

// closure lists the packages that roots need, without those that skip matches: helpers of installation scripts, which never
// run here, and what is big and not needed to serve.
func (b *builder) closure(roots []string, skip *regexp.Regexp) ([]string, error) {
	seen := map[string]bool{}
	next := roots
	for len(next) > 0 {
		for _, p := range next {
			seen[p] = true
		}
		deps, err := b.dependencies(next)
		if err != nil {
			return nil, err
		}
		next = nil
		for _, p := range deps {
			if !seen[p] && !skip.MatchString(p) {
				next = append(next, p)
			}
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

// dependencies reads Depends and Pre-Depends of the packages, the first of each alternative.
func (b *builder) dependencies(packages []string) ([]string, error) {
	out, err := b.run("", "apt-cache", append([]string{"show", "--no-all-versions"}, packages...)...)
	if err != nil {
		return nil, err
	}
	var deps []string
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if key != "Depends" && key != "Pre-Depends" {
			continue
		}
		for dep := range strings.SplitSeq(value, ",") {
			first, _, _ := strings.Cut(dep, "|")
			name, _, _ := strings.Cut(strings.TrimSpace(first), " ")
			name, _, _ = strings.Cut(name, ":")
			deps = append(deps, name)
		}
	}
	slices.Sort(deps)
	return slices.Compact(deps), nil
}

// download finds the packages, and those they need, in the cache or fetches them.
func (b *builder) download(roots []string, skip *regexp.Regexp) ([]deb, error) {
	names, err := b.closure(roots, skip)
	if err != nil {
		return nil, err
	}
	debs, err := b.locate(names)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(debs, func(d deb) bool { return !exists(d.path) }) {
		if _, err := b.run(b.debs(), "apt-get", append([]string{"download", "-q"}, names...)...); err != nil {
			return nil, err
		}
	}
	for _, d := range debs {
		if !exists(d.path) {
			return nil, fmt.Errorf("apt-get did not download %s", d.name)
		}
	}
	return debs, nil
}

// locate asks apt for the file names and digests, which it knows without the network. It asks from an empty folder, since
// files that are already there are not printed.
func (b *builder) locate(names []string) ([]deb, error) {
	empty, err := os.MkdirTemp(b.dir, "empty-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(empty)
	out, err := b.run(empty, "apt-get", append([]string{"download", "--print-uris"}, names...)...)
	if err != nil {
		return nil, err
	}
	var debs []deb
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) >= 4 && strings.HasPrefix(f[0], "'") {
			debs = append(debs, deb{name: f[1], hash: f[3], path: filepath.Join(b.debs(), f[1])})
		}
	}
	if len(debs) < len(names) {
		return nil, fmt.Errorf("apt knows only %d of %d packages: run `apt-get update`", len(debs), len(names))
	}
	return debs, nil
}

// run executes a program of the distribution and returns its output. An error carries what it wrote.
func (b *builder) run(dir, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(b.ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("%s is not here: test images are built from Debian or Ubuntu packages", program)
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", path.Base(program), args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
