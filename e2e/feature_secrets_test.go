package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoredSecrets keeps what compose files call external.
func TestStoredSecrets(t *testing.T) {
	s := newStack(t, `
services:
  web: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, secrets: [key], configs: [{source: ini, target: /etc/ini, mode: 0440}]}
secrets: {key: {external: true, name: the-key}}
configs: {ini: {external: true}}
`, "key.txt", "canary-of-the-key", "ini.txt", "a=b\n")
	s.load("busybox")
	s.behaves("what is not there is refused before anything is made", func(s *stack) {
		out := s.fails(1, "up", "-d")
		if contains(s.t, out, "secrets.key", `"the-key"`, "podc secret create the-key FILE", "configs.ini", "podc config create ini FILE"); strings.Contains(out, "Creating") {
			s.t.Errorf("something was made: %s", out)
		}
	})
	s.behaves("a file or the standard input is kept, by its name", func(s *stack) {
		if id := strings.TrimSpace(s.podc("secret", "create", "--label", "a=b", "the-key", "key.txt")); len(id) != 25 {
			s.t.Errorf("its id is %q", id)
		}
		cmd := s.cmd(context.Background(), "config", "create", "ini", "-")
		cmd.Stdin = strings.NewReader("a=b\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Fatalf("%v: %s", err, out)
		}
		contains(s.t, s.fails(1, "secret", "create", "the-key", "key.txt"), "it exists")
		contains(s.t, s.fails(1, "secret", "create", "a/b", "key.txt"), "a name is letters")
		contains(s.t, s.fails(1, "secret", "create", "other", "/no/such"), "/no/such")
		contains(s.t, s.fails(1, "secret", "create", "--driver", "x", "other", "key.txt"), "driver")
		s.fails(1, "config", "create", "other")
	})
	s.behaves("services are given it", func(s *stack) {
		s.podc("up", "-d")
		s.says("web", "cat /run/secrets/key; stat -c ' %a' /run/secrets/key; cat /etc/ini; stat -c %a /etc/ini", "canary-of-the-key 444\na=b\n440")
		contains(s.t, s.podc("plan"), "nothing to do")
	})
	s.behaves("nobody but root may read it, and it is nowhere else", func(s *stack) {
		filepath.WalkDir(s.root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, _ := os.ReadFile(path)
			encoded := "Y2FuYXJ5LW9mLXRoZS1rZXk" // as JSON has bytes
			kept := filepath.Dir(path) == filepath.Join(s.root, "secrets")
			if has := bytes.Contains(b, []byte("canary-of")) || bytes.Contains(b, []byte(encoded)); has && !kept {
				s.t.Errorf("it is in %s", path)
			}
			if fi, err := d.Info(); kept && (err != nil || fi.Mode().Perm() != 0o600) {
				s.t.Errorf("%s has mode %v", path, fi.Mode())
			}
			return nil
		})
	})
	s.behaves("they are listed, shown, and secrets keep what they hold", func(s *stack) {
		contains(s.t, s.podc("secret", "ls"), "ID ", "NAME", "DRIVER", "CREATED", "UPDATED", "the-key")
		contains(s.t, s.podc("config", "ls", "--format", "{{.Name}}"), "ini")
		if out := s.podc("secret", "ls", "-q", "--filter", "label=a=c"); out != "" {
			s.t.Errorf("a filter lets %q pass", out)
		}
		id := strings.TrimSpace(s.podc("secret", "ls", "-q", "--filter", "name=the", "--filter", "label=a"))
		var secrets, configs []struct {
			ID   string
			Spec struct {
				Name, Data string
				Labels     map[string]string
			}
		}
		if err := json.Unmarshal([]byte(s.podc("secret", "inspect", id)), &secrets); err != nil || secrets[0].Spec.Name != "the-key" || secrets[0].Spec.Data != "" || secrets[0].Spec.Labels["a"] != "b" {
			s.t.Errorf("%+v, %v", secrets, err)
		}
		if err := json.Unmarshal([]byte(s.podc("config", "inspect", "ini")), &configs); err != nil || configs[0].Spec.Data != "YT1iCg==" {
			s.t.Errorf("%+v, %v", configs, err)
		}
		contains(s.t, s.podc("config", "inspect", "--pretty", "ini"), "Name:", "ini", "a=b")
		contains(s.t, s.podc("secret", "inspect", "-f", "{{.Spec.Name}}", "the-key"), "the-key")
		contains(s.t, s.fails(1, "secret", "inspect", "none"), `secret "none" does not exist`)
	})
	s.behaves("config alone, or with services, is compose's", func(s *stack) {
		contains(s.t, s.podc("config"), "services:", "the-key")
		contains(s.t, s.podc("config", "--services"), "web")
		contains(s.t, s.podc("config", "web"), "image: localhost/podc-busybox")
		s.write("named.yaml", "services: {ls: {image: localhost/podc-busybox}}\n")
		contains(s.t, s.podc("-f", "named.yaml", "config", "--", "ls"), "services:", "ls:")
	})
	s.behaves("another content is another pod, and what is removed stays with who has it", func(s *stack) {
		s.podc("secret", "rm", "the-key")
		s.says("web", "cat /run/secrets/key", "canary-of-the-key")
		contains(s.t, s.fails(1, "up", "-d"), "the-key")
		s.write("key.txt", "second")
		s.podc("secret", "create", "the-key", "key.txt")
		contains(s.t, s.podc("plan"), "secrets./run/secrets/key changed")
		s.podc("up", "-d")
		s.says("web", "cat /run/secrets/key", "second")
		contains(s.t, s.fails(1, "secret", "rm", "none"), "does not exist")
		s.podc("secret", "rm", "the-key")
		s.podc("config", "rm", "ini")
		if out := s.podc("config", "ls", "-q"); out != "" {
			s.t.Errorf("left: %q", out)
		}
	})
}
