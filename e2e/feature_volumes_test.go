package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// volumes lists the names of all volumes of the root.
func (s *stack) volumes(filters ...string) []string {
	s.t.Helper()
	args := []string{"volume", "ls", "-q"}
	for _, f := range filters {
		args = append(args, "-f", f)
	}
	names := strings.Fields(s.podc(args...))
	slices.Sort(names)
	return names
}

const storage = `
services:
  seeded: {image: localhost/shop, user: root, entrypoint: sleep, command: '1000', stop_signal: SIGKILL, volumes: ['named:/data', 'renamed:/other']}
  later: {image: localhost/shop, user: root, entrypoint: sleep, command: '1000', stop_signal: SIGKILL, volumes: ['named:/data:ro'], depends_on: [seeded]}
  bare:
    image: localhost/shop
    user: root
    entrypoint: sleep 1000
    stop_signal: SIGKILL
    volumes: [{type: volume, source: bare, target: /data, volume: {nocopy: true}}, 'outer:/outer']
  anonymous:
    image: localhost/shop
    user: root
    entrypoint: sleep 1000
    stop_signal: SIGKILL
    environment: {A: "${A:-1}"}
    volumes: [/own, {type: volume, target: /labelled, volume: {labels: {team: shop}}}]
  binds:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    volumes:
      - ./source:/source:ro
      - ./made/here:/made
      - {type: bind, source: source/file, target: /etc/deep/down/file}
      - {type: tmpfs, target: /scratch, tmpfs: {size: 1m, mode: 0700}}
      - named:/source/inner
volumes:
  named: {labels: {team: shop}}
  bare: {}
  renamed: {name: another-name}
  outer: {external: true, name: outside}
`

