// Package valid holds the rules of single values that podc hands to the kernel or to the OCI runtime: what they take, and what a
// program can do with. Each rule is one pure function, called where the value is read, so that the message names the place, and
// by whoever takes it from a program. It knows nothing of compose files or pods.
//
// The errors say what is wrong with the value and quote it; they have no class.
package valid

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/signal"
	"golang.org/x/sys/unix"
)

// Text takes what a process may be given: no control characters but those of layout. None of them can be in an argument or a
// variable for NUL, and the others are for terminals.
func Text(s string) error {
	for _, r := range s {
		if control(r) && r != '\n' && r != '\t' && r != '\r' {
			return fmt.Errorf("%.60q holds the control character U+%04X", s, r)
		}
	}
	return nil
}

// Line takes Text of one line.
func Line(s string) error {
	if strings.ContainsAny(s, "\n\r") {
		return fmt.Errorf("%.60q is more than one line", s)
	}
	return Text(s)
}

// lastSignal is the kernel's SIGRTMAX.
const lastSignal = 64

// Signal takes the name of a signal, with or without "SIG", or its number.
func Signal(name string) (unix.Signal, error) {
	s, err := signal.ParseSignal(name)
	if err != nil || s < 1 || s > lastSignal {
		return 0, fmt.Errorf("signal %q is not known", name)
	}
	return s, nil
}

func control(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// Labels takes the labels of an object.
func Labels(labels map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if key == "" {
			return fmt.Errorf("a label has no name")
		}
		if err := Line(key); err != nil {
			return fmt.Errorf("the label %w", err)
		}
		if err := Text(labels[key]); err != nil {
			return fmt.Errorf("the label %s: %w", key, err)
		}
	}
	return nil
}

// VariableName takes the name of an environment variable.
func VariableName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("an environment variable has no name")
	case strings.ContainsAny(s, "= \t\n\r"):
		return fmt.Errorf("%.60q is no name of an environment variable", s)
	}
	return Text(s)
}

// maxVariable is what the kernel takes of one string of arguments or environment, in bytes with its NUL (MAX_ARG_STRLEN);
// maxArguments what it takes of all of them, with a pointer for each, where the stack is limited to the usual 8 MiB.
const (
	maxVariable  = 128 << 10
	maxArguments = 2 << 20
)

// Arguments takes the argument list and the environment ("NAME=VALUE") of a process.
func Arguments(args, env []string) error {
	total := 0
	for _, s := range args {
		if len(s) >= maxVariable {
			return fmt.Errorf("the argument %.20q... is longer than the %d KiB that the kernel takes", s, maxVariable>>10)
		}
		if err := Text(s); err != nil {
			return fmt.Errorf("the argument %w", err)
		}
		total += len(s) + 9
	}
	for _, s := range env {
		name, value, _ := strings.Cut(s, "=")
		if err := VariableName(name); err != nil {
			return err
		}
		if len(s) >= maxVariable {
			return fmt.Errorf("the environment variable %.40s is longer than the %d KiB that the kernel takes", name, maxVariable>>10)
		}
		if err := Text(value); err != nil {
			return fmt.Errorf("the environment variable %s: %w", name, err)
		}
		total += len(s) + 9
	}
	if total > maxArguments {
		return fmt.Errorf("arguments and environment take %d KiB, and the kernel takes %d KiB", total>>10, maxArguments>>10)
	}
	return nil
}

var (
	hostName = form(`^[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]*[a-zA-Z0-9_])?)*$`)
	sysctl   = form(`^[a-z0-9_]+([./][a-zA-Z0-9_*-]+)+$`)
)

// maxNodeName is what the kernel takes of host and domain names, in bytes (__NEW_UTS_LEN).
const maxNodeName = 64

// HostName takes the host name or the domain name of a container.
func HostName(s string) error {
	if len(s) > maxNodeName {
		return fmt.Errorf("%.20q... is longer than %d characters", s, maxNodeName)
	}
	return Name(s)
}

// Name takes what name servers answer for: labels of letters, digits, "-" and "_", joined by dots.
func Name(s string) error {
	if len(s) > 253 {
		return fmt.Errorf("%.20q... is longer than 253 characters", s)
	}
	if !hostName(s) {
		return fmt.Errorf("%.60q is no name of a host: want letters, digits, \"-\" and \"_\", in parts joined by dots", s)
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 {
			return fmt.Errorf("%.20q... has a part of more than 63 characters", s)
		}
	}
	return nil
}

// SearchDomain takes an entry of dns_search; "." means none.
func SearchDomain(s string) error {
	if s == "." {
		return nil
	}
	return Name(strings.TrimSuffix(s, "."))
}

