package local

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/fault"
)

// checkProgram finds the program of proc in the container whose first process is pid, as the runtime will: from an exit code of
// the runtime's it cannot be told whether there was none.
func checkProgram(pid int, proc *specs.Process) error {
	root, err := unix.Open(fmt.Sprintf("/proc/%d/root", pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(root)
	found := error(errdefs.ErrNotFound)
	for _, file := range candidates(proc) {
		err := executable(root, file)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errdefs.ErrNotFound) {
			found = err
		}
	}
	if errors.Is(found, errdefs.ErrNotFound) {
		why := "executable file not found in $PATH" // as docker's runtime has it
		if strings.Contains(proc.Args[0], "/") {
			why = "no such file or directory"
		}
		return fault.Exit(fault.New(errdefs.ErrNotFound, "cannot run %q: %s", proc.Args[0], why), fault.ExitNotFound)
	}
	return fault.Exit(fmt.Errorf("cannot run %q: %w", proc.Args[0], found), fault.ExitNotExecutable)
}

// candidates are the paths that a program's name may mean.
func candidates(proc *specs.Process) []string {
	name := proc.Args[0]
	if strings.Contains(name, "/") {
		if path.IsAbs(name) {
			return []string{name}
		}
		return []string{path.Join("/", proc.Cwd, name)}
	}
	search := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, kv := range proc.Env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			search = v
		}
	}
	var list []string
	for dir := range strings.SplitSeq(search, ":") {
		list = append(list, path.Join("/", proc.Cwd, dir, name))
		if path.IsAbs(dir) {
			list[len(list)-1] = path.Join(dir, name)
		}
	}
	return list
}

// executable says what keeps the file at path, seen from root, from being executed. No link leads out of root.
func executable(root int, file string) error {
	fd, err := unix.Openat2(root, file, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return errdefs.ErrNotFound
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return errors.New("it is a directory")
	case st.Mode&0o111 == 0:
		return errors.New("permission denied")
	}
	return nil
}
