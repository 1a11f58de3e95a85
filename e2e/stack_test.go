package e2e

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// demo is that of the README, of which testdata/demo has the one copy, with a port and a password of its own.
type demo struct {
	*stack
	port     int
	password string
}

func newDemo(t *testing.T) *demo {
	t.Helper()
	password := "pw-" + rand.Text()
	s := &demo{newStack(t, demoFile(t, "compose.yaml"), "proxy.conf", demoFile(t, "proxy.conf"), "db_password.txt", password+"\n"), freePort(t), password}
	s.env = []string{fmt.Sprintf("DEMO_PORT=%d", s.port)}
	s.load("postgres", "probe", "nginx")
	return s
}

func demoFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../testdata/demo", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// PostgreSQL, nginx and three replicas of an app, from the first `up` to the last trace.
func TestARealStack(t *testing.T) {
	s := newDemo(t)
	before := census(s.stack)
	far := farAway(t)
	progress, err := s.try("up", "-d", "--wait")
	if err != nil {
		t.Fatalf("up: %v\n%s", err, progress)
	}
	s.store("a row")

	s.behaves("each service starts once what it needs is healthy", func(s *demo) {
		for _, app := range []string{"p-app-1", "p-app-2", "p-app-3"} {
			inOrder(s.t, progress, "Container p-db-1 Healthy", "Container "+app+" Starting", "Container "+app+" Healthy", "Container p-web-1 Starting")
		}
	})
	s.behaves("the page shows the row, the replicas in turn", func(s *demo) { s.answersInTurn("a row") })
	s.behaves("nothing is left to do, nothing is amiss", func(s *demo) { s.settled() })
	s.behaves("configs and secrets are where they belong", func(s *demo) {
		contains(s.t, s.exec("web", "cat", "/etc/nginx/conf.d/default.conf")+"\n", demoFile(s.t, "proxy.conf"))
		contains(s.t, s.exec("app", "/probe", "cat", "/etc/greeting"), "hello from podc")
		for _, pod := range []string{"p-db-1", "p-app-1", "p-app-2", "p-app-3"} {
			s.onTmpfs(pod, "/run/secrets/db_password", s.password)
		}
	})
	s.behaves("the secret is nowhere else", func(s *demo) { s.keepsItsSecret() })
	s.behaves("the database has no way out", func(s *demo) { s.isolated(far) })
	s.behaves("the row survives down and up", func(s *demo) {
		s.podc("down")
		if rows := s.ps(); len(rows) != 0 {
			s.t.Errorf("after down there is %v", rows)
		}
		s.podc("up", "-d", "--wait")
		s.answersInTurn("a row")
	})
	s.behaves("a changed value recreates its service and restarts who asks for it", func(s *demo) { s.changes() })
	s.behaves("down -v leaves nothing", func(s *demo) { s.vanishes(before) })
}

func (s *demo) behaves(behaviour string, check func(s *demo)) {
	s.t.Helper()
	s.stack.behaves(behaviour, func(in *stack) { check(&demo{in, s.port, s.password}) })
}

// inOrder checks that text has the parts, one after the other.
func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	rest := text
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Errorf("%q is not in its place in\n%s", part, text)
		}
		rest = after
	}
}

// store has the app keep a row.
func (s *demo) store(row string) {
	s.t.Helper()
	res, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/rows", s.port), "text/plain", strings.NewReader(row))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		s.t.Fatal(res.Status)
	}
}

