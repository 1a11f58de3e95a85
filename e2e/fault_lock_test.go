package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever waits for another process says for what and for whom, and goes on when it is done.
func TestAWaitSaysForWhatAndWhom(t *testing.T) {
	t.Parallel() // it is mostly waiting
	s := newStack(t, web)
	s.load("busybox")
	s.podc("up", "-d")
	s.podc("volume", "create", "v")
	for _, c := range []struct {
		lock    string
		command []string
		want    string
	}{
		{"run/projects/p.lock", []string{"up", "-d"}, "waiting for project lock held by "},
		{"run/pods/p-web-1/lock", []string{"container", "kill", "p-web-1"}, `waiting for container "p-web-1", held by `},
		{"run/pods/p-web-1/lock", []string{"start"}, `waiting for container "p-web-1", held by `},
		{"run/net/lock", []string{"network", "create", "n"}, "waiting for the network, held by "},
		{"run/active.lock", []string{"restart", "-t", "0"}, "waiting for the cgroups of this root, held by "},
		{"root/volumes/.locks/v", []string{"volume", "rm", "v"}, `waiting for volume "v", held by `},
	} {
		s.behaves(c.lock+" "+strings.Join(c.command, " "), func(s *stack) {
			holder := exec.Command("flock", filepath.Join(filepath.Dir(s.dir), c.lock), "cat")
			in, err := holder.StdinPipe()
			if err == nil {
				holder.Stdout = nil
				err = holder.Start()
			}
			if err != nil {
				s.t.Fatal(err)
			}
			defer holder.Wait()
			defer in.Close()
			eventually(s.t, commandDeadline, func() error { // until it has the lock
				if exec.Command("flock", "-n", filepath.Join(filepath.Dir(s.dir), c.lock), "true").Run() == nil {
					return fmt.Errorf("nobody holds %s", c.lock)
				}
				return nil
			})
			cmd := s.cmd(s.t.Context(), c.command...)
			out, err := cmd.StderrPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				s.t.Fatal(err)
			}
			want := c.want + fmt.Sprintf("pid %d (flock ", holder.Process.Pid)
			var seen []byte
			for buf := make([]byte, 4096); !strings.Contains(string(seen), want); {
				n, err := out.Read(buf)
				if seen = append(seen, buf[:n]...); err != nil {
					break
				}
			}
			in.Close()
			for buf := make([]byte, 4096); ; {
				n, err := out.Read(buf)
				if seen = append(seen, buf[:n]...); err != nil {
					break
				}
			}
			if err := cmd.Wait(); err != nil || !strings.Contains(string(seen), want) {
				s.t.Errorf("it says %q and ends with %v, want %q", seen, err, want)
			}
		})
	}
	s.podc("network", "rm", "n")
}