func TestVolumes(t *testing.T) {
	s := newStack(t, storage, "source/file", "from the host\n", "source/inner/x", "")
	s.load("busybox")
	s.loadImage("localhost/shop", everySetting(t))
	s.behaves("a missing external volume is refused before anything is made", func(s *stack) {
		contains(s.t, s.fails(1, "up", "-d"), "outside", "podc volume create")
		if v, rows := s.volumes(), s.ps(); len(v)+len(rows) > 0 {
			s.t.Errorf("it made %v %v", v, rows)
		}
	})
	s.podc("volume", "create", "--label", "made=by hand", "outside")
	s.podc("up", "-d", "binds") // mounts p_named, and has nothing to fill it with
	s.podc("up", "-d")

	s.behaves("an empty volume is filled with the image's files, owners and modes", func(s *stack) {
		want := "/data 750 1000\n/data/inner 2770 2000\n/data/inner/run 4755 0\n/data/seed 640 1000"
		for _, service := range []string{"seeded", "later", "anonymous"} {
			s.says(service, "find /data | sort | xargs stat -c '%n %a %u'", want)
		}
		s.says("seeded", "cat /data/seed; ls -A /other | wc -l", "seed\n0")
	})
	s.behaves("nocopy leaves it empty", func(s *stack) {
		s.says("bare", "ls -A /data | wc -l", "0")
	})
	s.behaves("volumes are shared, and read-only where asked for", func(s *stack) {
		s.sh("seeded", "echo shared > /data/new")
		s.says("later", "cat /data/new; touch /data/x 2>/dev/null || echo read-only", "shared\nread-only")
		s.says("binds", "cat /source/inner/new", "shared")
	})
	s.behaves("binds show the host's files, and missing folders are made", func(s *stack) {
		s.says("binds", "cat /source/file /etc/deep/down/file; touch /source/x 2>/dev/null || echo read-only", "from the host\nfrom the host\nread-only")
		s.sh("binds", "echo out > /made/file")
		if b, err := os.ReadFile(filepath.Join(s.dir, "made/here/file")); err != nil || string(b) != "out\n" {
			s.t.Errorf("the host has %q, %v", b, err)
		}
		s.says("binds", "stat -c %a /scratch; df -k /scratch | tail -1 | tr -s ' ' | cut -d' ' -f2", "700\n1024")
	})
	s.behaves("names and labels are docker's", func(s *stack) {
		for _, name := range []string{"p_named", "p_bare", "another-name", "outside"} {
			if !slices.Contains(s.volumes(), name) {
				s.t.Errorf("no volume %q in %v", name, s.volumes())
			}
		}
		if got := s.volumes("label=com.docker.compose.project=p", "label=com.docker.compose.volume=named", "label=team=shop"); !slices.Equal(got, []string{"p_named"}) {
			s.t.Errorf("labelled: %v", got)
		}
		contains(s.t, s.podc("volume", "inspect", "p_named"), `"com.docker.compose.volume": "named"`, filepath.Join(s.root, "volumes/p_named/_data"))
		if got := s.volumes("label=made=by hand"); !slices.Equal(got, []string{"outside"}) {
			s.t.Errorf("labelled by hand: %v", got)
		}
	})
	s.behaves("a volume in use is not removed", func(s *stack) {
		contains(s.t, s.fails(1, "volume", "rm", "p_named"), "p_named", "p-seeded-1")
	})
	s.behaves("recreating a service keeps its volumes, anonymous ones included", func(s *stack) {
		s.sh("anonymous", "for d in /data /own /labelled; do echo mine > $d/kept; done; rm /data/seed")
		before, id := s.volumes(), s.ps()["p-anonymous-1"].ID
		s.env = append(s.env, "A=2")
		s.podc("up", "-d")
		if s.ps()["p-anonymous-1"].ID == id {
			s.t.Error("it was not recreated")
		}
		s.says("anonymous", "cat /data/kept /own/kept /labelled/kept; ls /data/seed 2>/dev/null | wc -l", "mine\nmine\nmine\n0")
		if after := s.volumes(); !slices.Equal(before, after) {
			s.t.Errorf("from %v to %v", before, after)
		}
	})
	named := []string{"another-name", "outside", "p_bare", "p_named"}
	s.behaves("rm -v takes the anonymous volumes, and no other", func(s *stack) {
		s.podc("rm", "-s", "-f", "-v", "anonymous")
		if got := s.volumes(); !slices.Equal(got, named) {
			s.t.Errorf("left are %v", got)
		}
		s.podc("up", "-d", "anonymous")
	})
	s.behaves("-V begins with new anonymous volumes, and does not throw the old ones away", func(s *stack) {
		s.sh("anonymous", "echo mine > /own/kept")
		before := s.volumes()
		s.podc("up", "-d", "-V", "anonymous")
		s.says("anonymous", "ls /own/kept 2>/dev/null | wc -l; cat /data/seed", "0\nseed")
		kept := 0
		for _, name := range before {
			if _, err := os.Stat(filepath.Join(s.root, "volumes", name, "_data/kept")); err == nil {
				kept++
			}
		}
		if kept != 1 {
			s.t.Errorf("%d old volumes have the file", kept)
		}
	})
	s.behaves("down keeps volumes and their data", func(s *stack) {
		s.podc("down", "-t", "0")
		for _, name := range named {
			if got := s.volumes(); !slices.Contains(got, name) {
				s.t.Errorf("%s is not among %v", name, got)
			}
		}
		s.podc("up", "-d", "seeded")
		s.says("seeded", "cat /data/new", "shared")
	})
	s.behaves("down -v takes all but external ones", func(s *stack) {
		s.podc("down", "-v", "-t", "0")
		if got := s.volumes(); !slices.Equal(got, []string{"outside"}) {
			s.t.Errorf("left are %v", got)
		}
		s.podc("volume", "rm", "outside")
	})
}

