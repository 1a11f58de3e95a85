// Package nettest gives tests a host of their own: a process whose network and mount namespaces are new, so that nothing they
// do can touch the machine and nothing is left behind.
package nettest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"podc.example/podc/internal/kernel"
)

// childMark names, in the environment of the child, the test that it is to run.
const childMark = "PODC_NETTEST_CHILD"

// OnHost runs the calling test again in a child that is root of a fresh network, with only loopback up; it reports whether
// this is the child. Elsewhere the test returns. Without root the test is skipped. args are given to the child.
func OnHost(t *testing.T, args ...string) bool {
	t.Helper()
	if os.Getenv(childMark) == t.Name() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err == nil { // pinned namespaces are mounts, which must not be seen outside
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], append([]string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=120s"}, args...)...)
	cmd.Env = append(os.Environ(), childMark+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in its own namespaces: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("in its own namespaces: %s", out)
	}
	if testing.Verbose() {
		t.Logf("%s", out)
	}
	return false
}

// Pin makes a network namespace and pins it as dir/ns-<name>; the pin goes with the test.
func Pin(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, "ns-"+name)
	if err := kernel.PinNamespaces(func(string) string { return path }, []string{"net"}, "", ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

// In runs f on a thread inside a pinned namespace; "" is the host. Sockets that f opens stay there.
func In(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return kernel.InNetNS(path, f)
}
