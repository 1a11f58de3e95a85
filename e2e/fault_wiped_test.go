package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wipe empties the run root, as `rm -rf` does; with mounts also what is mounted there, which rm leaves.
func (s *stack) wipe(mounts bool) {
	s.t.Helper()
	if mounts {
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			s.t.Fatal(err)
		}
		var points []string
		for line := range strings.Lines(string(b)) {
			if point := strings.Fields(line)[4]; strings.HasPrefix(point, s.run+"/") {
				points = append(points, point)
			}
		}
		sort.Sort(sort.Reverse(sort.StringSlice(points)))
		for _, p := range points {
			if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	// Not os.RemoveAll, which ends with the first thing that cannot be removed.
	filepath.WalkDir(s.run, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			os.Remove(path)
		}
		return nil
	})
	os.RemoveAll(s.run)
}

// living tells which of the processes have not ended.
func living(pids []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		i := strings.LastIndex(string(b), ") ")
		return err != nil || i < 0 || b[i+2] == 'Z'
	})
}

// What podc knows of this boot is deleted while containers run: they are found again from the kernel, shown as running, and the
// next up or down deals with them as with any other; nothing is made beside what still lives.
func TestAWipedRunRoot(t *testing.T) {
	for _, mounts := range []bool{false, true} {
		t.Run(fmt.Sprintf("mounts %t", mounts), func(t *testing.T) {
			port := freePort(t)
			s := newStack(t, fmt.Sprintf(`
services:
  web:
    image: localhost/podc-busybox
    command: httpd -f -p 80 -h /
    stop_signal: SIGKILL
    restart: unless-stopped
    ports: ['127.0.0.1:%d:80']
    configs: [{source: c, target: /c}]
    volumes: ['data:/data']
  alone: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, restart: always, network_mode: none}
  borrows: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, network_mode: 'service:web'}
configs: {c: {content: hello}}
volumes: {data: {}}
`, port))
			s.load("busybox")
			s.podc("up", "-d")
			before, containers := s.everything(), s.contained()
			running := func(when string) {
				t.Helper()
				rows := s.ps()
				for _, name := range []string{"p-web-1", "p-alone-1", "p-borrows-1"} {
					if r := rows[name]; r.State != "running" {
						t.Errorf("%s: %s is %q", when, name, r.State)
					}
				}
			}
			s.wipe(mounts)
			running("after the wipe")
			if steps := s.plan(); len(steps) == 0 {
				t.Error("nothing is planned for containers whose run state is lost")
			}
			if out := s.fails(1, "system", "check"); !strings.Contains(out, "p-alone-1") {
				t.Errorf("the check does not name them:\n%s", out)
			}
			if out := s.fails(1, "exec", "-T", "alone", "true"); !strings.Contains(out, "deleted") {
				t.Errorf("exec does not say what is wrong:\n%s", out)
			}
			s.podc("up", "-d")
			running("after up")
			eventually(t, 10*time.Second, func() error {
				if left := living(containers); len(left) > 0 {
					return fmt.Errorf("of the run before live %v", left)
				}
				if left := living(before); len(left) > 0 {
					return fmt.Errorf("of podc's processes before live %v", left)
				}
				return nil
			})
			if page, err := get(port, "/c"); err != nil || page != "hello" {
				t.Errorf("the port answers %q, %v", page, err)
			}
			if steps := s.plan(); len(steps) > 0 {
				t.Errorf("left to do: %v", steps)
			}
			if out, err := s.try("system", "check"); err != nil {
				t.Errorf("system check: %v\n%s", err, out)
			}

			// A container that ends by itself meanwhile has its policy applied, and then the project goes.
			pid := s.pid("p-alone-1")
			s.wipe(mounts)
			all := s.everything()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, func() error {
				r := s.ps()["p-alone-1"]
				_, err := os.Stat(filepath.Join(s.run, "pods", "p-alone-1", "state.json")) // the wipe took it: whoever sees the end writes it
				if err != nil || r.State != "running" || s.pid("p-alone-1") == pid {
					return fmt.Errorf("it is %q, %v", r.State, err)
				}
				return nil
			})
			s.podc("stop", "-t", "0", "alone")
			if r := s.ps()["p-alone-1"]; r.State != "exited" {
				t.Errorf("a stopped one is %q", r.State)
			}
			s.podc("down", "-t", "0")
			eventually(t, 10*time.Second, func() error {
				if left := living(all); len(left) > 0 {
					return fmt.Errorf("%v live", left)
				}
				return nil
			})
		})
	}
}
