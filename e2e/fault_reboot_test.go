package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// boot is what commands of a stack find after a simulated reboot: a kernel with another boot id. It is a mount namespace in
// which a file lies over the id; whatever podc starts there stays there.
type boot struct{ pid int }

var boots int

func (s *stack) boot() boot {
	s.t.Helper()
	boots++
	file := filepath.Join(s.t.TempDir(), "boot_id")
	if err := os.WriteFile(file, fmt.Appendf(nil, "00000000-0000-0000-0000-%012d\n", boots), 0o444); err != nil {
		s.t.Fatal(err)
	}
	holder := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-ec", `mount --bind "$1" /proc/sys/kernel/random/boot_id; echo; exec sleep 1000`, "sh", file)
	ready, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		holder.Process.Kill()
		holder.Wait()
	})
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		s.t.Skip("cannot give a mount namespace another boot id: ", err)
	}
	return boot{holder.Process.Pid}
}

// after returns the stack as it is in that boot.
func (b boot) after(s *stack) *stack {
	after := *s
	after.wrap = []string{"nsenter", "-m", "-t", strconv.Itoa(b.pid), "sh", "-c", `cd "$1" && shift && exec "$@"`, "sh", s.dir}
	return &after
}

// powerCut ends everything that a reboot ends: processes, mounts, namespaces, cgroups, links and rules. What is on the disk
// stays, the run root included.
func (s *stack) powerCut() {
	s.t.Helper()
	s.cutProcesses()
	for thing := range census(s) {
		kind, name, _ := strings.Cut(thing, " ")
		switch {
		case kind == "link" && (name[0] == 'b' || name[0] == 'v'):
			exec.Command("ip", "link", "del", name).Run() // the other end of a pair may have taken it along
		case kind == "nft":
			run(s.t, "nft", append([]string{"delete"}, strings.Fields(name)...)...)
		}
	}
}

// networksAt is a compose file that gives networks fixed ranges, from subnet24(n) on. A stack whose power is cut needs them: while its
// links are gone, the stacks of other test processes take what was chosen for it.
func networksAt(n int, names ...string) string {
	file := "networks:\n"
	for i, name := range names {
		file += fmt.Sprintf("  %s: {ipam: {config: [{subnet: %s.0/24}]}}\n", name, subnet24(n+i))
	}
	return file
}

// cutProcesses is powerCut but for the host's network: links and rules stay, as when a container that podc itself runs in starts
// again on the host's network.
func (s *stack) cutProcesses() {
	s.t.Helper()
	for _, sig := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} { // nobody lives to see another die
		for _, pid := range s.everything() {
			syscall.Kill(pid, sig)
		}
	}
	eventually(s.t, 10*time.Second, func() error {
		if left := s.everything(); len(left) > 0 {
			return fmt.Errorf("processes %v live", left)
		}
		return nil
	})
	var points []string
	for thing := range census(s) {
		if name, is := strings.CutPrefix(thing, "mount "); is && name != filepath.Dir(s.root) { // but for the disk that the roots lie on
			points = append(points, name)
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(points)))
	for _, p := range points {
		if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil {
			s.t.Fatal(err)
		}
	}
	eventually(s.t, 10*time.Second, func() error {
		for _, dir := range s.cgroupDirs() {
			if err := syscall.Rmdir(dir); err != nil && err != syscall.ENOENT {
				return fmt.Errorf("%s: %w", dir, err)
			}
		}
		return nil
	})
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// cgroupDirs lists the cgroups of the stack's root, the deepest first.
func (s *stack) cgroupDirs() []string {
	var dirs []string
	for thing := range census(s) {
		if top, ok := strings.CutPrefix(thing, "cgroup "); ok {
			filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(dirs)))
	return dirs
}

// everything lists the processes of the stack: helpers and containers.
func (s *stack) everything() []int {
	pids := s.contained()
	for pid, line := range commandLines() {
		if strings.Contains(strings.Join(line, " "), filepath.Dir(s.root)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// contained lists the processes in the cgroups of the stack's root.
func (s *stack) contained() []int {
	var pids []int
	for _, dir := range s.cgroupDirs() {
		b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for f := range strings.FieldsSeq(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 1 {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// After a reboot nothing of the last boot is believed, whether the run root survived it or not: what ran has ended, and the
// next command brings the project back, or takes it down.
func TestAReboot(t *testing.T) {
	for _, runRoot := range []string{"kept", "wiped"} {
		t.Run("run root "+runRoot, func(t *testing.T) {
			s := newStack(t, three, "key.txt", "secret", "compose.override.yaml", networksAt(42, "default", "inner"))
			s.load("busybox")
			before := census(s)
			s.podc("up", "-d")
			s.exec("db", "sh", "-c", "echo precious > /data/file")
			leases := s.leases()
			reboot := func() *stack {
				s.powerCut()
				if runRoot == "wiped" {
					if err := os.RemoveAll(s.run); err != nil {
						t.Fatal(err)
					}
				}
				return s.boot().after(s)
			}
			after := reboot()
			for name, r := range after.ps() {
				if r.State != "exited" {
					t.Errorf("after the reboot %s is %s", name, r.State)
				}
			}
			after.podc("up", "-d")
			for name, r := range after.ps() {
				if r.State != "running" {
					t.Errorf("the next up left %s %s", name, r.State)
				}
			}
			if got := after.exec("db", "cat", "/data/file"); got != "precious" {
				t.Errorf("the volume holds %q", got)
			}
			if got := after.exec("app", "cat", "/run/secrets/key"); got != "secret" {
				t.Errorf("the secret is %q", got)
			}
			if got := after.exec("web", "nslookup", "db"); !strings.Contains(got, "Address") {
				t.Errorf("names: %q", got)
			}
			if now := s.leases(); len(now) != len(leases) {
				t.Errorf("leases before %q, after %q", leases, now)
			}
			if steps := after.plan(); len(steps) > 0 {
				t.Errorf("left to do: %v", steps)
			}
			if out, err := after.try("system", "check"); err != nil {
				t.Errorf("system check: %v\n%s", err, out)
			}
			again := reboot()
			again.podc("down", "-v", "-t", "0")
			for _, left := range census(s).minus(before) {
				t.Errorf("down -v after a reboot left: %s", left)
			}
			if out, err := again.try("system", "check"); err != nil {
				t.Errorf("system check: %v\n%s", err, out)
			}
		})
	}
}

func (s *stack) leases() []string {
	all, _ := filepath.Glob(filepath.Join(s.run, "net", "leases", "*", "[0-9]*"))
	return all
}
