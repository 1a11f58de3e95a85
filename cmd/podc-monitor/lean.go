package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// stayLean trades time, of which a helper has plenty, for memory, of which it has one per group: a small heap, one
// processor, and after start, the time that its start takes, no page mapped of the program that only the start needed. again,
// if not 0, is how often that is repeated by a helper that goes on working.
func stayLean(start, again time.Duration) {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(20)
	time.AfterFunc(start, func() {
		letGo()
		if again == 0 {
			return
		}
		for range time.Tick(again) {
			letGo()
		}
	})
}

// letGo unmaps what the start has touched: heap that is free, and the program's own pages, which the kernel maps again
// when they are needed, from the page cache, and around which it has mapped many more than are. Only read-only mappings of
// files are let go of, in which nothing can be lost.
func letGo() {
	debug.FreeOSMemory()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		f := bytes.Fields(line)
		if len(f) < 6 || f[5][0] != '/' || f[1][1] == 'w' || f[1][0] != 'r' {
			continue
		}
		from, to, _ := bytes.Cut(f[0], []byte{'-'})
		begin, err1 := strconv.ParseUint(string(from), 16, 64)
		end, err2 := strconv.ParseUint(string(to), 16, 64)
		if err1 == nil && err2 == nil {
			unix.Syscall(unix.SYS_MADVISE, uintptr(begin), uintptr(end-begin), unix.MADV_DONTNEED)
		}
	}
}
