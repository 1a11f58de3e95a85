package e2e

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostileMemory is what one hostile input may take of memory, in KiB.
const hostileMemory = 300 << 10

// hostileCPU is what one may take of processors: so many times what a known piece of work takes, for what is fine takes 1.6 s on one
// machine and 2.5 s on another. What does harm takes many times as much.
var hostileCPU = sync.OnceValue(func() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var r unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &r); err != nil {
			panic(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	least := time.Duration(math.MaxInt64)
	for range 3 { // the best of them: others are at work
		begun, words := used(), 0
		for range 200_000 {
			seen := map[string]bool{}
			for _, word := range strings.Split("services.web.labels.some.label", ".") {
				seen[word] = true
			}
			words += len(seen)
		}
		if words > 0 {
			least = min(least, used()-begun)
		}
	}
	return 80 * least
})

// hostile is an input and what becomes of it: part of the message of its refusal, or "ok".
type hostile struct {
	name, want string
	files      map[string]string // the compose file is compose.yaml; stdin is given as podc's input
	args       []string          // of podc; none: plan
}

// check runs podc on the input and measures it with all programs that it started.
func (h hostile) check(t *testing.T, s *stack, dir string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	args := h.args
	if args == nil {
		args = []string{"plan"}
	}
	cmd := s.cmd(ctx, args...)
	cmd.Dir = dir
	if stdin, err := os.Open(filepath.Join(dir, "stdin")); err == nil {
		defer stdin.Close()
		cmd.Stdin = stdin
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		t.Fatalf("%s: no usage: %v", h.name, err)
	}
	if cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); cpu > hostileCPU() {
		t.Errorf("%s: took %s of a processor, and %s is the most", h.name, cpu, hostileCPU())
	}
	if usage.Maxrss > hostileMemory {
		t.Errorf("%s: took %d MiB", h.name, usage.Maxrss>>10)
	}
	refused := cmd.ProcessState.ExitCode() == 1 && h.want != "ok" && strings.Contains(text, h.want)
	if taken := cmd.ProcessState.ExitCode() == 0 && h.want == "ok"; !refused && !taken {
		t.Errorf("%s: exit code %d, want %q:\n%.600s", h.name, cmd.ProcessState.ExitCode(), h.want, text)
	}
	if strings.Contains(text, "goroutine ") || strings.ContainsAny(text, "\x1b\x00\a\b\x7f") {
		t.Errorf("%s: podc broke, or printed a control character: %.600q", h.name, text)
	}
	if h.want != "ok" && len(text) > 64<<10 {
		t.Errorf("%s: the message has %d bytes", h.name, len(text))
	}
}

// checkAll checks inputs, two at a time.
func checkAll(t *testing.T, s *stack, list []hostile) {
	var group sync.WaitGroup
	next := make(chan hostile)
	for range 2 {
		group.Go(func() {
			for h := range next {
				dir, err := os.MkdirTemp(s.dir, "case-")
				if err != nil {
					t.Error(err)
					continue
				}
				for name, content := range h.files {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
						t.Error(err)
					}
				}
				syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644)
				h.check(t, s, dir)
				os.RemoveAll(dir)
			}
		})
	}
	for _, h := range list {
		next <- h
	}
	close(next)
	group.Wait()
}

// TestHostileComposeFiles: each of testdata/hostile/compose.txt is refused or taken as it says there.
func TestHostileComposeFiles(t *testing.T) {
	s := newStack(t, "services: {}\n")
	s.env = append(s.env, "ESCAPE=\x1b[31m")
	f, err := os.Open("../testdata/hostile/compose.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sections := map[string]string{
		"service": "services:\n  a:\n    %s\n    image: localhost/x\n",
		"network": "services: {a: {image: localhost/x, networks: [n]}}\nnetworks: {n: {%s}}\n",
		"volume":  "services: {a: {image: localhost/x, volumes: ['vol:/v']}}\nvolumes: {vol: {%s}}\n",
		"file":    "%s\n",
	}
	var list []hostile
	section := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "## "); ok {
			section = sections[name]
			continue
		}
		yaml, want, ok := strings.Cut(line, " => ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		body := section
		if section == sections["service"] && strings.HasPrefix(yaml, "image:") {
			body = "services:\n  a:\n    %s\n"
		}
		if section == sections["file"] {
			yaml = strings.ReplaceAll(strings.ReplaceAll(yaml, `\n`, "\n"), `\t`, "\t")
		}
		list = append(list, hostile{name: line, want: want, files: map[string]string{
			"compose.yaml": fmt.Sprintf(body, yaml), "part.yaml": "services: {}\n", "good.env": "A=1\nB=\"two\nlines\"\n", "control.env": "A=\x1b[31m\n",
		}})
	}
	if len(list) < 200 {
		t.Fatalf("only %d inputs", len(list))
	}
	checkAll(t, s, list)
}