// answersInTurn asks nginx nine times: each replica answers three times, in the same order, with the row.
func (s *demo) answersInTurn(row string) {
	s.t.Helper()
	var hosts []string
	for range 9 {
		page, err := get(s.port, "/")
		if err != nil {
			s.t.Fatal(err)
		}
		contains(s.t, page, "greeting: hello from podc\n", "row: "+row+"\n")
		host, _, _ := strings.Cut(strings.TrimPrefix(page, "host: "), "\n")
		hosts = append(hosts, host)
	}
	var replicas []string
	for _, r := range s.ps() {
		if r.Service == "app" {
			replicas = append(replicas, r.ID)
		}
	}
	first := slices.Clone(hosts[:3])
	slices.Sort(first)
	slices.Sort(replicas)
	if !slices.Equal(first, replicas) || !slices.Equal(hosts[:3], hosts[3:6]) || !slices.Equal(hosts[:3], hosts[6:]) {
		s.t.Errorf("of the replicas %q these answered: %q", replicas, hosts)
	}
}

// settled checks that the project is as its file says, and the machine as podc's records say.
func (s *stack) settled() {
	s.t.Helper()
	if steps := s.plan(); len(steps) != 0 {
		s.t.Errorf("left to do: %v", steps)
	}
	if out, err := s.try("system", "check"); err != nil {
		s.t.Errorf("system check: %v\n%s", err, out)
	}
}

// onTmpfs checks what a file of a container holds, and that it lies in memory.
func (s *stack) onTmpfs(pod, path, content string) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d", s.pid(pod))
	if b, err := os.ReadFile(proc + "/root" + path); err != nil || strings.TrimSpace(string(b)) != content {
		s.t.Errorf("%s has %q in %s (%v)", pod, b, path, err)
	}
	mounts, err := os.ReadFile(proc + "/mountinfo")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Fields(line)[4] == path && strings.Contains(line, " - tmpfs ") {
			return
		}
	}
	s.t.Errorf("%s of %s is not a tmpfs", path, pod)
}

// keepsItsSecret looks for the password wherever it must not be: in files of the roots, but for those in memory that containers
// see, in arguments and environments of processes, and in what podc tells.
func (s *demo) keepsItsSecret() {
	s.t.Helper()
	leaks := func(where string, content []byte) {
		if strings.Contains(string(content), s.password) {
			s.t.Errorf("the password is in %s", where)
		}
	}
	read := 0
	for _, root := range []string{s.root, s.run} {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && inMemory(path) {
				return fs.SkipDir
			}
			if err == nil && d.Type().IsRegular() {
				if b, err := os.ReadFile(path); err == nil {
					leaks(path, b)
					read++
				}
			}
			return nil // what has gone meanwhile
		})
	}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	more, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range append(files, more...) {
		if b, err := os.ReadFile(path); err == nil {
			leaks(path, b)
		}
	}
	if read < 100 { // the database alone has more
		s.t.Errorf("only %d files were searched", read)
	}
	for _, args := range [][]string{{"config"}, {"config", "--format", "json"}, {"ps", "-a", "--format", "json"}, {"plan", "--force-recreate"},
		{"plan", "--force-recreate", "--format", "json"}, {"logs"}, {"volume", "inspect", "p_data"}, {"network", "inspect", "p_back"}} {
		leaks("podc "+strings.Join(args, " "), []byte(s.podc(args...)))
	}
}

// inMemory reports whether a folder is that of a pod's configs and secrets, on a tmpfs of its own.
func inMemory(dir string) bool {
	var own, above unix.Stat_t
	var on unix.Statfs_t
	err := errors.Join(unix.Stat(dir, &own), unix.Stat(filepath.Dir(dir), &above), unix.Statfs(dir, &on))
	return err == nil && filepath.Base(dir) == "files" && own.Dev != above.Dev && on.Type == unix.TMPFS_MAGIC
}

