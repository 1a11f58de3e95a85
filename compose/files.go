package compose

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/internal/disk"
)

// inputs collects the paths whose content, presence or absence shapes a project.
type inputs map[string]struct{}

func (in inputs) add(paths ...string) {
	for _, p := range paths {
		in[filepath.Clean(p)] = struct{}{}
	}
}

func (in inputs) sorted() []string { return slices.Sorted(maps.Keys(in)) }

// checkVariables reports whether path can be read as a file of variables or labels; what names its role in the message.
func (l *load) checkVariables(path, what, key string, g *growth) error {
	content, err := disk.ReadRegular(path, MaxFile)
	if err != nil {
		return fileError(path, what, key, err)
	}
	if l.read += len(content); l.read > maxRead {
		return Invalid(key, "env and label files hold more than %d MiB together, each counted as often as it is named", maxRead>>20)
	}
	before := len(g.sizes)
	if err := g.check(l.display(path), string(content)); err != nil {
		return err
	}
	if l.vars += len(g.sizes) - before; l.vars > maxVariables {
		return Invalid(key, "more than %d variables in env and label files, each counted as often as it is named", maxVariables)
	}
	return nil
}

func fileError(path, what, key string, err error) *Error {
	report := Invalid
	if errors.Is(err, fs.ErrNotExist) {
		report = notFound
	}
	return report(key, "cannot read %s %s: %v", what, path, err)
}

// fileNames are searched for in this order, and so are overrideNames beside the file found.
var (
	fileNames     = []string{"compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"}
	overrideNames = []string{"compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"}
)

// search walks from dir upwards to the first folder with a compose file, and returns it with its override file.
func (l *load) search(dir string) ([]string, error) {
	for start := dir; ; dir = filepath.Dir(dir) {
		if file := l.firstOf(dir, fileNames); file != "" {
			found := []string{file}
			if override := l.firstOf(dir, overrideNames); override != "" {
				found = append(found, override)
			}
			return found, nil
		}
		if dir == filepath.Dir(dir) {
			return nil, notFound("", "no compose file in %s or above it", start).WithHint("write a compose.yaml, or name a file with -f")
		}
	}
}

// firstOf returns the first of names that exists in dir, and warns if there are others.
func (l *load) firstOf(dir string, names []string) string {
	var found []string
	for _, name := range names {
		path := filepath.Join(dir, name)
		l.inputs.add(path)
		if _, err := os.Stat(path); err == nil {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	if len(found) > 1 {
		l.warn("%s has %s; using %s", dir, strings.Join(found, " and "), found[0])
	}
	return filepath.Join(dir, found[0])
}

// convertDrives makes folders of the drives in the sources of binds, as COMPOSE_CONVERT_WINDOWS_PATHS asks for: C:\x is /c/x. The
// loader would do so on Windows only.
func convertDrives(p *types.Project) {
	for _, s := range p.Services {
		for i, v := range s.Volumes {
			drive, path, _ := strings.Cut(v.Source, ":")
			if len(drive) == 1 && path != "" && (path[0] == '\\' || path[0] == '/') {
				s.Volumes[i].Source = "/" + strings.ToLower(drive) + strings.ReplaceAll(path, `\`, "/")
			}
		}
	}
}

// display shortens path for messages: relative where it lies below the current directory.
func (l *load) display(path string) string {
	if path == "-" {
		return "standard input"
	}
	if rel, err := filepath.Rel(l.cwd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

func (l *load) abs(path string) string { return within(l.cwd, path) }

// within is path, which may be relative to dir.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