// many joins n pieces of text.
func many(n int, piece func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(piece(i))
	}
	return b.String()
}

// TestHostileInput: what is made to exhaust a machine is refused, and the most that is taken costs little: the limits of
// compose/limits.go, from both sides.
func TestHostileInput(t *testing.T) {
	s := newStack(t, "services: {}\n")
	web := func(keys string) string { return "services:\n  a:\n    image: localhost/x\n" + keys }
	services := func(n int, keys func(i int) string) string {
		return "services:\n" + many(n, func(i int) string { return fmt.Sprintf("  s%d: {image: localhost/x%s}\n", i, keys(i)) })
	}
	none := func(int) string { return "" }
	doubling := "A0=aaaaaaaa\n" + many(40, func(i int) string { return fmt.Sprintf("A%d=${A%d}${A%d}\n", i+1, i, i) })
	variables := func(n int) string { return many(n, func(i int) string { return fmt.Sprintf("V%d=x\n", i) }) }
	on := func(i int) string {
		return ", depends_on: [" + strings.Join(strings.Fields(many(i, func(j int) string { return fmt.Sprintf("s%d ", j) })), ",") + "]"
	}
	after := func(i int) string {
		if i == 0 {
			return ""
		}
		return fmt.Sprintf(", depends_on: [s%d]", i-1)
	}
	entries := func(key string, n int, entry string) string {
		return web("    " + key + ":\n" + many(n, func(i int) string { return "      " + fmt.Sprintf(entry, i) + "\n" }))
	}
	var list []hostile
	add := func(name, want, yaml string, files ...string) {
		h := hostile{name: name, want: want, files: map[string]string{"compose.yaml": yaml}}
		for i := 0; i+1 < len(files); i += 2 {
			h.files[files[i]] = files[i+1]
		}
		list = append(list, h)
	}
	add("a .env that doubles", "grows beyond", web("    command: $A40\n"), ".env", doubling)
	add("an env file that doubles", "grows beyond", web("    env_file: e.env\n"), "e.env", doubling)
	add("an env file that doubles over lines", "grows beyond", web("    env_file: e.env\n"), "e.env",
		"A0=aaaaaaaa\n"+many(40, func(i int) string { return fmt.Sprintf("A%d=\"x\nB=$A%d$A%d\n\"\n", i+1, i, i) }))
	add("a label file that doubles", "grows beyond", web("    label_file: e.env\n"), "e.env", doubling)
	add("an included .env that doubles", "grows beyond", "include: [{path: b.yaml, env_file: e.env}]\n", "b.yaml", web(""), "e.env", doubling)
	add("a large variable in many places", "MiB longer", web("    command: ["+strings.Repeat("$B,", 3000)+"]\n"), ".env", "B="+strings.Repeat("b", 900_000)+"\n")
	add("many variables", "more than 5000 variables", web(""), ".env", variables(200_000))
	add("as many as are taken", "ok", web(""), ".env", variables(5000))
	add("variables of many services", "more than 50000 variables", services(40, func(int) string { return ", env_file: e.env" }), "e.env", variables(5000))
	add("all ports", "ports are published", web("    ports: ['1-65535:1-65535']\n"))
	add("all ports at random", "ports are published", web("    ports: ['1-65535']\n"))
	add("all ports exposed by many", "published or exposed", services(900, func(int) string { return ", expose: ['1-65535']" }))
	add("ports of a file that many extend", "published or exposed", services(100, func(int) string { return ", extends: {file: b.yaml, service: b}" }),
		"b.yaml", "services: {b: {image: localhost/x, ports: ['1-16000']}}\n")
	add("ports of a service that many extend", "published or exposed",
		services(30, func(int) string { return ", extends: {service: b}" })+"  b: {image: localhost/x, ports: ['1-8000']}\n")
	add("a large service that many extend", "as often as it is named", services(300, func(int) string { return ", extends: b" })+
		"  b: {image: localhost/x, labels: ["+many(4900, func(i int) string { return fmt.Sprintf("l%d=x,", i) })+"]}\n")
	add("a large service at the end of a chain", "as often as it is named", services(900, func(i int) string { return fmt.Sprintf(", extends: {service: s%d}", i+1) })+
		"  s900: {image: localhost/x, labels: ["+many(4900, func(i int) string { return fmt.Sprintf("l%d=x,", i) })+"]}\n")
	add("a service that many extend", "ok", services(100, func(int) string { return ", extends: b" })+
		"  b: {image: localhost/x, ports: ['80-90'], labels: ["+many(500, func(i int) string { return fmt.Sprintf("l%d=x,", i) })+"]}\n")
	add("ports of many replicas", "ports together at most", web("    scale: 10000\n    ports: ['1-17000']\n"))
	add("a port of many replicas", "ok", web("    scale: 5000\n    ports: ['80']\n"))
	add("as many ports as are taken", "ok", web("    ports: ['16384-32768:16384-32768/udp']\n"))
	add("200000 variables", "may hold", entries("environment", 200_000, "V%d: x"))
	add("200000 variables in a list", "may hold", entries("environment", 200_000, "- V%d=x"))
	add("4900 variables", "ok", entries("environment", 4900, "V%d: x"))
	add("400 that depend on each other", "values once aliases", services(400, on))
	add("120 that depend on each other", "dependencies in all", services(120, on))
	add("100 that depend on each other", "ok", services(100, on))
	add("a chain of 5000", "values once aliases", services(5000, after))
	add("a chain of 1000", "ok", services(1000, after))
	add("a chain of 1000 extensions", "ok", services(1000, func(i int) string {
		if i == 0 {
			return ""
		}
		return fmt.Sprintf(", extends: {service: s%d}", i-1)
	}))
	add("10000 services", "more than 5000 entries", services(10_000, none))
	add("2000 services", "more than 1000 services", services(2000, none))
	add("many replicas of many services", "together at most", services(1000, func(int) string { return ", scale: 10000" }))
	add("100000 labels", "more than 5000 entries", entries("labels", 100_000, "l%d: x"))
	add("50000 mounts", "more than 5000 entries", entries("volumes", 50_000, "- /v%d"))
	add("20000 hosts", "more than 5000 entries", entries("extra_hosts", 20_000, "- h%d:1.2.3.4"))
	add("100000 unknown keys", "more than 5000 entries", web(many(100_000, func(i int) string { return fmt.Sprintf("    u%d: x\n", i) })))
	add("4000 unknown keys", "and more of the kind", web(many(4000, func(i int) string { return fmt.Sprintf("    u%d: x\n", i) })))
	add("4000 unknown dependencies", "and more of the kind", web("    depends_on: ["+many(4000, func(i int) string { return fmt.Sprintf("x%d,", i) })+"]\n"))
	add("50000 volumes", "more than 5000 entries", web("")+"volumes:\n"+many(50_000, func(i int) string { return fmt.Sprintf("  v%d: {}\n", i) }))
	add("50000 anchors", "more than 5000 entries", web("")+"x-a:\n"+many(50_000, func(i int) string { return fmt.Sprintf("  k%d: &a%d {b: 1}\n", i, i) }))
	add("4000 anchors", "ok", web("")+"x-a:\n"+many(4000, func(i int) string { return fmt.Sprintf("  k%d: &a%d {b: 1}\n", i, i) }))
	add("a million values", "may hold", web("")+"x-a: ["+strings.Repeat("1,", 900_000)+"]\n")
	add("15 MB of a config", "larger than 5 MiB", web("    configs: [c]\n")+"configs: {c: {content: "+strings.Repeat("x", 15_000_000)+"}}\n")
	add("a config that is too large", "larger than 1000 KiB", web("    configs: [c]\n")+"configs: {c: {content: "+strings.Repeat("x", 4_900_000)+"}}\n")
	add("a key of 10 MB", "larger than 5 MiB", web("    "+strings.Repeat("k", 10_000_000)+": 1\n"))
	add("a key of 4 MB", "unknown key", web("    "+strings.Repeat("k", 4_900_000)+": 1\n"))
	add("a value of 4 MB", "is none of no", web("    restart: "+strings.Repeat("k", 4_900_000)+"\n"))
	add("braces that nobody closes", "invalid variable", web("    command: '"+strings.Repeat("${A-", 20_000)+"'\n"))
	add("nested braces", "nested more than", web("    command: '"+strings.Repeat("${A-", 200)+strings.Repeat("}", 200)+"'\n"))
	add("deep nesting", "nested more than", web("")+"x-a: "+strings.Repeat("[", 200)+strings.Repeat("]", 200)+"\n")
	add("very deep nesting", "not valid YAML", web("")+"x-a: "+strings.Repeat("[", 20_000)+"\n")
	add("aliases of aliases", "once aliases are expanded", "x-a0: &a0 [x,x,x,x,x,x,x,x,x]\n"+
		many(9, func(i int) string {
			return fmt.Sprintf("x-a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9))
		})+web(""))
	add("includes without end", "more than 100 deep", "include: [b0.yaml]\n", func() (files []string) {
		for i := range 120 {
			files = append(files, fmt.Sprintf("b%d.yaml", i), fmt.Sprintf("include: [b%d.yaml]\n", i+1))
		}
		return append(files, "b120.yaml", web(""))
	}()...)
	add("includes of includes", "ok", "include: [b0.yaml]\n", func() (files []string) {
		for i := range 40 {
			files = append(files, fmt.Sprintf("b%d.yaml", i), fmt.Sprintf("include: [{path: [b%d.yaml]}, {path: b%d.yaml}]\n", i+1, i+1))
		}
		return append(files, "b40.yaml", web(""))
	}()...)
	add("an argument that the kernel does not take", "than the 128 KiB", web("    command: ["+strings.Repeat("x", 140_000)+"]\n"))
	add("arguments that the kernel does not take", "the kernel takes 2048 KiB", web("    command: ["+strings.Repeat(strings.Repeat("x", 100_000)+",", 30)+"]\n"))
	add("a path that the kernel does not take", "longer than 4095", web("    tmpfs: "+strings.Repeat("/x", 3000)+"\n"))
	add("a long service name", "longer than 100", "services: {"+strings.Repeat("a", 100_000)+": {image: x}}\n")
	add("3000 secrets", "ok", web("    secrets: ["+many(3000, func(i int) string { return fmt.Sprintf("s%d,", i) })+"]\n")+"secrets:\n"+
		many(3000, func(i int) string { return fmt.Sprintf("  s%d: {file: compose.yaml}\n", i) }))
	for _, file := range []string{"/proc/kmsg", "/dev/zero", "fifo", "/"} {
		list = append(list, hostile{name: "-f " + file, want: map[bool]string{true: "is empty", false: "compose file"}[file == "fifo"], args: []string{"-p", "x", "-f", file, "plan"}},
			hostile{name: "--env-file " + file, want: "env file", files: map[string]string{"compose.yaml": web("")}, args: []string{"--env-file", file, "plan"}})
	}
	checkAll(t, s, list)
}

// TestComposeFileFromAPipe: a shell's <(...) is a compose file, though nothing else that is no regular file is.
func TestComposeFileFromAPipe(t *testing.T) {
	s := newStack(t, "services: {a: {image: localhost/x}}\n")
	for _, verb := range []string{"config", "plan"} {
		podc := s.cmd(t.Context(), verb)
		podc.Args = append([]string{"bash", "-c", `exec "$0" -p x -f <(cat compose.yaml) "$@"`}, podc.Args...)
		podc.Path = "/bin/bash"
		if out, err := podc.CombinedOutput(); err != nil || !strings.Contains(string(out), "localhost/x") {
			t.Errorf("%s: %v\n%s", verb, err, out)
		}
	}
}
