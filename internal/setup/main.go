// Command setup makes a machine ready to build, test and run podc: it installs what is missing, on Debian and Ubuntu, and
// makes crun usable on a host with both cgroup hierarchies. It says what it does, and does nothing the second time.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// need is something that must be there, and the Debian package that brings it.
type need struct {
	what string
	pkg  string
	here func() bool
}

var needs = []need{
	{"a C compiler, for podc-image and the race detector", "gcc", program("gcc", "cc")},
	{"the C library's headers", "libc6-dev", file("/usr/include/stdlib.h")},
	{"conmon, which holds a container's output and exit code", "conmon", program("conmon", "/usr/libexec/podman/conmon", "/usr/lib/podman/conmon")},
	{"crun, which runs containers", "crun", program("crun")},
	{"nft, with which the tests look at firewall rules", "nftables", program("nft", "/usr/sbin/nft")},
	{"iptables, with which the tests make rules as others do", "iptables", program("iptables-nft", "/usr/sbin/iptables-nft")},
	{"ip, with which the tests make networks around podc's", "iproute2", program("ip", "/usr/sbin/ip")},
	{"CNI plugins, which the tests run beside podc's own", "containernetworking-plugins", file("/usr/lib/cni/bridge")},
	{"a static busybox, for containers of the tests", "busybox-static", file("/usr/share/doc/busybox-static")},
	{"strace, with which the tests see what is executed", "strace", program("strace")},
}

// machineNeeds are for the machines that `task vm` makes and runs.
var machineNeeds = []need{
	{"mmdebstrap, which puts Debian's packages on a disk", "mmdebstrap", program("mmdebstrap")},
	{"mke2fs, which makes the disk", "e2fsprogs", file("/sbin/mke2fs")},
	{"the emulator", "qemu-system-x86", program("qemu-system-x86_64")},
	{"the emulator's disks", "qemu-utils", program("qemu-img")},
	{"ssh, by which the machine is reached", "openssh-client", program("ssh")},
	{"xz, in which Debian 13 packs the modules of its kernel", "xz-utils", program("xz")},
	{"zstd, in which others do", "zstd", program("zstd")},
}

func program(names ...string) func() bool {
	return func() bool {
		for _, name := range names {
			if _, err := exec.LookPath(name); err == nil {
				return true
			}
		}
		return false
	}
}

func file(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

func main() {
	machines := flag.Bool("vm", false, "install what makes and runs machines too")
	flag.Parse()
	if *machines {
		needs = append(needs, machineNeeds...)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, step := range []func(context.Context) error{packages, packageLists, cgroups} {
		if err := step(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "setup:", err)
			os.Exit(1)
		}
	}
}

func say(format string, args ...any) { fmt.Printf("setup: "+format+"\n", args...) }

// packages installs what is missing.
func packages(ctx context.Context) error {
	var missing []string
	for _, n := range needs {
		if !n.here() {
			say("missing: %s (package %s)", n.what, n.pkg)
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) == 0 {
		say("nothing to install")
		return nil
	}
	if !program("apt-get")() {
		return fmt.Errorf("this is neither Debian nor Ubuntu: install what these packages hold with your own package manager, then run this again: %s", strings.Join(missing, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("not root: run this as root, or `apt-get install %s`", strings.Join(missing, " "))
	}
	if err := update(ctx); err != nil {
		return err
	}
	say("apt-get install %s", strings.Join(missing, " "))
	if err := apt(ctx, append([]string{"install", "-y", "-q", "--no-install-recommends"}, missing...)...); err != nil {
		return err
	}
	for _, n := range needs {
		if !n.here() {
			return fmt.Errorf("%s is still missing after `apt-get install %s`", n.what, n.pkg)
		}
	}
	return nil
}

// packageLists makes sure that the packages of the test images can be downloaded.
func packageLists(ctx context.Context) error {
	if !program("apt-get")() {
		say("test images are built from Debian packages: tests that need them are skipped here")
		return nil
	}
	if exec.CommandContext(ctx, "apt-cache", "show", "busybox-static", "nginx", "postgresql").Run() == nil {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("not root: run `apt-get update` as root, so that test images can be built")
	}
	return update(ctx)
}

func update(ctx context.Context) error {
	say("apt-get update")
	return apt(ctx, "update", "-q")
}

func apt(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

const unified = "/sys/fs/cgroup/unified"

// cgroups serves hybrid hosts, where some hierarchies are version 1 and the rest is in /sys/fs/cgroup/unified. crun refuses
// those as long as the version 2 side offers a controller; so each of them that version 1 knows too is mounted there.
func cgroups(context.Context) error {
	offered, err := os.ReadFile(filepath.Join(unified, "cgroup.controllers"))
	if err != nil || len(bytes.TrimSpace(offered)) == 0 {
		return nil // not hybrid, or in order
	}
	known, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(offered)) {
		if !bytes.Contains(known, []byte("\n"+controller+"\t")) {
			continue
		}
		dir := filepath.Join("/sys/fs/cgroup", controller)
		say("mount the cgroup hierarchy %s, so that crun accepts this hybrid host", controller)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", dir, "cgroup", 0, controller); err != nil {
			return fmt.Errorf("cannot mount %s: %w (as root, with the host's cgroups mounted: `mount -t cgroup -o %s cgroup %s`)", dir, err, controller, dir)
		}
	}
	return nil
}
