package e2e

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// scenario is a project and commands on it, which podc and docker compose are given alike.
type scenario struct {
	name  string
	file  string   // compose.yaml
	files []string // further ones: name, content, ...
	steps []comparedStep
}

// comparedStep is one command of a scenario. Exit codes are always compared, further things where a field says so.
type comparedStep struct {
	args     string // separated by spaces; as in a shell, '...' is one argument
	out      bool   // standard output is the same
	sorted   bool   // and so it is once its lines are sorted
	progress bool   // the same things are said to happen to the same containers, networks and volumes, in whatever order
	states   bool   // the containers are in the same states afterwards
	says     string // docker compose's words, which both use
	// differs names the row of docs/differences.md that is about this command: something of the above must differ, not more than
	// is listed there, and podc ends with code.
	differs string
	code    int
}

const asleep = "{image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL"

var scenarios = []scenario{
	{name: "life of a project", file: `
services:
  db: ` + asleep + `, healthcheck: {test: 'true', interval: 200ms}, volumes: ['data:/data']}
  web: ` + asleep + `, depends_on: {db: {condition: service_healthy, restart: true}}}
  once: {image: localhost/podc-busybox, command: sh -c 'exit 3', depends_on: [db]}
  off: {image: localhost/podc-busybox, profiles: [off]}
volumes: {data: {}}
`, steps: []comparedStep{
		{args: "start", says: "has no container to start"},
		{args: "up -d", progress: true, states: true},
		{args: "wait once", out: true},
		{args: "stop", progress: true, states: true},
		{args: "stop", progress: true},
		{args: "start", progress: true},
		{args: "wait once", out: true},
		{args: "restart", progress: true},
		{args: "wait once", out: true},
		{args: "kill", progress: true, states: true},
		{args: "kill", says: "No container to kill"},
		{args: "rm -f once", out: true, progress: true, states: true},
		{args: "rm -f once", out: true, says: "No stopped containers"},
		{args: "up -d", progress: true},
		{args: "pause db", states: true},
		{args: "pause db", says: "is already paused"},
		{args: "unpause db", states: true},
		{args: "unpause db", says: "is not paused"},
		{args: "rm -fs web once", out: true, progress: true, states: true},
		{args: "create --force-recreate db", progress: true, states: true},
		{args: "down", progress: true, states: true},
		{args: "down"},
		{args: "down -v", progress: true},
		{args: "down"},
		{args: "start off"}, {args: "restart off"}, {args: "start nobody", says: "no such service: nobody"},
	}},
	{name: "words for what is not there", file: `
services:
  run: ` + asleep + `, ports: ['81']}
  once: {image: localhost/podc-busybox, command: 'true'}
  none: {image: localhost/podc-not-there, pull_policy: never, profiles: [none]}
  net: ` + asleep + `, networks: [ext], profiles: [net]}
  vol: ` + asleep + `, volumes: ['ext:/x'], profiles: [vol]}
networks: {ext: {external: true, name: podc-no-such-network}}
volumes: {ext: {external: true, name: podc-no-such-volume}}
`, steps: []comparedStep{
		{args: "up -d run once"},
		{args: "up -d none", says: "No such image: localhost/podc-not-there"},
		{args: "up -d net", says: "network podc-no-such-network declared as external, but could not be found"},
		{args: "up -d vol", says: `external volume "podc-no-such-volume" not found`},
		{args: "up -d nobody", says: "no such service: nobody"},
		{args: "up -d --scale nobody=1", says: "no such service: nobody"},
		{args: "exec -T once true", says: `service "once" is not running`},
		{args: "exec -T run nope", says: "executable file not found in $PATH", differs: "exit code of `exec` and `run` for a program that is not there", code: 127},
		{args: "exec -T run /etc/passwd", says: "permission denied"},
		{args: "port run 80", says: "no port 80/tcp for container p-run-1"},
		{args: "down --rmi some", says: `invalid value for --rmi: "some"`},
		{args: "up -d -t", says: "flag needs an argument"},
		{args: "ps nobody", says: "no such service: nobody"},
		{args: "top nobody", differs: "`top`, `stats`, `images` of a service that is not there", code: 1},
		{args: "logs --tail x", differs: "values that mean nothing: `logs --tail x`, `ps --status x`", code: 1},
		{args: "ps --status x", differs: "values that mean nothing: `logs --tail x`, `ps --status x`", code: 1},
	}},
	{name: "failed dependencies", file: `
services:
  sick: ` + asleep + `, healthcheck: {test: 'false', interval: 100ms, retries: 1}}
  needs-sick: ` + asleep + `, depends_on: {sick: {condition: service_healthy}}}
  fails: {image: localhost/podc-busybox, command: sh -c 'exit 3', profiles: [fails]}
  needs-fails: ` + asleep + `, depends_on: {fails: {condition: service_completed_successfully}}, profiles: [fails]}
  ends: {image: localhost/podc-busybox, command: sh -c 'exit 4', healthcheck: {test: 'true', interval: 10s}, profiles: [ends]}
  needs-ends: ` + asleep + `, depends_on: {ends: {condition: service_healthy}}, profiles: [ends]}
  plain: ` + asleep + `, profiles: [plain]}
  needs-plain: ` + asleep + `, depends_on: {plain: {condition: service_healthy}}, profiles: [plain]}
  good: {image: localhost/podc-busybox, command: 'true', profiles: [good]}
  needs-good: ` + asleep + `, depends_on: {good: {condition: service_completed_successfully}}, profiles: [good]}
`, steps: []comparedStep{
		{args: "up -d", states: true, says: "dependency failed to start: container p-sick-1 is unhealthy"},
		{args: "up -d --wait sick", says: "container p-sick-1 is unhealthy"},
		{args: "up -d needs-fails", states: true, says: `service "fails" didn't complete successfully: exit 3`},
		{args: "up -d needs-ends", states: true, says: "dependency failed to start: container p-ends-1 exited (4)"},
		{args: "up -d --wait ends", says: "container p-ends-1 exited (4)"},
		{args: "up -d --wait fails", says: "container p-fails-1 exited (3)"},
		{args: "up -d --wait good", differs: "`up --wait`, a container that ended with code 0", code: 0},
		{args: "up -d needs-plain", differs: "a wait for the health of what has no health check", code: 1, states: true},
		{args: "rm -fs plain needs-plain"},
		{args: "up -d needs-good", progress: true, states: true},
		{args: "up -d --wait needs-good"},
	}},
	{name: "scale and replace", file: `
services:
  web: ` + asleep + `}
  old: ` + asleep + `}
`, files: []string{"new.yaml", `
services:
  web: ` + asleep + `, environment: {CHANGED: "1"}}
`}, steps: []comparedStep{
		{args: "up -d --scale web=3", progress: true, states: true},
		{args: "-f new.yaml up -d --no-recreate --scale web=2", progress: true, states: true, says: "Found orphan containers"},
		{args: "-f new.yaml up -d --scale web=2", progress: true, states: true},
		{args: "-f new.yaml up -d --remove-orphans", progress: true, states: true},
		{args: "-f new.yaml up -d --force-recreate", progress: true},
		{args: "-f new.yaml scale web=2", progress: true, states: true},
		{args: "down", progress: true},
	}},
	{name: "verbs and profiles", file: `
services:
  a: ` + asleep + `}
  c: ` + asleep + `, depends_on: [a]}
  b: ` + asleep + `, profiles: [b], depends_on: [a]}
`, steps: []comparedStep{
		{args: "--profile b up -d", states: true},
		{args: "stop", states: true},
		{args: "--profile b start", states: true},
		{args: "restart", progress: true, states: true},
		{args: "kill", states: true},
		{args: "rm -f", states: true},
		{args: "--profile b up -d", states: true},
		{args: "down a", states: true, differs: "`down SERVICE`, and what depends on it"},
		{args: "--profile b up -d", states: true},
		{args: "down b", states: true},
		{args: "--profile b up -d", states: true},
		{args: "down", states: true},
		{args: "--profile b down", states: true},
	}},
	{name: "logs", file: `
services:
  w: {image: localhost/podc-busybox, command: "sh -c 'for i in 1 2 3 4 5 6 7 8 9; do echo line $$i; done'"}
  quiet: {image: localhost/podc-busybox, command: echo nobody hears, logging: {driver: none}, profiles: [quiet]}
`, steps: []comparedStep{
		{args: "up -d w"}, {args: "wait w", out: true},
		{args: "logs w --tail 3 --no-color", out: true},
		{args: "logs w --tail 0", out: true},
		{args: "logs w --no-log-prefix", out: true},
		{args: "--profile quiet up -d"}, {args: "wait quiet", out: true},
		{args: "logs --no-color --tail 1"},
	}},
	{name: "mounts", file: `
services:
  twice: ` + asleep + `, volumes: ['./a:/x', './a:/x/']}
  two: ` + asleep + `, volumes: ['./a:/x', './b:/x/'], profiles: [two]}
`, files: []string{"a/name", "a\n", "b/name", "b\n"}, steps: []comparedStep{
		{args: "up -d twice", states: true},
		{args: "exec -T twice cat /x/name", out: true},
		{args: "up -d two", states: true},
		{args: "exec -T two cat /x/name", out: true},
	}},
	{name: "names that are taken", file: `
services:
  a: ` + asleep + `, container_name: podc-taken}
`, files: []string{"other.yaml", `
name: other
services:
  b: ` + asleep + `, container_name: podc-taken}
  c: ` + asleep + `}
`}, steps: []comparedStep{
		{args: "up -d"},
		{args: "-f other.yaml up -d", says: `podc-taken" is already in use by`},
		{args: "-f other.yaml ps --format {{.Name}}"},
		{args: "-f other.yaml stop"}, {args: "-f other.yaml logs"}, {args: "-f other.yaml rm -fs"}, {args: "-f other.yaml down"},
		{args: "ps --format {{.Name}}", out: true},
	}},
	{name: "ports that an image or a service exposes", file: `
services:
  a: ` + asleep + `, expose: ['80', '90/udp'], ports: ['127.0.0.1::70']}
  b: ` + asleep + `, expose: ['80-82']}
`, steps: []comparedStep{
		{args: "up -d"},
		{args: "ps b --format {{.Ports}}", out: true},
	}},
	{name: "what is served though it does nothing", file: `
services:
  a: ` + asleep + `, network_mode: bridge, runtime: runc}
  b: ` + asleep + `, networks: [n], healthcheck: {test: [CMD-SHELL, 'true', and, more], interval: 200ms}}
  c: ` + asleep + `, deploy: {update_config: {parallelism: 1}, rollback_config: {parallelism: 1}}}
networks: {n: {driver_opts: {com.docker.network.enable_ipv6: "false"}}}
`, steps: []comparedStep{
		{args: "up -d --wait a c", states: true},
		{args: "up -d b", states: true},
	}},
	{name: "health of image and service", file: `
services:
  a: ` + asleep + `, healthcheck: {test: 'true', interval: 200ms}}
  b: ` + asleep + `, healthcheck: {disable: true}}
  c: ` + asleep + `, healthcheck: {test: 'true', start_interval: 100ms}, profiles: [c]}
`, steps: []comparedStep{
		{args: "up -d c", states: true, says: "start_interval requires healthcheck.start_period to be set"},
		{args: "up -d --wait", states: true},
		{args: "ps --format '{{.Name}} {{.Health}}'", sorted: true},
	}},
	{name: "include with env_file", file: `
include: [{path: sub/compose.yaml, env_file: sub/vars.env}]
services:
  a: ` + asleep + `}
`, files: []string{"sub/compose.yaml", `
services:
  b: ` + asleep + `, secrets: [s], environment: {SEEN: "${WORD}"}}
secrets: {s: {environment: WORD}}
`, "sub/vars.env", "WORD=included\n"}, steps: []comparedStep{
		{args: "up -d", states: true},
		{args: "exec -T b cat /run/secrets/s", out: true},
		{args: "exec -T b sh -c 'echo $SEEN'", out: true},
	}},
	{name: "config from the environment in an included file", file: "include: [sub.yaml]\nservices: {a: " + asleep + "}}\n",
		files: []string{"sub.yaml", "services: {b: " + asleep + ", configs: [c]}}\nconfigs: {c: {environment: HOME}}\n"}, steps: []comparedStep{
			{args: "up -d", differs: "a config from the environment in an included file", code: 0},
		}},
	{name: "names of hosts", file: `
services:
  a: ` + asleep + `, hostname: one, domainname: example.test}
  b: ` + asleep + `}
`, steps: []comparedStep{
		{args: "up -d"},
		{args: "exec -T b sh -c 'nslookup a >/dev/null'"},
		{args: "exec -T a hostname", out: true},
		{args: "exec -T a sh -c 'ping -c 1 -w 1 one 2>&1 | grep -o \"PING one\"'", out: true},
	}},
	{name: "sockets of the host", file: `
services:
  a: ` + asleep + `, volumes: ['./gone.sock:/x.sock']}
`, steps: []comparedStep{
		{args: "up -d", differs: "a missing bind source that ends in `.sock`, or lies in /run, /var/run, /dev, /proc or /sys", code: 1, states: true},
	}},
	{name: "config of what is incomplete", file: `
name: p
services:
  web:
    image: ${IMAGE:-nginx}:${TAG}
    build: {context: ., platforms: [linux/amd64]}
    networks: [net]
    environment: {A: "${A}", B: "${B:-b}", C: "${C-c}", D: '$${D}'}
    deploy: {replicas: 2}
  other: {image: 'busybox', environment: {N: "${NAME}"}}
networks: {net: {}}
`, steps: []comparedStep{
		{args: "config", out: true},
		{args: "config --format json", out: true},
		{args: "config --no-interpolate", out: true},
		{args: "config --no-normalize", out: true},
		{args: "config --variables", sorted: true},
		{args: "config --variables --format json", out: true},
		{args: "config --models", out: true},
		{args: "config --images", sorted: true},
		{args: "config --services", sorted: true},
		{args: "config web", out: true},
		{args: "config --no-consistency", out: true},
		{args: "config --format toml"},
	}},
	{name: "names of builds", file: `
services:
  a: {build: .}
  b: ` + strings.Replace(asleep, "podc-busybox", "podc-not-built", 1) + `, build: ., pull_policy: never}
`, steps: []comparedStep{
		{args: "config --images", sorted: true},
	}},
}

