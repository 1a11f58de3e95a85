package netstack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

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

// ipv6Sysctls makes an interface of the current namespace have IPv6 or none. Addresses are not probed for duplicates before
// they can be used, which takes the kernel a second or two: podc gives none twice.
func ipv6Sysctls(ifname string, on bool) error {
	dir := "ipv6/conf/" + ifname + "/"
	if !on {
		return setSysctl(dir+"disable_ipv6", "1", true)
	}
	return errors.Join(setSysctl(dir+"accept_dad", "0", false), setSysctl(dir+"accept_ra", "0", false), setSysctl(dir+"disable_ipv6", "0", false))
}

// forwardIPv6 turns forwarding on. A host that forwards no longer believes router advertisements, from which it may have its own
// default route: interfaces that did so are told to go on.
func forwardIPv6() error {
	now, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/forwarding")
	if err != nil {
		return fmt.Errorf("this host has no IPv6: %w", err)
	}
	if strings.TrimSpace(string(now)) == "1" {
		return nil
	}
	all, err := listDir("/proc/sys/net/ipv6/conf")
	if err != nil {
		return err
	}
	for _, ifname := range all {
		key := "ipv6/conf/" + ifname + "/accept_ra"
		if b, err := os.ReadFile("/proc/sys/net/" + key); err == nil && strings.TrimSpace(string(b)) == "1" && ifname != "all" {
			if err := setSysctl(key, "2", true); err != nil {
				return err
			}
		}
	}
	return setSysctl("ipv6/conf/all/forwarding", "1", false)
}
