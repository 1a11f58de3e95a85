package compose

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
)

// maxFile is the largest compose, env or label file that is read, in bytes.
const maxFile = 16 << 20

// inputs collects the paths whose content, presence or absence shapes a project.
type inputs map[string]struct{}

func (in inputs) add(paths ...string) {
	for _, p := range paths {
		in[filepath.Clean(p)] = struct{}{}
	}
}

func (in inputs) sorted() []string { return slices.Sorted(maps.Keys(in)) }

// ErrIsFolder is ReadFile's error for a folder.
var ErrIsFolder = errors.New("is a directory")

// ReadFile reads a regular file of at most limit bytes. Opening never blocks, so that a pipe is refused rather than waited
// for. Missing files satisfy errors.Is(err, fs.ErrNotExist).
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, pathless(err)
	}
	defer f.Close()
	if err := checkRegular(f, limit); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, pathless(err)
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(limit)
	}
	return b, nil
}

func checkRegular(f *os.File, limit int64) error {
	st, err := f.Stat()
	switch {
	case err != nil:
		return pathless(err)
	case st.IsDir():
		return ErrIsFolder
	case !st.Mode().IsRegular():
		return errors.New("is not a regular file")
	case st.Size() > limit:
		return tooLarge(limit)
	}
	return nil
}

func tooLarge(limit int64) error {
	if limit >= 1<<20 {
		return fmt.Errorf("is larger than %d MiB", limit>>20)
	}
	return fmt.Errorf("is larger than %d KiB", limit>>10)
}

// pathless drops the path that os errors carry, for messages that name the file already.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// checkFile reports whether path can be read as an input file; what names its role in the message.
func checkFile(path, what, key string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		defer f.Close()
		err = checkRegular(f, maxFile)
	}
	return fileError(path, what, key, pathless(err))
}

func fileError(path, what, key string, err error) error {
	if err == nil {
		return nil
	}
	e := Invalid(key, "cannot read %s %s: %v", what, path, err)
	if errors.Is(err, fs.ErrNotExist) {
		e.Class = errdefs.ErrNotFound
	}
	return e
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
			return nil, &Error{Class: errdefs.ErrNotFound, Problems: []Problem{{
				Text: fmt.Sprintf("no compose file in %s or above it", start),
				Hint: "write a compose.yaml, or name a file with -f",
			}}}
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

func (l *load) abs(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(l.cwd, path)
}