// Word takes what must be one word, such as an option of resolv.conf.
func Word(s string) error {
	if s == "" || strings.ContainsAny(s, " \t\n\r") {
		return fmt.Errorf("%.60q is not one word", s)
	}
	return Text(s)
}

// Sysctl takes the name of a setting of the kernel, written with dots or slashes, and its value.
func Sysctl(name, value string) error {
	if !sysctl(name) || strings.Contains(name, "..") {
		return fmt.Errorf("%.60q is no name of a setting of the kernel such as net.core.somaxconn", name)
	}
	if err := Line(value); err != nil {
		return fmt.Errorf("the value %w", err)
	}
	return nil
}

// AbsolutePath takes a path that begins with "/".
func AbsolutePath(s string) error {
	if !path.IsAbs(s) {
		return fmt.Errorf("%.60q is not an absolute path", s)
	}
	return Path(s)
}

// WorkingDir takes the folder, a path like another, in which a container begins. Below /proc none does: the links there are to
// descriptors, from where it would be in files of the host's (CVE-2024-21626). What is started in one that runs may.
func WorkingDir(s string) error {
	if strings.HasPrefix(path.Clean(s), "/proc/") {
		return fmt.Errorf("%.60q lies in /proc, where no container may work", s)
	}
	return nil
}

// maxPath is what the kernel takes of a path, in bytes with its NUL; maxPathPart of what stands between two slashes.
const (
	maxPath     = 4096
	maxPathPart = 255
)

// Path takes what may name a file.
func Path(s string) error {
	if err := PathLength(s); err != nil {
		return err
	}
	return Text(s)
}

// PathLength takes a path, of whatever characters, that is no longer than the kernel takes.
func PathLength(s string) error {
	if len(s) >= maxPath {
		return fmt.Errorf("the path %.20q... is longer than %d bytes", s, maxPath-1)
	}
	for part := range strings.SplitSeq(s, "/") {
		if len(part) > maxPathPart {
			return fmt.Errorf("the path %.20q... has a name of more than %d bytes", s, maxPathPart)
		}
	}
	return nil
}

// User takes USER or USER:GROUP, by name or id.
func User(s string) error {
	user, group, _ := strings.Cut(s, ":")
	if strings.Contains(group, ":") || strings.ContainsAny(s, "\n\r\t /") {
		return fmt.Errorf("%.60q is not USER or USER:GROUP", s)
	}
	if err := ID(user); err != nil {
		return err
	}
	return ID(group)
}

// Group takes one group, by name or id.
func Group(s string) error {
	if s == "" || strings.ContainsAny(s, ":\n\r\t /") {
		return fmt.Errorf("%.60q is no group", s)
	}
	return ID(s)
}

// ID takes a name, or the id of a user or a group: a larger number would wrap around, to root at worst, and the largest means none.
func ID(s string) error {
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		if strings.HasPrefix(s, "-") {
			return fmt.Errorf("%.60q is no name", s)
		}
		return Text(s)
	}
	return NumericID(s)
}

// NumericID takes the id of a user or a group, up to the largest that a process may be started with, in docker too.
func NumericID(s string) error {
	if id, err := strconv.ParseInt(s, 10, 64); err != nil || id < 0 || id > math.MaxInt32 {
		return fmt.Errorf("%.60s is not an id between 0 and %d", s, math.MaxInt32)
	}
	return nil
}

// Between takes numbers of a range; a high of math.MaxInt64 means none.
func Between(v, low, high int64) error {
	switch {
	case v >= low && v <= high:
		return nil
	case high == math.MaxInt64:
		return fmt.Errorf("%d is less than %d", v, low)
	}
	return fmt.Errorf("%d is not between %d and %d", v, low, high)
}

// Sizes of memory, in bytes: no program starts in less than the least, which is docker's, and no machine has the most.
const (
	minMemory = 6 << 20
	maxMemory = 1 << 50
)

// beyond is what a size is that 64 bits do not hold, once it has been parsed.
const beyond = math.MinInt64

// Memory takes a limit of memory in bytes; 0 means none.
func Memory(bytes int64) error {
	if bytes == beyond {
		return fmt.Errorf("is no limit of memory: it is too large, at most %d bytes (1 PiB) are possible", int64(maxMemory))
	}
	if bytes != 0 && (bytes < minMemory || bytes > maxMemory) {
		return fmt.Errorf("%d is no limit of memory: between %d bytes (6 MiB) and %d (1 PiB) are possible", bytes, minMemory, maxMemory)
	}
	return nil
}

