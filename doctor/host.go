package doctor

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/resolvconf"
)

// forwarding looks at what lets packets of containers leave the host.
func forwarding(_ context.Context, h Host) []Finding {
	switch h.read("/proc/sys/net/ipv4/ip_forward") {
	case "1":
		return []Finding{fine("ip_forward", "on")}
	case "0":
		return []Finding{fine("ip_forward", "off; podc switches it on with the first network")}
	}
	return []Finding{{"ip_forward", Missing, "the kernel has no IPv4 forwarding", "use a kernel with CONFIG_INET"}}
}

// names looks at who answers names that are not those of containers.
func names(_ context.Context, h Host) []Finding {
	conf, err := resolvconf.Read(h.file(resolvconf.Path))
	if err != nil {
		return []Finding{{"dns", Warning, fmt.Sprintf("cannot read /etc/resolv.conf: %v", disk.Pathless(err)), "name a server in it (nameserver 192.0.2.1), or per service with dns:"}}
	}
	var servers []string
	for _, a := range conf.Servers {
		servers = append(servers, a.String())
	}
	if len(servers) == 0 {
		return []Finding{{"dns", Warning, "/etc/resolv.conf names no server: containers know each other's names, and no others", "name a server in it (nameserver 192.0.2.1), or per service with dns:"}}
	}
	return []Finding{fine("dns", strings.Join(servers, " "))}
}

// limit is a number of the kernel's that many containers may exhaust.
type limit struct {
	name, path string
	least      int
	why        string
}

var kernelLimits = []limit{
	{"inotify instances", "/proc/sys/fs/inotify/max_user_instances", 128, "each project's monitor takes one, and programs in containers more"},
	{"processes", "/proc/sys/kernel/pid_max", 32768, "all containers share them"},
	{"connections", "/proc/sys/net/netfilter/nf_conntrack_max", 16384, "connections beyond it are dropped"},
}

// openFiles is how many descriptors programs in containers expect to be allowed.
const openFiles = 4096

func limits(_ context.Context, h Host) []Finding {
	var found []Finding
	for _, l := range kernelLimits {
		n, err := strconv.Atoi(h.read(l.path))
		if err == nil && n < l.least {
			key := strings.ReplaceAll(strings.TrimPrefix(l.path, "/proc/sys/"), "/", ".")
			found = append(found, Finding{"limits", Warning, fmt.Sprintf("%s are limited to %d: %s", l.name, n, l.why), fmt.Sprintf("sysctl -w %s=%d", key, l.least)})
		}
	}
	if hard, ok := h.hardLimit("Max open files"); ok && hard < openFiles {
		found = append(found, Finding{"limits", Warning, fmt.Sprintf("open files are limited to %d, for podc and every container", hard), fmt.Sprintf("raise it: ulimit -Hn %d, or /etc/security/limits.conf", 1<<20)})
	}
	if len(found) == 0 {
		found = append(found, fine("limits", "files, processes, inotify, connections"))
	}
	return found
}

// hardLimit reads a hard limit of this process; one without end is none.
func (h Host) hardLimit(name string) (int, bool) {
	for line := range strings.Lines(h.read("/proc/self/limits") + "\n") {
		if rest, ok := strings.CutPrefix(line, name); ok {
			if f := strings.Fields(rest); len(f) > 1 {
				n, err := strconv.Atoi(f[1])
				return n, err == nil
			}
		}
	}
	return 0, false
}

// subIDs looks for ranges of ids for containers with a user namespace of their own.
func subIDs(_ context.Context, h Host) []Finding {
	for _, name := range []string{"/etc/subuid", "/etc/subgid"} {
		if h.read(name) == "" {
			return []Finding{{"sub-ids", Warning, name + " has no entry: containers cannot have user ids of their own (userns_mode: auto)",
				"if you want that: echo containers:2147483647:2147483648 | tee -a /etc/subuid /etc/subgid"}}
		}
	}
	return []Finding{fine("sub-ids", "in /etc/subuid and /etc/subgid")}
}

const (
	leastBytes = 200 << 20 // without which nothing can be made
	fewBytes   = 2 << 30
)

// space looks at the file systems of the roots.
func space(_ context.Context, h Host) []Finding {
	return []Finding{h.room("data root", h.DataRoot, leastBytes, fewBytes), h.room("run root", h.RunRoot, 4<<20, 32<<20)}
}

func (h Host) room(name, dir string, least, few uint64) Finding {
	var st unix.Statfs_t
	at := dir
	for unix.Statfs(at, &st) != nil {
		if at == filepath.Dir(at) {
			return Finding{name, Missing, "cannot find " + dir, "choose another with --root and --runroot"}
		}
		at = filepath.Dir(at)
	}
	free := st.Bavail * uint64(st.Bsize)
	text := fmt.Sprintf("%s: %d MiB free", dir, free>>20)
	if st.Files > 0 && st.Ffree*100 < st.Files {
		return Finding{name, Warning, fmt.Sprintf("%s: %d of %d inodes free", dir, st.Ffree, st.Files), "remove small files, or choose another file system"}
	}
	switch {
	case st.Flags&unix.ST_RDONLY != 0:
		return Finding{name, Missing, dir + " is on a read-only file system", "remount it, or choose another with --root and --runroot"}
	case free < least:
		return Finding{name, Missing, text, "make room: podc image ls, podc volume ls"}
	case free < few:
		return Finding{name, Warning, text, "make room: podc image ls, podc volume ls"}
	}
	return fine(name, text)
}
