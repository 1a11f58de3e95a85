package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const two = `
services:
  a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, volumes: ['data:/data']}
  b: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
volumes: {data: {}}
`

// A state file that cannot be read: the container runs on, podc finds it again, and says what it found.
func TestADamagedStateFile(t *testing.T) {
	s := newStack(t, two)
	s.load("busybox")
	s.podc("up", "-d")
	pid := s.pid("p-a-1")
	for _, content := range []string{"", `{"boot": "`, "\x00\xff\x00", "[]"} {
		if err := os.WriteFile(filepath.Join(s.run, "pods", "p-a-1", "state.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := s.fails(1, "system", "check"); !strings.Contains(out, "p-a-1") || !strings.Contains(out, "damaged") {
			t.Errorf("the check does not name it:\n%s", out)
		}
		for name, r := range s.ps() {
			if r.State != "running" {
				t.Errorf("%s is %s", name, r.State)
			}
		}
		if steps := s.plan(); len(steps) > 0 {
			t.Errorf("left to do: %v", steps)
		}
		s.podc("system", "check", "--repair")
		if s.pid("p-a-1") != pid {
			t.Error("the container was restarted")
		}
	}
	s.podc("stop", "-t", "0", "a")
}

// A record that cannot be read harms its own pod only, which the next up makes anew.
func TestADamagedRecord(t *testing.T) {
	s := newStack(t, two)
	s.load("busybox")
	s.write("other/compose.yaml", two)
	other := func(args ...string) string {
		return s.podc(append([]string{"-f", "other/compose.yaml", "-p", "other"}, args...)...)
	}
	for _, content := range []string{"", `{"id": "x", "spec": {"na`} {
		s.podc("up", "-d")
		s.exec("a", "sh", "-c", "echo precious > /data/file")
		before, b := s.ps(), s.pid("p-b-1")
		if err := os.WriteFile(filepath.Join(s.root, "pods", "p-a-1", "spec.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		other("up", "-d")
		other("down", "-v", "-t", "0")
		if r := s.ps()["p-a-1"]; r.State != "dead" || r.ID != before["p-a-1"].ID {
			t.Errorf("it is shown as %+v", r)
		}
		if out := s.fails(1, "system", "check"); !strings.Contains(out, "p-a-1") || !strings.Contains(out, "damaged") {
			t.Errorf("the check does not name it:\n%s", out)
		}
		s.podc("up", "-d")
		after := s.ps()
		if r := after["p-a-1"]; r.State != "running" || r.ID == before["p-a-1"].ID {
			t.Errorf("up left it as %+v", r)
		}
		if s.pid("p-b-1") != b {
			t.Error("its sibling was touched")
		}
		if got := s.exec("a", "cat", "/data/file"); got != "precious" {
			t.Errorf("the volume holds %q", got)
		}
		if out, err := s.try("system", "check"); err != nil {
			t.Errorf("system check: %v\n%s", err, out)
		}
	}
	if err := os.Truncate(filepath.Join(s.root, "pods", "p-a-1", "spec.json"), 0); err != nil {
		t.Fatal(err)
	}
	s.podc("down", "-v", "-t", "0") // newStack checks that nothing is left
}

// A volume whose record cannot be read keeps its data, whatever is done with others.
func TestADamagedVolumeRecordKeepsTheData(t *testing.T) {
	s := newStack(t, two)
	s.load("busybox")
	s.podc("up", "-d")
	s.exec("a", "sh", "-c", "echo precious > /data/file")
	s.down("-t", "0")
	record := filepath.Join(s.root, "volumes", "p_data", "volume.json")
	good, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(record, 5); err != nil {
		t.Fatal(err)
	}
	if out := s.fails(1, "up", "-d"); !strings.Contains(out, `volume "p_data"`) || !strings.Contains(out, "damaged") {
		t.Errorf("up does not say what is wrong:\n%s", out)
	}
	s.podc("up", "-d", "b")
	s.try("system", "check", "--repair")
	if b, err := os.ReadFile(filepath.Join(s.root, "volumes", "p_data", "_data", "file")); err != nil || string(b) != "precious\n" {
		t.Errorf("the data: %q, %v", b, err)
	}
	if err := os.WriteFile(record, good, 0o600); err != nil {
		t.Fatal(err)
	}
	s.podc("up", "-d")
	if got := s.exec("a", "cat", "/data/file"); got != "precious" {
		t.Errorf("the volume holds %q", got)
	}
}

// damages are what may befall a file.
var damages = map[string]func(path string, content []byte) error{
	"truncated": func(path string, content []byte) error { return os.WriteFile(path, content[:len(content)/2], 0o600) },
	"null":      func(path string, _ []byte) error { return os.WriteFile(path, []byte("null\n"), 0o600) },
	"garbage":   func(path string, _ []byte) error { return os.WriteFile(path, []byte("\x00\xff{]garbage\n"), 0o600) },
	"bits flipped": func(path string, content []byte) error {
		for i := range content {
			if i%7 == 0 {
				content[i] ^= 0x14
			}
		}
		return os.WriteFile(path, content, 0o600)
	},
	"a FIFO": func(path string, _ []byte) error { return errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)) },
	"a folder": func(path string, _ []byte) error {
		return errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o700))
	},
	"a link": func(path string, _ []byte) error { return errors.Join(os.Remove(path), os.Symlink("/dev/null", path)) },
}