func TestConfigsAndSecrets(t *testing.T) {
	const canary = "canary-of-the-test"
	s := newStack(t, `
services:
  all:
    image: localhost/podc-busybox
    command: sleep 1000
    stop_signal: SIGKILL
    configs: [filed, {source: inline, target: /etc/app/inline.conf, uid: '33', gid: '65534', mode: 0640}, enved]
    secrets: [key, {source: enved, target: renamed, uid: '1', gid: '7', mode: 0400}, {source: enved, target: /absolute/path}]
  user: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, user: '1234', read_only: true, secrets: [key]}
configs:
  filed: {file: ./app.conf}
  inline: {content: "name: $${NAME} ${VALUE}\n"}
  enved: {environment: CONFIG}
secrets:
  key: {file: ./key.txt}
  enved: {environment: SECRET}
`, "app.conf", "from file\n", "key.txt", canary+"\n")
	s.env = []string{"SECRET=" + canary, "CONFIG=from environment", "VALUE=value"}
	s.load("busybox")
	s.podc("up", "-d")
	present := func(s *stack) {
		s.t.Helper()
		s.says("all", "cat /filed /enved; echo; cat /etc/app/inline.conf", "from file\nfrom environment\nname: ${NAME} value")
		s.says("all", "cat /run/secrets/key /run/secrets/renamed /absolute/path", canary+"\n"+canary+canary)
	}
	s.behaves("come from files, the environment and the compose file", present)
	s.behaves("have the owner and mode asked for", func(s *stack) {
		s.says("all", "stat -c '%a %u %g' /filed /etc/app/inline.conf /run/secrets/key /run/secrets/renamed", "444 0 0\n640 33 65534\n444 0 0\n400 1 7")
	})
	s.behaves("are readable by the user of a read-only container, and by nobody to change", func(s *stack) {
		s.says("user", "cat /run/secrets/key; (echo x > /run/secrets/key) 2>/dev/null || echo refused", canary+"\nrefused")
	})
	s.behaves("lie in memory, never on disk", func(s *stack) {
		s.says("all", "grep -c '/run/secrets/key tmpfs' /proc/mounts", "1")
		for _, root := range []string{s.root, s.run} {
			if onDisk(s.t, root, "localhost/podc-busybox") == "" {
				s.t.Errorf("the search of %s finds nothing at all", root)
			}
			if found := onDisk(s.t, root, canary); found != "" {
				s.t.Errorf("on disk in %s", found)
			}
		}
	})
	s.behaves("do not show in plan, config and process lists", func(s *stack) {
		s.env = append(s.env, "OTHER=1")
		for _, args := range [][]string{{"config"}, {"plan", "--force-recreate"}, {"ps", "-a", "--format", "json"}, {"up", "-d", "--dry-run", "--force-recreate"}} {
			if out := s.podc(args...); strings.Contains(out, canary) {
				s.t.Errorf("podc %s prints a secret", strings.Join(args, " "))
			}
		}
		for pid, line := range commandLines() {
			if strings.Contains(strings.Join(line, " "), canary) {
				s.t.Errorf("process %d has a secret among its arguments: %s", pid, line)
			}
		}
	})
	s.behaves("are there after a restart, and after stop and start", func(s *stack) {
		s.podc("restart", "all")
		present(s)
		s.env = nil // nobody knows the contents any more
		s.podc("-p", "p", "stop", "all")
		s.podc("-p", "p", "start", "all")
		present(s)
	})
	s.behaves("that change in content recreate the service", func(s *stack) {
		s.env = []string{"SECRET=other", "CONFIG=from environment", "VALUE=value"}
		id, user := s.ps()["p-all-1"].ID, s.ps()["p-user-1"].ID
		for _, step := range s.plan() {
			if strings.Contains(step.Why, "other") || strings.Contains(step.Why, canary) {
				s.t.Errorf("the plan tells a secret: %+v", step)
			}
		}
		s.podc("up", "-d")
		if rows := s.ps(); rows["p-all-1"].ID == id || rows["p-user-1"].ID != user {
			s.t.Errorf("recreated the wrong ones: %v", rows)
		}
		s.says("all", "cat /absolute/path", "other")
	})
	s.behaves("that are missing do not keep a project from being stopped and removed", func(s *stack) {
		s.env = nil
		s.podc("stop", "user")
		s.podc("down")
	})
	s.behaves("that are missing are refused before anything is made", func(s *stack) {
		s.env = []string{"CONFIG=x", "VALUE=x"}
		contains(s.t, s.fails(1, "up", "-d"), "SECRET")
		if err := os.Remove(filepath.Join(s.dir, "key.txt")); err != nil {
			s.t.Fatal(err)
		}
		s.env = append(s.env, "SECRET=x")
		contains(s.t, s.fails(1, "up", "-d"), filepath.Join(s.dir, "key.txt"))
		if rows := s.ps(); len(rows) > 0 {
			s.t.Errorf("it made %v", rows)
		}
	})
}

// onDisk lists the files below a folder, on its own file system, in which text occurs.
func onDisk(t *testing.T, folder, text string) string {
	t.Helper()
	out, _ := runShell(t, `find "$0" -xdev -type f -exec grep -lsF -- "$1" {} + 2>/dev/null`, folder, text) // find fails for files that vanish
	return out
}