// MemorySwap takes the limit of memory and swap together: 0 for twice the limit of memory, -1 for none.
func MemorySwap(bytes, memory int64) error {
	switch {
	case bytes == 0, bytes == -1:
		return nil
	case bytes < -1 && bytes != beyond:
		return fmt.Errorf("%d is less than -1", bytes)
	case memory == 0:
		return fmt.Errorf("needs a mem_limit, which it includes")
	case bytes < memory:
		return fmt.Errorf("is smaller than mem_limit, which it includes")
	}
	return Memory(bytes)
}

// FileSystemSize takes the size of a tmpfs in bytes; 0 means the default.
func FileSystemSize(bytes int64) error {
	if bytes == beyond {
		return fmt.Errorf("is no size of a file system in memory: it is too large, at most %d bytes (1 PiB) are possible", int64(maxMemory))
	}
	if bytes != 0 && (bytes < 4096 || bytes > maxMemory) {
		return fmt.Errorf("%d is no size of a file system in memory: between 4096 bytes and %d (1 PiB) are possible", bytes, maxMemory)
	}
	return nil
}

// Pids takes the most processes of a container; 0 means the default and -1 no limit. The kernel has no more than 4194304.
func Pids(v int64) error { return Between(v, -1, 4_194_304) }

// OOMScore takes how willingly the kernel ends a process when memory is short.
func OOMScore(v int64) error { return Between(v, -1000, 1000) }

// Swappiness takes how willingly the kernel swaps.
func Swappiness(v int64) error { return Between(v, 0, 100) }

// MostRetries bounds the retries of health checks.
const MostRetries = 1_000_000

// CPUShares takes a weight; 0 means the default.
func CPUShares(v int64) error { return orZero(v, 2, 262_144) }

// CPUPeriod takes the length of a period of the scheduler in microseconds; 0 means the default.
func CPUPeriod(v int64) error { return orZero(v, 1000, 1_000_000) }

// CPUQuota takes the time of processors in a period, in microseconds; 0 and -1 mean all.
func CPUQuota(v int64) error {
	if v == -1 {
		return nil
	}
	return orZero(v, 1000, math.MaxInt64)
}

func orZero(v, low, high int64) error {
	if v == 0 {
		return nil
	}
	return Between(v, low, high)
}

// CPUs takes a number of processors; 0 means all.
func CPUs(v float64) error {
	if math.IsNaN(v) || v < 0 || v > 1e5 || v > 0 && v < 0.01 {
		return fmt.Errorf("%g is no number of processors: at least 0.01 is possible", v)
	}
	return nil
}

var cpusetForm = form(`^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$`)

// Cpuset takes a list of processors; "" means all.
func Cpuset(s string) error {
	if s == "" {
		return nil
	}
	ok := cpusetForm(s)
	for part := range strings.SplitSeq(s, ",") {
		first, last := CPURange(part)
		ok = ok && first <= last
	}
	if !ok {
		return fmt.Errorf("%.40q is no list of processors such as \"0-3,5\"", s)
	}
	return nil
}

// CPURange reads one entry of a list of processors, "5" or "0-3".
func CPURange(s string) (first, last int) {
	from, to, ranged := strings.Cut(s, "-")
	first, _ = strconv.Atoi(from)
	if last = first; ranged {
		last, _ = strconv.Atoi(to)
	}
	return first, last
}

// maxDuration is more than any container lives.
const maxDuration = 100 * 365 * 24 * time.Hour

// Duration takes how long to wait: 0, which may mean a default, or a millisecond at least.
func Duration(d time.Duration) error {
	switch {
	case d < 0:
		return fmt.Errorf("%s is negative", d)
	case d != 0 && d < time.Millisecond:
		return fmt.Errorf("%s is less than 1ms", d)
	case d > maxDuration:
		return fmt.Errorf("%s is longer than 100 years", d)
	}
	return nil
}

// HealthTest takes the test of a health check; none means the image's.
func HealthTest(test []string) error {
	if len(test) == 0 {
		return nil
	}
	switch form := test[0]; {
	case form != "NONE" && form != "CMD" && form != "CMD-SHELL":
		return fmt.Errorf("begins with %.60q rather than \"CMD\", \"CMD-SHELL\" or \"NONE\"", form)
	case form == "NONE" && len(test) > 1:
		return fmt.Errorf("\"NONE\" takes no arguments")
	case form == "CMD" && len(test) < 2:
		return fmt.Errorf("\"CMD\" needs a command")
	case form == "CMD-SHELL" && len(test) < 2:
		return fmt.Errorf("\"CMD-SHELL\" needs a line")
	}
	return Arguments(test, nil)
}

