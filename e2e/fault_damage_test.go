package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