// TestScenariosLikeDockerCompose: the value that is expected of podc is what docker compose 5.6.0 answers on Debian's engine.
func TestScenariosLikeDockerCompose(t *testing.T) {
	loaded := false
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			s := newStack(t, sc.file, sc.files...)
			podc, docker := rivals(t, s)
			s.load("busybox")
			if !loaded {
				loadDocker(t, "busybox")
				loaded = true
			}
			for _, step := range sc.steps {
				step.compare(t, podc, docker)
			}
			for _, r := range []rival{podc, docker} {
				r.run(t, "--profile", "*", "down", "-v", "--remove-orphans", "-t", "0")
			}
		})
	}
}

func (c comparedStep) compare(t *testing.T, podc, docker rival) {
	t.Helper()
	args := fields(c.args)
	var p, d outcome
	var ps, ds string
	var wg sync.WaitGroup
	for r, result := range map[*rival]struct {
		out    *outcome
		states *string
	}{&podc: {&p, &ps}, &docker: {&d, &ds}} {
		wg.Go(func() {
			*result.out = r.run(t, args...)
			if c.states {
				*result.states = sortedLines(r.run(t, "--profile", "*", "ps", "-a", "--format", "{{.Name}} {{.State}} {{.ExitCode}}").out)
			}
		})
	}
	wg.Wait()
	var found []string
	differ := func(what, podc, docker string) {
		if podc != docker {
			found = append(found, what+":\n  podc   "+quoted(podc)+"\n  docker "+quoted(docker))
		}
	}
	differ("exit code", strconv.Itoa(p.code), strconv.Itoa(d.code))
	if po, do := withoutIDs(p.out), withoutIDs(d.out); c.sorted {
		differ("output", sortedLines(po), sortedLines(do))
	} else if c.out {
		differ("output", po, do)
	}
	if c.progress {
		differ("progress", progressOf(p.err), progressOf(d.err))
	}
	if c.states {
		differ("states", ps, ds)
	}
	for name, o := range map[string]outcome{"podc": p, "docker": d} {
		if !strings.Contains(o.out+o.err, c.says) {
			t.Errorf("%s: %s does not say %q:\n%s%s", c.args, name, c.says, o.out, o.err)
		}
	}
	switch {
	case c.differs == "" && len(found) > 0:
		t.Errorf("%s:\n%s\npodc said:\n%sdocker said:\n%s", c.args, strings.Join(found, "\n"), p.err, d.err)
	case c.differs != "" && len(found) == 0:
		t.Errorf("%s: podc and docker do the same: strike the row %q from docs/differences.md", c.args, c.differs)
	case c.differs != "" && p.code != c.code:
		t.Errorf("%s: podc ends with %d, want %d\n%s%s", c.args, p.code, c.code, p.out, p.err)
	}
}

