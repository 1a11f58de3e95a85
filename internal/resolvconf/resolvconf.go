// Package resolvconf reads resolv.conf(5): whom a host asks for names.
package resolvconf

import (
	"net/netip"
	"os"
	"strings"
)

// Path is the host's own.
const Path = "/etc/resolv.conf"

// Conf is what podc needs of it.
type Conf struct {
	Servers []netip.Addr // with zones; what is no address is left out
	Search  []string     // the last list counts
}

// Read reads a file.
func Read(path string) (Conf, error) {
	b, err := os.ReadFile(path)
	var c Conf
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil {
				c.Servers = append(c.Servers, a)
			}
		case "search", "domain":
			c.Search = f[1:]
		}
	}
	return c, err
}