// Every state file damaged in every way, all at once: the check names each, nothing waits for a FIFO, containers run on, other projects
// work, and --repair mends what can be; what it cannot says what to do.
func TestDamagedFiles(t *testing.T) {
	s := newStack(t, `
services:
  a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, volumes: ['data:/data'], secrets: [s]}
  b: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, networks: [default, second, third]}
networks: {second: {}, third: {}}
volumes: {data: {}}
secrets: {s: {external: true}}
`, "content", "secret")
	s.load("busybox")
	s.podc("secret", "create", "s", "content")
	s.podc("config", "create", "c", "content")
	defer s.try("config", "rm", "c")
	defer s.try("secret", "rm", "s")
	s.podc("up", "-d")
	s.write("other/compose.yaml", "services: {x: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}}")
	other := func(args ...string) {
		t.Helper()
		s.podc(append([]string{"-f", "other/compose.yaml", "-p", "other"}, args...)...)
	}
	one := func(pattern ...string) string {
		t.Helper()
		found, _ := filepath.Glob(filepath.Join(pattern...))
		if len(found) == 0 {
			t.Fatalf("there is no %q", pattern)
		}
		return found[0]
	}
	a := s.ps()["p-a-1"].ID
	type damaged struct {
		path  string
		named string // what the check calls it
		stays bool   // --repair does not mend it
	}
	files := []damaged{
		{one(s.root, "pods", "p-a-1", "last.json"), "last.json", false},
		{one(s.run, "pods", "p-b-1", "state.json"), "state.json", false},
		{one(s.run, "net", "attachments", a+"*.json"), a, false},
		{one(s.run, "net", "leases", "p_third", "[0-9]*"), "lease", false},
		{one(s.run, "net", "names", "p_third", "*.json"), "names", false},
		{one(s.root, "events", "journal"), "journal", false},
		{filepath.Join(s.run, "projects", "p.inherit.json"), "inherit.json", false},
		{one(s.run, "memo", "*.json"), "memo", false},
		{one(s.root, "key"), "root/key", false},
		{one(s.root, "volumes", "p_data", "volume.json"), "p_data", true},
		{one(s.root, "networks", "p_second.conflist"), "network p_second", true},
		{one(s.root, "pods", "p-b-1", "main", "config.json"), "config.json", true},
		{one(s.root, "secrets", "s.json"), "secret s", true},
		{one(s.root, "configs", "c.json"), "config c", true},
		{one(s.root, "storage", "overlay-images", "images.json"), "images.json", true},
	}
	// What is in a lock file means nothing, and whoever wants the lock makes it anew; so does the next start with a log.
	locks := []string{one(s.run, "pods", "p-a-1", "lock"), one(s.run, "net", "lock"), one(s.run, "net", "leases", "p_third", "lock"), one(s.run, "active.lock"),
		one(s.run, "projects", "p.lock"), one(s.run, "monitors", "p", "lock"), one(s.run, "monitors", "p", "start"), one(s.run, "monitors", "p", "guardian"),
		one(s.root, "secrets", ".lock"), filepath.Join(s.run, "images.lock"), one(s.root, "storage", "podc-pins.lock")}
	log := one(s.root, "pods", "p-a-1", "main", "ctr.log")
	pids := map[string]int{"p-a-1": s.pid("p-a-1"), "p-b-1": s.pid("p-b-1")}
	memo, err := os.ReadFile(one(s.run, "memo", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for kind, damage := range damages {
		content := map[string][]byte{}
		for _, f := range files {
			b, err := os.ReadFile(f.path)
			switch f.named { // what a repair removes
			case "inherit.json":
				b, err = []byte(`{"p-a-1": {"/x": "volume"}}`), os.WriteFile(f.path, nil, 0o600)
			case "memo":
				b, err = bytes.Clone(memo), os.WriteFile(f.path, nil, 0o600)
			case "root/key":
				b, err = bytes.Repeat([]byte{7}, 32), os.WriteFile(f.path, nil, 0o600)
			}
			content[f.path] = bytes.Clone(b)
			if err = errors.Join(err, damage(f.path, b)); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
		for _, path := range append(locks, log) {
			if err := errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600), damage(path, []byte("2026-01-02T03:04:05.000000006Z stdout F line\n"))); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
		}
		fi, err := os.Lstat(log)
		if err != nil {
			t.Fatal(err)
		}
		out := s.fails(1, "system", "check")
		if !fi.Mode().IsRegular() && !strings.Contains(out, log) {
			t.Errorf("%s: the check does not name %s:\n%s", kind, log, out)
		}
		for _, f := range files {
			if kind == "truncated" && f.named == "journal" || kind == "bits flipped" && f.named == "root/key" {
				continue // what is left of it is one
			}
			if !strings.Contains(out, f.named) {
				t.Errorf("%s: the check does not name %s:\n%s", kind, f.path, out)
			}
		}
		if out, err := s.try("logs", "a"); (err == nil) != fi.Mode().IsRegular() || err != nil && !strings.Contains(out, "ctr.log") {
			t.Errorf("%s: logs: %v, %s", kind, err, out)
		}
		for name, r := range s.ps() {
			if r.State != "running" {
				t.Errorf("%s: %s is %s", kind, name, r.State)
			}
		}
		s.try("system", "check", "--repair")
		left, _ := s.try("system", "check")
		for _, f := range files {
			if strings.Contains(left, f.named) != f.stays {
				t.Errorf("%s: is %s left after the repair? %t, in\n%s", kind, f.path, !f.stays, left)
			}
		}
		// The image store is what others need too.
		images := files[len(files)-1].path
		if err := errors.Join(os.RemoveAll(images), os.WriteFile(images, content[images], 0o600)); err != nil {
			t.Fatal(err)
		}
		other("up", "-d")
		other("down", "-t", "0")
		for _, f := range files {
			if f.stays {
				if err := errors.Join(os.RemoveAll(f.path), os.WriteFile(f.path, content[f.path], 0o600)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.podc("system", "check", "--repair") // the rules of the network that was damaged
		s.podc("logs", "a")
		s.podc("pause", "b") // starts the monitor, whose lock was deleted, and has it look again
		s.podc("unpause", "b")
		if out, err := s.try("system", "check"); err != nil {
			t.Errorf("%s: what is left: %v\n%s", kind, err, out)
		}
		for name, pid := range pids {
			if now := s.pid(name); now != pid {
				t.Errorf("%s: %s was restarted", kind, name)
			}
		}
		eventually(t, 5*time.Second, func() error { _, err := s.try("exec", "-T", "b", "nslookup", "a"); return err })
	}
	for kind, damage := range damages { // a start waits for none of them
		s.podc("stop", "a")
		if err := damage(log, []byte("2026-01-02T03:04:05.000000006Z stdout F line\n")); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		s.podc("start", "a")
		if fi, err := os.Lstat(log); err != nil || !fi.Mode().IsRegular() {
			t.Errorf("%s: after a start the log is %v, %v", kind, fi, err)
		}
		s.podc("logs", "a")
	}
}

// A log that was mended is kept as it was before: what the container writes is in it, and it is rotated.
func TestAMendedLogIsKept(t *testing.T) {
	s := newStack(t, `
services:
  a:
    image: localhost/podc-busybox
    command: sh -c 'while :; do echo 0123456789012345678901234567890123456789; sleep 0.01; done'
    stop_signal: SIGKILL
    logging: {options: {max-size: 4k, max-file: "3"}}
`)
	s.load("busybox")
	s.podc("up", "-d")
	log := filepath.Join(s.root, "pods", "p-a-1", "main", "ctr.log")
	rotated := func() {
		t.Helper()
		eventually(t, 30*time.Second, func() error { _, err := os.Stat(log + ".2"); return err })
	}
	noticed := func() int {
		b, _ := os.ReadFile(filepath.Join(s.run, "monitors", "p", "log"))
		return strings.Count(string(b), "cannot keep the log")
	}
	rotated()
	for kind, damage := range damages {
		if kind != "a FIFO" && kind != "a folder" && kind != "a link" {
			continue
		}
		before := noticed()
		eventually(t, 30*time.Second, func() error { // a rotation under way mends it
			if fi, err := os.Lstat(log); err == nil && fi.Mode().IsRegular() {
				damage(log, nil)
			}
			if noticed() == before {
				return errors.New("the monitor has not noticed")
			}
			return nil
		})
		s.podc("system", "check", "--repair")
		if err := errors.Join(os.RemoveAll(log+".1"), os.RemoveAll(log+".2")); err != nil {
			t.Fatal(err)
		}
		rotated()
		if out := s.podc("logs", "-n", "1", "a"); !strings.Contains(out, "0123456789") {
			t.Errorf("%s: the log says %q", kind, out)
		}
	}
}
