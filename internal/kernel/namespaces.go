package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
)

// The namespaces of a pod are pinned as files by bind mounts, so that no process has to stay behind to hold them.

// namespaceFlags maps the kinds of namespace a pod owns to what unshare(2) calls them.
var namespaceFlags = []struct {
	kind string
	flag int
}{
	{"net", unix.CLONE_NEWNET},
	{"ipc", unix.CLONE_NEWIPC},
	{"uts", unix.CLONE_NEWUTS},
}

// PinNamespaces makes the namespaces of kinds and pins each at path(kind); in a new uts namespace the host and domain names
// are set. A namespace that is pinned already is left as it is.
func PinNamespaces(path func(kind string) string, kinds []string, hostname, domainname string) error {
	flags := 0
	var missing []string
	for _, n := range namespaceFlags {
		for _, k := range kinds {
			if k == n.kind && !IsNamespace(path(k)) {
				flags |= n.flag
				missing = append(missing, k)
			}
		}
	}
	if flags == 0 {
		return nil
	}
	done := make(chan error)
	go func() {
		// The thread now belongs to the new namespaces: it is never unlocked, so the runtime ends it with the goroutine.
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(flags); err != nil {
				return fmt.Errorf("cannot make namespaces: %w", err)
			}
			if flags&unix.CLONE_NEWUTS != 0 {
				if err := setNames(hostname, domainname); err != nil {
					return err
				}
			}
			for _, k := range missing {
				if err := pin("/proc/self/task/"+strconv.Itoa(unix.Gettid())+"/ns/"+k, path(k)); err != nil {
					return fmt.Errorf("cannot pin the %s namespace: %w", k, err)
				}
			}
			return nil
		}()
	}()
	return <-done
}

func setNames(hostname, domainname string) error {
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("cannot set host name %q: %w", hostname, err)
	}
	if domainname == "" {
		return nil
	}
	if err := unix.Setdomainname([]byte(domainname)); err != nil {
		return fmt.Errorf("cannot set domain name %q: %w", domainname, err)
	}
	return nil
}

func pin(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o400)
	if err != nil {
		return err
	}
	f.Close()
	return unix.Mount(source, target, "", unix.MS_BIND, "")
}

// IsNamespace reports whether path is a pinned namespace rather than a plain file or nothing.
func IsNamespace(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// UnpinNamespaces lets go of every namespace pinned in dir. Idempotent.
func UnpinNamespaces(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	errs := []error{err}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		errs = append(errs, disk.Unmount(path), os.Remove(path))
	}
	errs = append(errs, os.Remove(dir))
	return errors.Join(errs...)
}
