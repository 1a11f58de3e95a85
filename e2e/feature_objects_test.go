package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNetworkAndVolumeCommands(t *testing.T) {
	net := subnet24(9)
	s := newStack(t, `
services: {a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, networks: [made, own], volumes: ['made:/x']}}
networks: {made: {external: true, name: by-hand}, own: {labels: {team: shop}}}
volumes: {made: {external: true, name: by-hand}}
`)
	s.load("busybox")
	s.behaves("a missing external network is refused before anything is made", func(s *stack) {
		s.podc("volume", "create", "by-hand")
		contains(s.t, s.fails(1, "up", "-d"), "by-hand", "podc network create")
		if rows := s.ps(); len(rows) > 0 {
			s.t.Errorf("made %v", rows)
		}
	})
	s.behaves("networks are made, listed, inspected", func(s *stack) {
		s.podc("network", "create", "--subnet", net+".0/24", "--gateway", net+".5", "--ip-range", net+".64/26", "--label", "by=hand", "by-hand")
		s.podc("up", "-d")
		s.says("a", "ip -o -4 addr | grep -c ' "+net+".\\(6[4-9]\\|[7-9].\\|1[01].\\|12[0-7]\\)/'", "1")
		contains(s.t, s.podc("network", "ls"), "by-hand", "p_own", "bridge")
		if out := s.podc("network", "ls", "--format", "{{.Name}}", "-f", "label=by=hand"); out != "by-hand\n" {
			s.t.Errorf("labelled by hand: %q", out)
		}
		if out := s.podc("network", "ls", "--format", "{{.Name}}", "-f", "label=team=shop"); out != "p_own\n" {
			s.t.Errorf("labelled shop: %q", out)
		}
		var found []map[string]any
		if err := json.Unmarshal([]byte(s.podc("network", "inspect", "by-hand", "p_own")), &found); err != nil || len(found) != 2 {
			s.t.Fatalf("%v: %v", err, found)
		}
		contains(s.t, s.podc("network", "inspect", "by-hand"), net+".0/24", net+".5", "p-a-1")
	})
	s.behaves("networks are found by id, filtered and shown by templates", func(s *stack) {
		s.env = []string{"NETCONFPATH=" + filepath.Join(s.dir, "cni")} // those of this machine are no business of this test
		id := s.podc("network", "inspect", "-f", "{{.Id}}", "by-hand")
		if short := s.podc("network", "ls", "-q", "-f", "name=^by-"); len(short) != 13 || !strings.HasPrefix(id, short[:12]) {
			s.t.Errorf("short id %q of %q", short, id)
		}
		if whole := s.podc("network", "ls", "-q", "--no-trunc", "-f", "id="+id[:8]); whole != id {
			s.t.Errorf("whole id %q", whole)
		}
		if got := s.podc("network", "inspect", "-f", "{{.Name}} {{(index .IPAM.Config 0).Subnet}} {{len .Containers}}", id[:6]); got != "by-hand "+net+".0/24 1\n" {
			s.t.Errorf("by id: %q", got)
		}
		s.podc("network", "create", "unused")
		for filter, want := range map[string]string{
			"driver=bridge": "by-hand p_own unused", "driver=macvlan": "", "dangling=true": "unused", "dangling=false": "by-hand p_own",
			"type=custom": "by-hand p_own unused", "scope=local": "by-hand p_own unused", "label=by": "by-hand", "label!=by": "p_own unused",
		} {
			if got := lines(s.podc("network", "ls", "--format", "{{.Name}}", "-f", filter)); got != want {
				s.t.Errorf("%s: %q, want %q", filter, got, want)
			}
		}
		s.fails(1, "network", "ls", "-f", "type=odd")
		var row map[string]string
		if err := json.Unmarshal([]byte(s.podc("network", "ls", "--format", "json", "-f", "name=hand")), &row); err != nil || row["Name"] != "by-hand" || row["Scope"] != "local" || row["Labels"] != "by=hand" {
			s.t.Errorf("%v: %v", err, row)
		}
		contains(s.t, s.podc("network", "prune", "-f", "--filter", "label!=by"), "Deleted Networks:\nunused\n")
		s.write("cni/mine.conflist", `{"cniVersion": "1.0.0", "name": "mine", "plugins": [{"type": "macvlan"}]}`)
		if got := lines(s.podc("network", "ls", "--format", "{{.Name}} {{.Driver}}", "-f", "type=builtin")); got != "mine macvlan" {
			s.t.Errorf("made by hand: %q", got)
		}
		contains(s.t, s.fails(1, "network", "create", "--ipam-driver", "dhcp", "x"), "--ipam-driver")
		if got := s.podc("network", "prune", "-f"); got != "" {
			s.t.Errorf("pruned again: %q", got)
		}
	})
	s.behaves("volumes are filtered, and pruned by name only when all are to", func(s *stack) {
		s.podc("volume", "create", "-d", "local", "--label", "kept=no", "named")
		anonymous := strings.TrimSpace(s.podc("volume", "create"))
		for filter, want := range map[string]string{
			"dangling=true": "named", "dangling=false": "by-hand", "label=kept": "named", "label=kept=yes": "", "name=^by": "by-hand", "driver=local": "by-hand", "driver=nfs": "",
		} {
			got := s.podc("volume", "ls", "-q", "-f", filter)
			if want == "" && got != "" || !strings.Contains(got, want) {
				s.t.Errorf("%s: %q, want %q", filter, got, want)
			}
		}
		contains(s.t, s.podc("volume", "ls", "--format", "{{.Name}}={{.Mountpoint}}"), "named="+filepath.Join(s.root, "volumes/named/_data"))
		if got := s.podc("volume", "inspect", "-f", "{{.Name}} {{.Labels.kept}}", "named"); got != "named no\n" {
			s.t.Errorf("inspect: %q", got)
		}
		contains(s.t, s.podc("volume", "prune", "-f"), "Deleted Volumes:\n"+anonymous+"\n", "Total reclaimed space:")
		if got := lines(s.podc("volume", "ls", "-q")); got != "by-hand named" {
			s.t.Errorf("left are %q", got)
		}
		contains(s.t, s.podc("volume", "prune", "-a", "-f", "--filter", "label!=kept"), "Total reclaimed space: 0B")
		contains(s.t, s.podc("volume", "prune", "-f", "--filter", "all=1"), "named")
		if got := lines(s.podc("volume", "ls", "-q")); got != "by-hand" {
			s.t.Errorf("left are %q", got)
		}
	})
	s.behaves("what is in use, missing or there already is an error", func(s *stack) {
		contains(s.t, s.fails(1, "network", "create", "by-hand"), "by-hand")
		contains(s.t, s.fails(1, "network", "create", "--subnet", net+".0/25", "another"), net)
		contains(s.t, s.fails(1, "network", "rm", "by-hand"), "by-hand", "p-a-1")
		contains(s.t, s.fails(1, "network", "inspect", "nowhere"), "nowhere")
		contains(s.t, s.fails(1, "network", "rm", "nowhere"), "nowhere")
		s.podc("network", "rm", "-f", "nowhere")
		contains(s.t, s.fails(1, "volume", "inspect", "nowhere"), "nowhere")
		contains(s.t, s.fails(1, "volume", "rm", "by-hand"), "by-hand", "p-a-1")
		s.fails(1, "network", "create", "bad/name")
		s.fails(1, "volume", "create", "../bad")
		s.fails(1, "network", "nonsense")
	})
	s.behaves("external ones outlive the project", func(s *stack) {
		s.sh("a", "echo kept > /x/kept")
		s.podc("down", "-v")
		contains(s.t, s.podc("network", "ls"), "by-hand")
		if b, err := os.ReadFile(filepath.Join(s.root, "volumes/by-hand/_data/kept")); err != nil || string(b) != "kept\n" {
			s.t.Errorf("%v: %q", err, b)
		}
		s.podc("network", "rm", "by-hand")
		s.podc("volume", "rm", "by-hand")
		if out := s.podc("network", "ls", "-q", "-f", "type=custom") + s.podc("volume", "ls", "-q"); out != "" {
			s.t.Errorf("left are %q", out)
		}
	})
}

