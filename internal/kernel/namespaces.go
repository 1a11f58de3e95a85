package kernel

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
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
		if slices.Contains(kinds, n.kind) && !IsNamespace(path(n.kind)) {
			flags |= n.flag
			missing = append(missing, n.kind)
		}
	}
	if flags == 0 {
		return nil
	}
	return inNew(flags, "namespaces", func() error {
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
	})
}

// inNew runs f on a thread in new namespaces, which go with it unless they are pinned.
func inNew(flags int, what string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the runtime ends the thread with the goroutine
		if err := unix.Unshare(flags); err != nil {
			done <- fmt.Errorf("cannot make %s: %w", what, err)
			return
		}
		done <- f()
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

// IsNamespace reports whether path is a pinned namespace rather than nothing, or the empty file that remains when a pin is gone.
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

// InNewNetNS runs f on a thread that is inside a network namespace of its own, which goes with it.
func InNewNetNS(f func() error) error { return inNew(unix.CLONE_NEWNET, "a network namespace", f) }

// InNetNS runs f on a thread that is inside the network namespace pinned at path. Sockets that f opens stay in that namespace.
// Where nothing is pinned the error is os.ErrNotExist, whether or not there is the file for a pin. f must not start goroutines that rely on it.
func InNetNS(path string, f func() error) error {
	ns, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("cannot open network namespace: %w", err)
	}
	defer ns.Close()
	runtime.LockOSThread()
	home, err := OwnNetNS()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		if errors.Is(err, unix.EINVAL) { // an ordinary file: the pin is about to be made, or to go
			return fault.New(os.ErrNotExist, "cannot enter network namespace %s: nothing is pinned there", path)
		}
		return fmt.Errorf("cannot enter network namespace %s: %w", path, err)
	}
	// A thread that cannot go home stays locked, so that the runtime ends it with this goroutine.
	defer func() {
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
	}()
	return f()
}

// OwnNetNS opens the network namespace of the calling thread.
func OwnNetNS() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// NetNS tells one namespace from another that was pinned later at the same path.
type NetNS struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// NetNSAt identifies the network namespace pinned at path.
func NetNSAt(path string) (NetNS, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return NetNS{}, fmt.Errorf("cannot find network namespace %s: %w", path, err)
	}
	return NetNS{uint64(st.Dev), st.Ino}, nil
}

// IDRange are ids of users, or of groups, of a user namespace: Count of them from First on are those of the machine from Machine on.
type IDRange struct{ First, Machine, Count int64 }

// UserIDs are the ids of the users that there are in the user namespace of this process; none if that cannot be told.
func UserIDs() []IDRange {
	b, _ := disk.ReadFile("/proc/self/uid_map")
	var ids []IDRange
	for line := range strings.Lines(string(b)) {
		var r IDRange
		if n, _ := fmt.Sscan(line, &r.First, &r.Machine, &r.Count); n == 3 {
			ids = append(ids, r)
		}
	}
	return ids
}

// AllIDs reports whether ids are those of the user namespace that the machine began with, to which all that it has belongs.
func AllIDs(ids []IDRange) bool {
	return len(ids) == 0 || len(ids) == 1 && ids[0] == IDRange{Count: math.MaxUint32}
}

// OOMScore is the adjustment by which the OOM killer chooses this process earlier, or later, than others; 0 if that cannot be told.
func OOMScore() int {
	b, _ := disk.ReadFile("/proc/self/oom_score_adj")
	n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return n
}
