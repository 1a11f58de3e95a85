package kernel

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/api"
)

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