func TestSystemCommands(t *testing.T) {
	s := newStack(t, "services: {a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}}")
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("info tells the roots and what is used", func(s *stack) {
		contains(s.t, s.podc("system", "info"), s.root, s.run, "crun", "conmon")
		var info map[string]any
		if err := json.Unmarshal([]byte(s.podc("system", "info", "-f", "json")), &info); err != nil {
			s.t.Error(err)
		}
	})
	s.behaves("check finds what is left over, and repairs it", func(s *stack) {
		s.podc("system", "check")
		lost := filepath.Join(s.run, "net", "names", "p_default", strings.Repeat("f", 64)+".json")
		if err := os.WriteFile(lost, []byte(`{"names":["ghost"],"ipv4":"10.9.9.9"}`), 0o600); err != nil {
			s.t.Fatal(err)
		}
		if out := s.fails(1, "system", "check"); !strings.Contains(out, strings.Repeat("f", 12)) {
			s.t.Errorf("it says %s", out)
		}
		var problems []map[string]any
		if err := json.Unmarshal([]byte(s.fails(1, "system", "check", "--format", "json")), &problems); err != nil || len(problems) == 0 {
			s.t.Errorf("%v: %v", err, problems)
		}
		s.podc("system", "check", "--repair")
		if _, err := os.Stat(lost); err == nil {
			s.t.Error("the leftover is still there")
		}
		s.says("a", "hostname > /dev/null; echo runs", "runs")
	})
	s.behaves("plan prints reasons, as text and as JSON", func(s *stack) {
		s.write("compose.yaml", "services: {a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, environment: {A: '1'}}, b: {image: localhost/podc-busybox, command: sleep 1000}}")
		contains(s.t, s.podc("plan"), "environment.A", "p-a-1", "p-b-1")
		contains(s.t, s.podcErr("up", "-d", "--explain", "--dry-run"), "environment.A")
		for _, step := range s.plan("b") {
			if strings.Contains(step.ID, "p-a-1") {
				s.t.Errorf("the plan of b has %v", step)
			}
		}
		s.podc("up", "-d")
		if steps := s.plan(); len(steps) > 0 {
			s.t.Errorf("left to do: %v", steps)
		}
	})
	s.behaves("progress is plain, JSON or quiet", func(s *stack) {
		contains(s.t, s.podcErr("--progress", "plain", "up", "-d", "--force-recreate", "a"), " Container p-a-1 Started\n")
		for line := range strings.Lines(s.podcErr("--progress", "json", "up", "-d", "--force-recreate", "a")) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				s.t.Errorf("%v: %q", err, line)
			}
		}
		if out := s.podcErr("--progress", "quiet", "up", "-d", "--force-recreate", "a"); out != "" {
			s.t.Errorf("it says %q", out)
		}
		s.fails(1, "--progress", "loud", "ps")
		contains(s.t, s.fails(1, "--progress", "json", "up", "-d", "nobody"), `"error":true`)
	})
}
