package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"podc.example/podc/engine/rootfs"
	"podc.example/podc/internal/kernel"
)

// inventory is what may be left over, listed before the records are read: what is made meanwhile has its record first.
type inventory struct {
	dirs, runDirs, runtimes, exits, monitors, trash []string
	cgroups                                         map[string][]string // id -> folders
	mounts                                          []string
	processes                                       []helperProcess
}

// helperProcess is a conmon, monitor or guardian of this root.
type helperProcess struct {
	kernel.Process
	name  string
	owner string // the container's id, or the group
}

func (c Checker) takeInventory() (inventory, error) {
	pp := c.e.paths
	inv := inventory{cgroups: pp.cgroups().Containers()}
	var errs []error
	list := func(dir string) []string {
		names, err := listDir(dir)
		errs = append(errs, err)
		return names
	}
	inv.dirs, inv.runDirs, inv.runtimes, inv.exits = list(pp.pods()), list(pp.runPods()), list(pp.runtime()), list(pp.exits())
	inv.monitors = list(pp.monitors())
	trash, err := pp.trashed()
	inv.trash, errs = trash, append(errs, err)
	mounts, err := pp.mounts()
	inv.mounts, errs = mounts, append(errs, err)
	inv.processes = c.e.Monitors().processes()
	return inv, errors.Join(errs...)
}

// trashed lists the removed pods whose files are still there, by id. What else lies there is not podc's.
func (p paths) trashed() ([]string, error) {
	names, err := listDir(p.trash())
	return slices.DeleteFunc(names, func(name string) bool { return !isID(name) }), err
}

// mounts lists what is mounted for pods of this root.
func (p paths) mounts() ([]string, error) { return rootfs.MountsBelow(p.pods(), p.runPods()) }

// podOfMount names the pod that a mount of mounts is for.
func (p paths) podOfMount(path string) string {
	for _, dir := range []string{p.pods(), p.runPods()} {
		if rest, ok := strings.CutPrefix(path, dir+"/"); ok {
			name, _, _ := strings.Cut(rest, "/")
			return name
		}
	}
	return ""
}

// listDir lists the names in a folder; none if it does not exist. What cannot be read must not count as empty.
func listDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot list what is in %s: %w", dir, err)
	}
	names := make([]string, 0, len(entries))
	for _, d := range entries {
		names = append(names, d.Name())
	}
	return names, nil
}

// processes finds what podc left running for this root, by the run root among the arguments.
func (m Monitors) processes() []helperProcess {
	var list []helperProcess
	for _, pid := range kernel.Processes() {
		if pid == os.Getpid() {
			continue
		}
		proc := kernel.Find(pid) // before its arguments are read: they may be those of the pid's next holder, never the reverse
		args := kernel.Args(pid)
		if len(args) == 0 || proc == (kernel.Process{}) {
			continue
		}
		switch base := filepath.Base(args[0]); {
		case base == "conmon" && slices.Contains(args, m.e.paths.runtime()):
			list = append(list, helperProcess{proc, base, argAfter(args, "-c")})
		case base == "podc-monitor" && slices.Contains(args, m.e.paths.run) && len(args) > 2 && (args[1] == "monitor" || args[1] == "guard"):
			list = append(list, helperProcess{proc, args[1], args[len(args)-1]})
		}
	}
	return list
}

func argAfter(args []string, flag string) string {
	if i := slices.Index(args, flag); i >= 0 && i+1 < len(args) {
		return args[i+1]
	}
	return ""
}
