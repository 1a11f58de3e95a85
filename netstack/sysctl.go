package netstack

import (
	"errors"
	"fmt"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// ipv6Sysctls makes an interface of the current namespace have IPv6 or none. Addresses are not probed for duplicates before
// they can be used, which takes the kernel a second or two: podc gives none twice.
func ipv6Sysctls(ifname string, on bool) error {
	dir := "net/ipv6/conf/" + ifname + "/"
	if !on {
		return kernel.SetSysctl(dir+"disable_ipv6", "1", true)
	}
	return errors.Join(kernel.SetSysctl(dir+"accept_dad", "0", false), kernel.SetSysctl(dir+"accept_ra", "0", false),
		kernel.SetSysctl(dir+"disable_ipv6", "0", false))
}

// forwardIPv6 turns forwarding on. A host that forwards no longer believes router advertisements, from which it may have its own
// default route: interfaces that did so are told to go on.
func forwardIPv6() error {
	now, err := kernel.Sysctl("net/ipv6/conf/all/forwarding")
	if err != nil {
		return fmt.Errorf("this host has no IPv6: %w", err)
	}
	if now == "1" {
		return nil
	}
	all, err := kernel.Sysctls("net/ipv6/conf")
	if err != nil {
		return err
	}
	for _, ifname := range all {
		key := "net/ipv6/conf/" + ifname + "/accept_ra"
		if now, err := kernel.Sysctl(key); err == nil && now == "1" && ifname != "all" {
			if err := kernel.SetSysctl(key, "2", true); err != nil {
				return err
			}
		}
	}
	return kernel.SetSysctl("net/ipv6/conf/all/forwarding", "1", false)
}

// bridgeSysctls lets 127.0.0.1 be translated into the bridge and pods be forwarded. IPv6 is off where the network has none;
// router advertisements are never taken from a pod.
func bridgeSysctls(n api.Network) error {
	err := ipv6Sysctls(n.Bridge, n.IPv6)
	if n.Internal {
		return err
	}
	return errors.Join(err, kernel.SetSysctl(localnetKey(n), "1", false), forward(n))
}

// forward lets the host forward the packets of n.
func forward(n api.Network) error {
	err := kernel.SetSysctl("net/ipv4/ip_forward", "1", false)
	if n.IPv6 {
		err = errors.Join(err, forwardIPv6())
	}
	return err
}

func localnetKey(n api.Network) string { return "net/ipv4/conf/" + n.Bridge + "/route_localnet" }
