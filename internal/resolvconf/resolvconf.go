// Package resolvconf reads resolv.conf(5): whom a host asks for names.
package resolvconf

import (
	"net/netip"
	"os"
	"slices"
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

// behindStub is where systemd-resolved lists the servers that it asks itself.
const behindStub = "/run/systemd/resolve/resolv.conf"

// Upstreams are the servers that answer others than this host too: those of resolv.conf or, where these are only
// systemd-resolved's, those behind it. Servers on the loopback of the host, which nobody else reaches, are left out.
func Upstreams() []netip.Addr {
	conf, _ := Read(Path)
	if stub := func(a netip.Addr) bool { return !a.IsLoopback() }; !slices.ContainsFunc(conf.Servers, stub) {
		conf, _ = Read(behindStub)
	}
	return slices.DeleteFunc(conf.Servers, netip.Addr.IsLoopback)
}
