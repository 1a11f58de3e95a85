package netstack

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"podc.example/podc/internal/kernel"
)

// socketOwner names the process that has a port of the host, as well as it can be found out.
func socketOwner(ip netip.Addr, port uint16, protocol string) string {
	for _, file := range []string{protocol, protocol + "6"} {
		for _, s := range hostSockets("/proc/thread-self/net/" + file) {
			bothFamilies := s.ip == netip.IPv6Unspecified() // unless it is asked not to, which nobody is told
			if s.port != port || !bothFamilies && !Overlap(s.ip, ip) {
				continue
			}
			if pid, comm := processWith(s.inode); pid != 0 {
				return fmt.Sprintf("process %s (pid %d)", comm, pid)
			}
		}
	}
	return "another program (a reservation that does not listen, or a process that cannot be seen)"
}

// hostSocket is a socket that others cannot bind beside: listening TCP, or any UDP.
type hostSocket struct {
	ip    netip.Addr
	port  uint16
	inode string
}

// hostSockets reads a table of sockets as in /proc/net/tcp.
func hostSockets(path string) []hostSocket {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []hostSocket
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if s, ok := parseSocket(sc.Text()); ok {
			out = append(out, s)
		}
	}
	return out
}

// parseSocket reads a line: "sl local_address rem_address st ... inode ...". Only TCP sockets that listen (0A) and UDP
// sockets (07) count.
func parseSocket(line string) (hostSocket, bool) {
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != "0A" && f[3] != "07" {
		return hostSocket{}, false
	}
	addr, port, ok := strings.Cut(f[1], ":")
	p, err := strconv.ParseUint(port, 16, 16)
	raw, err2 := hex.DecodeString(addr)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return hostSocket{}, false
	}
	for i := 0; i < len(raw); i += 4 { // each word is printed in host order
		binary.BigEndian.PutUint32(raw[i:], binary.NativeEndian.Uint32(raw[i:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return hostSocket{ip.Unmap(), uint16(p), f[9]}, ok
}

// processWith finds a process that holds the socket with an inode.
func processWith(inode string) (pid int, comm string) {
	want := "socket:[" + inode + "]"
	for _, pid := range kernel.Processes() {
		dir := "/proc/" + strconv.Itoa(pid)
		fds, err := os.ReadDir(dir + "/fd")
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if l, err := os.Readlink(dir + "/fd/" + fd.Name()); err == nil && l == want {
				return pid, kernel.Comm(pid)
			}
		}
	}
	return 0, ""
}
