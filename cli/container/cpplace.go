package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/control"
)

// place is a source or destination of a copy. What a copy does depends on what is there, and on how the path ends.
type place struct {
	path   string // as it was given
	real   string // what it means once a link at its end is followed, if it is
	exists bool
	isDir  bool
}

// splitPlace reads "SERVICE:PATH"; a path on the host has no service. "./a:b" and "/a:b" are paths.
func splitPlace(arg string) (service, path string) {
	service, path, found := strings.Cut(arg, ":")
	if !found || arg[0] == '/' || arg[0] == '.' {
		return "", arg
	}
	return service, path
}

// name is what a copied source is called, empty if only its content counts.
func (p place) name() string {
	if control.OnlyContent(p.path) {
		return ""
	}
	if name := path.Base(path.Clean(p.path)); name != ".." {
		return name
	}
	return path.Base(p.real)
}

// placement applies docker's rules: into which folder a source is copied, and what it is called there; an empty name stands
// for the content of a folder.
func placement(src, dst place) (into, as string, err error) {
	switch {
	case !src.exists:
		return "", "", fmt.Errorf("%s does not exist", src.path)
	case control.AsFolder(src.path) && !src.isDir:
		return "", "", fmt.Errorf("%s is no folder", src.path)
	case dst.exists && !dst.isDir && control.AsFolder(dst.path):
		return "", "", fmt.Errorf("%s is no folder", dst.path)
	case dst.exists && dst.isDir:
		return dst.real, src.name(), nil
	case dst.exists && src.isDir:
		return "", "", fmt.Errorf("%s is a file, and a folder cannot take its place", dst.path)
	case !dst.exists && control.AsFolder(dst.path) && !src.isDir:
		return "", "", fmt.Errorf("the folder %s does not exist", dst.path)
	}
	return path.Dir(path.Clean(dst.real)), path.Base(path.Clean(dst.real)), nil
}

// placeInside is what is at a path in a container.
func placeInside(given string, st control.FileStat) place {
	return place{path: given, real: st.Path, exists: st.Exists, isDir: st.IsDir}
}

// placeOnHost looks at a path of the host.
func placeOnHost(given string, follow bool) (place, error) {
	p := place{path: given}
	follow = follow || control.AsFolder(given)
	real, err := filepath.Abs(given)
	if err != nil {
		return p, err
	}
	p.real = real
	for range 40 { // the kernel's limit to links in a row
		fi, err := os.Lstat(p.real)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
			return p, nil
		case err != nil:
			return p, err
		case fi.Mode()&fs.ModeSymlink == 0 || !follow:
			p.exists, p.isDir = true, fi.IsDir()
			return p, nil
		}
		link, err := os.Readlink(p.real)
		if err != nil {
			return p, err
		}
		if !filepath.IsAbs(link) {
			link = filepath.Join(filepath.Dir(p.real), link)
		}
		p.real = link
	}
	return p, &fs.PathError{Op: "open", Path: given, Err: unix.ELOOP}
}

func sortByNumber(pods []api.Pod) {
	slices.SortStableFunc(pods, func(a, b api.Pod) int { return control.NumberOf(a) - control.NumberOf(b) })
}
