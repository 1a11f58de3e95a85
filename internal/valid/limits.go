package valid

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

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
	return size(bytes, minMemory, "limit of memory", " (6 MiB)")
}

// size takes 0, or bytes from the least on, which is said in other words too, of what it is the size of.
func size(bytes, least int64, of, inWords string) error {
	switch {
	case bytes == beyond:
		return fmt.Errorf("is no %s: it is too large, at most %d bytes (1 PiB) are possible", of, int64(maxMemory))
	case bytes != 0 && (bytes < least || bytes > maxMemory):
		return fmt.Errorf("%d is no %s: between %d bytes%s and %d (1 PiB) are possible", bytes, of, least, inWords, int64(maxMemory))
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
	return size(bytes, 4096, "size of a file system in memory", "")
}

// Pids takes the most processes of a container; 0 means the default and -1 no limit. The kernel has no more than 4194304.
func Pids(v int64) error { return Between(v, -1, 4_194_304) }

// OOMScore takes how willingly the kernel ends a process when memory is short.
func OOMScore(v int64) error { return Between(v, -1000, 1000) }

// Swappiness takes how willingly the kernel swaps.
func Swappiness(v int64) error { return Between(v, 0, 100) }

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