// fields splits a command line at spaces; '...' is one field.
func fields(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
		} else {
			all = append(all, strings.Fields(part)...)
		}
	}
	return all
}

// withoutIDs is output without what cannot be the same, and without the end of the last line, which docker compose may leave out.
func withoutIDs(out string) string {
	return strings.TrimRight(trailing.ReplaceAllString(anyID.ReplaceAllString(out, "ID"), ""), "\n")
}

var trailing = regexp.MustCompile(`(?m) +$`)

var anyID = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

var progressLine = regexp.MustCompile(`(?m)^ (Container|Network|Volume|Image) (\S+) (\S+)`)

// progressOf is what progress lines say, each once and sorted: who waits for what may be seen or be over.
func progressOf(text string) string {
	var lines []string
	for _, m := range progressLine.FindAllStringSubmatch(text, -1) {
		if m[3] != "Waiting" && m[3] != "Healthy" {
			lines = append(lines, m[1]+" "+m[2]+" "+m[3])
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "\n")
}

func quoted(text string) string { return "\n    " + strings.ReplaceAll(text, "\n", "\n    ") }

// comparedMark stands in the rows of docs/differences.md that comparisons are about.
const comparedMark = " ⇄"

// TestDifferencesAreListed: what comparisons allow to differ is what docs/differences.md marks, neither more nor less.
func TestDifferencesAreListed(t *testing.T) {
	used := map[string]bool{}
	for _, sc := range scenarios {
		for _, step := range sc.steps {
			if step.differs != "" {
				used[step.differs] = true
			}
		}
	}
	for _, row := range codesThatDiffer {
		used[row.differs] = true
	}
	for _, row := range labelsThatDiffer {
		used[row] = true
	}
	f, err := os.Open("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	listed := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		first, _, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "| "), " | ")
		if row, marked := strings.CutSuffix(first, comparedMark); marked {
			if listed[row] {
				t.Errorf("two rows are called %q", row)
			}
			listed[row] = true
		}
	}
	for row := range used {
		if !listed[row] {
			t.Errorf("docs/differences.md has no row %q with the mark%s", row, comparedMark)
		}
	}
	for row := range listed {
		if !used[row] {
			t.Errorf("no comparison is about the row %q of docs/differences.md: take the mark away, or compare", row)
		}
	}
}
