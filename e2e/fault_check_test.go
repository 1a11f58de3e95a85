package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Every kind of thing that podc makes is planted without an owner: the check finds each of them, the repair takes them, and
// what runs is not touched.
func TestTheCheckFindsEveryLeakAndTheRepairMendsIt(t *testing.T) {
	port := freePort(t)
	s := newStack(t, fmt.Sprintf(`%s    ports: ['127.0.0.1:%d:80']
    restart: always
    volumes: ['data:/data']
volumes: {data: {}}
`, web, port))
	s.load("busybox")
	s.podc("up", "-d")
	pid := s.pid("p-web-1")
	id := strings.Repeat("0123456789abcdef", 4)
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	lease := s.leases()[0]

	file := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mount := func(source, target, kind string, flags uintptr) {
		t.Helper()
		if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Unmount(target, syscall.MNT_DETACH) })
	}
	// process runs a program under a name and arguments that are not its own.
	process := func(args ...string) string {
		t.Helper()
		file(filepath.Join(s.dir, "monitor"), "read x")
		cmd := exec.Command("/bin/sh")
		cmd.Args, cmd.Dir = args, s.dir
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		go cmd.Wait() // a zombie would count as alive here
		t.Cleanup(func() { cmd.Process.Kill() })
		return fmt.Sprint("process ", cmd.Process.Pid)
	}

	var want []string
	plant := func(what string, do func()) {
		do()
		want = append(want, what)
	}
	plant("pod ghost: left half made", func() {
		file(filepath.Join(s.run, "pods", "ghost", "state.json"), fmt.Sprintf(`{"boot": %q, "status": "creating", "settled": true}`, bytes.TrimSpace(boot)))
		file(filepath.Join(s.root, "pods", "ghost", "spec.json"), fmt.Sprintf(`{"id": "%064x", "spec": {"name": "ghost", "group": "ghosts"}}`, 1))
	})
	plant("file "+filepath.Join(s.run, "pods", "gone"), func() {
		file(filepath.Join(s.run, "pods", "gone", "ns", "net"), "")
	})
	plant("mount "+filepath.Join(s.run, "pods", "gone", "ns", "net"), func() {
		mount("/proc/self/ns/net", filepath.Join(s.run, "pods", "gone", "ns", "net"), "", syscall.MS_BIND)
	})
	plant("file "+filepath.Join(s.root, "pods", "norecord"), func() {
		file(filepath.Join(s.root, "pods", "norecord", "main", "merged", "x"), "")
	})
	plant("mount "+filepath.Join(s.root, "pods", "norecord", "main", "merged"), func() {
		mount("podc-e2e", filepath.Join(s.root, "pods", "norecord", "main", "merged"), "tmpfs", 0)
	})
	plant("file "+filepath.Join(s.run, "runtime", id), func() { file(filepath.Join(s.run, "runtime", id, "status"), "{}") })
	plant("file "+filepath.Join(s.run, "exits", id), func() { file(filepath.Join(s.run, "exits", id), "0") })
	plant("file "+id+": removed container", func() { file(filepath.Join(s.root, "trash", id, "x"), "") })
	plant("volume ghost", func() {
		file(filepath.Join(s.root, "volumes", "ghost", "_data", "x"), "")
		file(filepath.Join(s.root, "volumes", "ghost", "removed.json"), "{}")
	})
	plant("monitors/ghost", func() { file(filepath.Join(s.run, "monitors", "ghost", "lock"), "") })
	plant("cgroup ", func() {
		for _, dir := range s.cgroupDirs() {
			if strings.HasSuffix(dir, "/podc-"+s.id()) {
				if err := os.Mkdir(filepath.Join(dir, id), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	for _, name := range []string{"b" + s.id() + "gh", "pg" + s.id()} {
		plant("link "+name, func() {
			run(t, "ip", "link", "add", name, "type", "bridge")
			run(t, "ip", "link", "set", "dev", name, "alias", "podc "+s.id()+" network ghost")
		})
	}
	plant("of network \"p_default\", held by unknown", func() { file(filepath.Join(filepath.Dir(lease), "172.28.3.250"), id[:40]+"\r\neth0") })
	plant("names ", func() { file(filepath.Join(s.run, "net", "names", "p_default", id[:40]+".json"), "{}") })
	plant("cached result", func() { file(filepath.Join(s.run, "net", "cni", "results", "p_default-"+id[:40]+"-eth0"), "{}") })
	plant(".tmp-", func() { file(filepath.Join(s.run, "net", "attachments", ".tmp-"+id[:40]+".json-1"), "") })
	plant(`attachment of "nobody"`, func() {
		file(filepath.Join(s.run, "net", "attachments", "x"+id+".json"), `{"id": "x`+id+`", "owner": "nobody"}`)
	})
	var conmon, monitor string
	plant("conmon of ", func() { conmon = process("conmon", "-c", "read x", filepath.Join(s.run, "runtime")) })
	plant("monitor of ghost", func() { monitor = process("podc-monitor", "monitor", "--root", s.root, "--runroot", s.run, "ghost") })
	want = append(want, conmon, monitor)

	monitors := pidsWith("podc-monitor", "monitor", s.run)
	haltedBetweenDeeds(t, s, monitors) // it would mend this at once
	plant("rule nftables table podc-"+s.id(), func() { run(t, "nft", "delete", "table", "inet", "podc-"+s.id()) })
	found := s.fails(1, "system", "check")
	for _, pid := range monitors {
		syscall.Kill(pid, syscall.SIGCONT)
	}
	for _, w := range want {
		if !strings.Contains(found, w) {
			t.Errorf("the check does not find %q", w)
		}
	}
	if t.Failed() {
		t.Logf("the check found\n%s", found)
	}
	repaired, err := s.try("system", "check", "--repair")
	if err != nil {
		t.Errorf("the repair left: %v\n%s", err, repaired)
	}
	if out, err := s.try("system", "check"); err != nil {
		t.Errorf("after the repair: %v\n%s", err, out)
	}
	if s.pid("p-web-1") != pid {
		t.Error("the repair restarted what was not broken")
	}
	if page, err := get(port, "/"); err != nil || page == "" {
		t.Errorf("the published port answers %q, %v", page, err)
	}
	if _, err := os.Stat(filepath.Join(s.root, "volumes", "p_data", "_data")); err != nil {
		t.Errorf("the volume: %v", err)
	}
}
