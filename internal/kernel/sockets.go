package kernel

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Socket is a socket of the calling thread's network namespace that others cannot bind beside: listening TCP, or any UDP.
type Socket struct {
	Addr  netip.AddrPort
	inode string
}

// Sockets lists those of a table: tcp, tcp6, udp or udp6.
func Sockets(table string) []Socket {
	f, err := os.Open("/proc/thread-self/net/" + table)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []Socket
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if s, ok := parseSocket(sc.Text()); ok {
			out = append(out, s)
		}
	}
	return out
}

// parseSocket reads a line: "sl local_address rem_address st ... inode ...". Only TCP sockets that listen (0A) and UDP
// sockets (07) count.
func parseSocket(line string) (Socket, bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != "0A" && f[3] != "07" {
		return Socket{}, false
	}
	addr, port, ok := strings.Cut(f[1], ":")
	p, err := strconv.ParseUint(port, 16, 16)
	raw, err2 := hex.DecodeString(addr)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return Socket{}, false
	}
	for i := 0; i < len(raw); i += 4 { // each word is printed in host order
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return Socket{netip.AddrPortFrom(ip.Unmap(), uint16(p)), f[9]}, ok
}

// Holder finds a process that has s; 0 if none can be seen.
func (s Socket) Holder() (pid int) {
	want := "socket:[" + s.inode + "]"
	for _, pid := range Processes() {
		dir := "/proc/" + strconv.Itoa(pid)
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if l, err := os.Readlink(dir + "/fd/" + fd.Name()); err == nil && l == want {
				return pid
			}
		}
	}
	return 0
}
