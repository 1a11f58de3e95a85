package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/disk"
)

// HostGateway is the address under which the host answers the pod of a: what "host-gateway" means in its extra hosts. It is
// the gateway of the first network that has a way out, else of the first one, that of IPv4 where there are two; false if a has
// no network at all.
func (s *Stack) HostGateway(a Attachment) (netip.Addr, bool) {
	var found netip.Addr
	for _, i := range a.Interfaces {
		gateway := i.Gateway
		if !gateway.IsValid() {
			gateway = i.Gateway6
		}
		if !gateway.IsValid() {
			continue
		}
		if n, err := s.Network(i.Network); err == nil && !n.Internal {
			return gateway, true
		}
		if !found.IsValid() {
			found = gateway
		}
	}
	return found, found.IsValid()
}

// uplinkMTU returns the MTU of the link that has the default route, or 1500.
func uplinkMTU() int {
	routes, err := listRoutes(netlink.FAMILY_ALL, unix.RT_TABLE_MAIN)
	if err != nil {
		return 1500
	}
	best, mtu := -1, 1500
	for _, r := range routes {
		if r.Dst != nil && r.Dst.IP != nil && !r.Dst.IP.IsUnspecified() || best >= 0 && r.Priority >= best {
			continue
		}
		if l, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			best, mtu = r.Priority, l.Attrs().MTU
		}
	}
	return mtu
}

// dump repeats a netlink dump that a change in the meantime made inconsistent.
func dump[T any](f func() ([]T, error)) (all []T, err error) {
	for range 20 {
		if all, err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

func listRoutes(family, table int) ([]netlink.Route, error) {
	return dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
}

// readSysctl reads /proc/sys/net/<key>.
func readSysctl(key string) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net", key))
	return strings.TrimSpace(string(b)), err
}

// setSysctl writes value to /proc/sys/net/<key> unless it is there already; a key that the kernel does not have is fine where
// optional says so.
func setSysctl(key, value string, optional bool) error {
	path := filepath.Join("/proc/sys/net", key)
	now, err := readSysctl(key)
	if optional && errors.Is(err, os.ErrNotExist) || err == nil && now == value {
		return nil
	}
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		return fmt.Errorf("cannot set sysctl net/%s to %s: %w", key, value, err)
	}
	return nil
}

// lockHostNet serialises what must be chosen clear of everything else in this network namespace, by whichever root: it is
// a flock on the namespace itself, so it leaves no file and its scope is exactly the thing that is shared.
func lockHostNet(ctx context.Context) (unlock func(), err error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	l, err := disk.LockFile(ctx, f, disk.Wait{For: "the choice of a subnet on this host", Patience: lockDeadline})
	if err != nil {
		return nil, err
	}
	return l.Unlock, nil
}
