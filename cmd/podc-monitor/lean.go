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
// files are let go of, and none of which a page is this process's own, as that of relocated data is: nothing can be lost.
func letGo() {
	debug.FreeOSMemory()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	var mapping [][]byte // its first line, if it is one to let go of
	for line := range bytes.Lines(smaps) {
		f := bytes.Fields(line)
		switch {
		case len(f) > 0 && !bytes.HasSuffix(f[0], []byte(":")):
			mapping = nil
			if len(f) > 5 && f[5][0] == '/' && f[1][0] == 'r' && f[1][1] != 'w' {
				mapping = f
			}
		case mapping != nil && len(f) == 3 && string(f[0]) == "Anonymous:" && string(f[1]) == "0":
			unmap(mapping[0])
		}
	}
}

// unmap lets go of the pages of an address range "from-to", in hexadecimal.
func unmap(addresses []byte) {
	from, to, _ := bytes.Cut(addresses, []byte{'-'})
	begin, err1 := strconv.ParseUint(string(from), 16, 64)
	end, err2 := strconv.ParseUint(string(to), 16, 64)
	if err1 == nil && err2 == nil {
		unix.Syscall(unix.SYS_MADVISE, uintptr(begin), uintptr(end-begin), unix.MADV_DONTNEED)
	}
}