// isolated checks that the internal network leads nowhere, not even for a pod that makes itself a route, and that nginx, which
// is on the other one, reaches what is far away but not the database.
func (s *demo) isolated(far string) {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(far)
	if got, err := s.try("exec", "-T", "web", "nc", "-w", "5", host, port); err != nil || got != "far away\n" {
		s.t.Errorf("nginx does not reach %s: %q %v", far, got, err)
	}
	if got, err := s.try("exec", "-T", "db", "nc", "-w", "1", host, port); err == nil {
		s.t.Errorf("the database reaches %s: %q", far, got)
	}
	address := s.exec("db", "sh", "-c", "ip -4 addr show eth0 | sed -n 's,.*inet \\([^/]*\\)/.*,\\1,p'")
	insideNetns(s.t, fmt.Sprintf("/proc/%d/ns/net", s.pid("p-db-1")), func() error {
		return withRoute(address, func() error {
			if c, err := net.DialTimeout("tcp", far, time.Second); err == nil {
				c.Close()
				return fmt.Errorf("the database reaches %s by a route of its own", far)
			}
			return nil
		})
	})
	if got, err := s.try("exec", "-T", "web", "nc", "-w", "1", address, "5432", "-e", "true"); err == nil {
		s.t.Errorf("nginx reaches the database: %q", got)
	}
	if got, err := s.try("exec", "-T", "web", "nslookup", "db"); err == nil {
		s.t.Errorf("nginx knows the database: %q", got)
	}
	s.exec("app", "/probe", "lookup", "db")
}

// changes gives the app another value for a variable.
func (s *demo) changes() {
	s.t.Helper()
	before, web, db := s.ps(), s.pid("p-web-1"), s.pid("p-db-1")
	s.write("compose.override.yaml", "services: {app: {environment: {PGAPPNAME: other}}}\n")
	steps := map[string]string{}
	for _, step := range s.plan() {
		steps[step.ID] = step.Why
	}
	for i := 1; i <= 3; i++ {
		contains(s.t, steps[fmt.Sprintf("create pod p-app-%d", i)], "environment.PGAPPNAME changed")
	}
	contains(s.t, steps["stop pod p-web-1"], "app")
	for id := range steps {
		if strings.Contains(id, "p-db-1") || strings.HasPrefix(id, "create pod p-web") || !strings.Contains(id, " pod ") {
			s.t.Errorf("there is no reason to %s", id)
		}
	}
	s.podc("up", "-d", "--wait")
	after := s.ps()
	for name := range before {
		if recreated, isApp := before[name].ID != after[name].ID, before[name].Service == "app"; recreated != isApp {
			s.t.Errorf("%s recreated: %t", name, recreated)
		}
	}
	if s.pid("p-web-1") == web {
		s.t.Error("nginx, which asks for it, was not restarted")
	}
	if s.pid("p-db-1") != db {
		s.t.Error("the database was restarted")
	}
	contains(s.t, s.exec("app", "/probe", "env"), "PGAPPNAME=other")
	s.answersInTurn("a row")
	s.settled()
}

// vanishes takes the stack down with its volume and looks for what it was.
func (s *demo) vanishes(before things) {
	s.t.Helper()
	processes, spaces := s.members(), map[string]bool{}
	for pid := range processes {
		if space := netnsOf(pid); space != netnsOf(os.Getpid()) {
			spaces[space] = true
		}
	}
	if len(processes) < 5+5+2 || len(spaces) != 5 { // containers, conmons, monitor and guardian
		s.t.Errorf("before down, of the stack there were only %v in %v", processes, spaces)
	}
	s.podc("down", "-v")
	for pid, begun := range processes {
		if startOf(pid) == begun {
			s.t.Errorf("process %d still runs: %q", pid, commandLines()[pid])
		}
	}
	for _, leak := range append(census(s.stack).minus(before), append(s.traces(), holdersOf(spaces)...)...) {
		s.t.Errorf("left behind: %s", leak)
	}
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", s.port))
	if err != nil {
		s.t.Fatalf("the published port is still taken: %v", err)
	}
	l.Close()
	if out := s.podc("volume", "ls", "-q"); strings.TrimSpace(out) != "" {
		s.t.Errorf("volumes are left: %s", out)
	}
	if out := s.podc("system", "check"); strings.TrimSpace(out) != "" {
		s.t.Errorf("system check: %s", out)
	}
}
