// Package kernel asks the kernel, and knows nothing of pods: which processes there are and what they are (table.go), processes named beyond
// doubt (process.go), what happens in folders, namespaces, settings, sockets, login uids. Each question is asked in one place.
package kernel

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
)

// Processes lists the processes of the machine, as far as they are in this one's pid namespace.
func Processes() (pids []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil // without it nothing of podc works, and nothing is lost
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// PIDs reads a list of processes, such as a cgroup.procs; none if there is no such file.
func PIDs(path string) (pids []int) {
	b, _ := disk.ReadFile(path)
	for f := range strings.FieldsSeq(string(b)) {
		if pid, err := strconv.Atoi(f); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Children lists the children of a process's first thread.
func Children(pid int) []int {
	n := strconv.Itoa(pid)
	return PIDs("/proc/" + n + "/task/" + n + "/children")
}

// Args is the command line of a process; none if it has ended, or shows none.
func Args(pid int) []string {
	b, _ := disk.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// Comm is the kernel's name of a process, up to 15 bytes of its program's; "" if it has ended.
func Comm(pid int) string {
	b, _ := disk.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.TrimSpace(string(b))
}

// Stat is what proc_pid_stat(5) says of a process.
type Stat struct {
	Name     string // as the kernel has it, 15 bytes at most
	State    byte   // 'R', 'S', 'D', 'T', 'Z', ...
	Parent   int
	Terminal uint64        // its device number
	Exiting  bool          // the kernel is taking it apart
	Work     time.Duration // of processors
	Threads  int
	Start    uint64 // Ticks since boot: with the pid, it names a process beyond doubt
	Virtual  int64  // bytes of address space
	Resident int64  // bytes in memory
}

// Tick is the kernel's USER_HZ, the same on every machine.
const Tick = 10 * time.Millisecond

// pfExiting is the kernel's PF_EXITING among a task's flags.
const pfExiting = 0x4

// StatOf reads it; ok is false if there is no such process.
func StatOf(pid int) (s Stat, ok bool) {
	b, err := disk.ReadOnce("/proc/" + strconv.Itoa(pid) + "/stat")
	// The command name, in parentheses, may hold anything; what follows the last one is regular.
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if err != nil || open < 0 || end < open {
		return s, false
	}
	f := bytes.Fields(b[end+1:])
	if len(f) < 22 {
		return s, false
	}
	number := func(i int) int64 { // field i, as the manual counts them
		n, _ := strconv.ParseInt(string(f[i-3]), 10, 64)
		return n
	}
	return Stat{
		Name: string(b[open+1 : end]), State: f[0][0], Parent: int(number(4)), Terminal: uint64(number(7)), Exiting: number(9)&pfExiting != 0,
		Work: time.Duration(number(14)+number(15)) * Tick, Threads: int(number(20)), Start: uint64(number(22)),
		Virtual: number(23), Resident: number(24) * int64(os.Getpagesize()),
	}, true
}

// BootID is the kernel's id of this run of the machine; "" if it does not say.
var BootID = sync.OnceValue(func() string {
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
})

// of is a file of a process below /proc.
func of(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// RootOf is the path of a process's root folder, as it is while the process lives.
func RootOf(pid int) string { return of(pid, "root") }

// NamespaceOf is the path of a namespace of a process: "net", "pid", ...
func NamespaceOf(pid int, kind string) string { return of(pid, "ns/"+kind) }

// StderrOf is the path of a process's standard error.
func StderrOf(pid int) string { return of(pid, "fd/2") }

// MountsOf lists what is mounted for a process.
func MountsOf(pid int) ([]*mountinfo.Info, error) {
	table, err := os.Open(of(pid, "mountinfo"))
	if err != nil {
		return nil, err
	}
	defer table.Close()
	return mountinfo.GetMountsFromReader(table, nil)
}

// Environ is the environment that a process was started with, K=V; none if it has ended.
func Environ(pid int) []string {
	b, _ := os.ReadFile(of(pid, "environ"))
	return strings.Split(string(b), "\x00")
}

// UID is the effective user id of a process; ok is false if it has ended.
func UID(pid int) (uid int, ok bool) {
	var st unix.Stat_t
	err := unix.Stat(of(pid, ""), &st)
	return int(st.Uid), err == nil
}

// Switches is how often the threads of a process gave up a processor, or lost it: while a process does anything, it grows.
func Switches(pid int) (n int) {
	status, _ := disk.ReadFile(of(pid, "status"))
	for line := range strings.Lines(string(status)) {
		if name, count, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "_ctxt_switches") {
			c, _ := strconv.Atoi(strings.TrimSpace(count))
			n += c
		}
	}
	return n
}

// Memory is the memory of the host in bytes.
func Memory() int64 {
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			return ParseCount(f[1]) << 10
		}
	}
	return 0
}

// CPUs is what all CPUs have done since boot, idling included, and how many they are.
func CPUs() (total time.Duration, cpus int, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, fmt.Errorf("cannot read what the host's CPUs have done: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) < 9 || !strings.HasPrefix(f[0], "cpu"):
		case f[0] == "cpu":
			for _, ticks := range f[1:9] { // guests are counted in user already
				total += time.Duration(ParseCount(ticks)) * Tick
			}
		default:
			cpus++
		}
	}
	return total, cpus, nil
}

// NetworkUsage reads the interfaces that a process sees, but for loopback.
func NetworkUsage(pid int) map[string]api.NetworkUsage {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/dev", pid))
	list := map[string]api.NetworkUsage{}
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if name = strings.TrimSpace(name); !ok || name == "lo" || len(f) < 12 {
			continue
		}
		n := func(i int) int64 { return ParseCount(f[i]) }
		list[name] = api.NetworkUsage{RxBytes: n(0), RxPackets: n(1), RxErrors: n(2), RxDropped: n(3), TxBytes: n(8), TxPackets: n(9), TxErrors: n(10), TxDropped: n(11)}
	}
	return list
}

// ParseCount reads a count; "max" and nothing are 0.
func ParseCount(s string) int64 {
	n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 64) // beyond the range it is the largest there is
	return n
}