// CgroupParent takes the path of a cgroup below the root of the hierarchy.
func CgroupParent(s string) error {
	if strings.Trim(s, "/.") == "" {
		return fmt.Errorf("%.60q names no cgroup", s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if part == ".." {
			return fmt.Errorf("%.60q leads upwards", s)
		}
	}
	if err := Line(s); err != nil {
		return err
	}
	return Path(s)
}

// minFiles is what no process can be started with less of: its three streams, and one to read with.
const minFiles = 4

// Ulimit takes a resource limit by docker's name; -1 means none.
func Ulimit(name string, soft, hard int64) error {
	switch {
	case soft < -1 || hard < -1:
		return fmt.Errorf("is less than -1, which means unlimited")
	case hard != -1 && (soft > hard || soft == -1):
		return fmt.Errorf("the soft limit %d is above the hard limit %d", soft, hard)
	case name == "nofile" && soft != -1 && soft < minFiles:
		return fmt.Errorf("no container can start with %d open files, at least %d are needed", soft, minFiles)
	}
	return nil
}

// IsName reports whether s is a name as objects have them: of letters, digits, "_", "." and "-", with a letter or digit first. CNI
// allows the same for networks and containers.
var IsName = form(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// form is what tells whether a text has the form of a pattern, which is compiled when it is first asked for: few commands, and no
// exit of a container, need one.
func form(pattern string) func(string) bool {
	compiled := sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
	return func(s string) bool { return compiled().MatchString(s) }
}

// Driver takes the name of a driver, which is that of a program in certain folders.
func Driver(s string) error {
	if !IsName(s) || len(s) > 64 {
		return fmt.Errorf("%.60q is no name of a driver", s)
	}
	return nil
}

// Runtime takes an OCI runtime: a program's name, or its absolute path.
func Runtime(s string) error {
	if IsName(s) {
		return nil
	}
	if !path.IsAbs(s) {
		return fmt.Errorf("%.60q is no OCI runtime: want the name of a program, or its absolute path", s)
	}
	return Path(s)
}

// noSubnets are ranges that no network can have: "this" network, the host's own, and many hosts at once.
var noSubnets = []struct {
	prefix netip.Prefix
	is     string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "means no address"},
	{netip.MustParsePrefix("127.0.0.0/8"), "is every host's own"},
	{netip.MustParsePrefix("224.0.0.0/4"), "is for multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "is reserved"},
	{netip.MustParsePrefix("::/96"), "means no address, or a host's own"},
	{netip.MustParsePrefix("::ffff:0:0/96"), "holds IPv4 addresses"},
	{netip.MustParsePrefix("ff00::/8"), "is for multicast"},
}

// Subnet takes the range of a network: one with room for a gateway and a container, of addresses that hosts can have.
func Subnet(p netip.Prefix) error {
	if most := p.Addr().BitLen() - 2; p.Bits() > most {
		return fmt.Errorf("%s has no room for containers: a network needs at least a /%d", p, most)
	}
	for _, no := range noSubnets {
		if p.Overlaps(no.prefix) {
			return fmt.Errorf("%s cannot be a network: %s %s", p, no.prefix, no.is)
		}
	}
	return nil
}

// Range takes the part of a subnet from which containers get addresses: it holds others than the gateway's, which is the first of
// the subnet unless it is given.
func Range(r, subnet netip.Prefix, gateway netip.Addr) error {
	if !subnet.Contains(r.Addr()) || r.Bits() < subnet.Bits() {
		return fmt.Errorf("%q is no part of %s", r, subnet)
	}
	if !gateway.IsValid() {
		gateway = subnet.Masked().Addr().Next()
	}
	for a := r.Masked().Addr(); r.Contains(a); a = a.Next() {
		if a != gateway && HostAddress(a, subnet) == nil {
			return nil
		}
	}
	return fmt.Errorf("%s holds no address for a container", r)
}

// Published takes the host's address of a published port.
func Published(a netip.Addr) error {
	switch {
	case a.IsMulticast(), a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is no address of one host", a)
	case a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Errorf("%s is link-local, which says nothing without an interface", a)
	}
	return nil
}

// HostAddress takes an address of a subnet that a host can have: not the first, which is the network's, and in IPv4 not the last,
// which is everybody's.
func HostAddress(a netip.Addr, subnet netip.Prefix) error {
	switch {
	case !subnet.Contains(a):
		return fmt.Errorf("%s is no address of %s", a, subnet)
	case a == subnet.Masked().Addr():
		return fmt.Errorf("%s is no address of a host but that of %s itself", a, subnet)
	case a.Is4() && !subnet.Contains(a.Next()):
		return fmt.Errorf("%s is no address of a host but the broadcast address of %s", a, subnet)
	}
	return nil
}
