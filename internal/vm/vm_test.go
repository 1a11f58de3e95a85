// Here podc runs on its users' machines. Each check gets a machine on which podc is installed and nothing runs, and leaves it so. See
// CONTRIBUTING.md for how to add one.
package vm_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"podc.example/podc/internal/testimage"
	"podc.example/podc/internal/vm"
)

var suites = flag.String("vm", "", "Debian suites to run, separated by commas (bookworm,trixie); empty: none")

// check is something that must hold on every machine.
type check struct {
	name  string
	short bool // every change has to pass it
	do    func(machine)
}

// checks are made in this order.
var checks = []check{
	{"a stack of containers", true, stackOfContainers},
	{"the end of the machine", false, endOfTheMachine},
	{"security", false, security},
	{"the demo", false, demo},
	{"other firewalls", false, otherFirewalls},
	{"systemd-resolved", false, resolved},
	{"end-to-end tests", false, endToEnd},
}

// machine is one that runs, as a check sees it.
type machine struct {
	*testing.T
	vm    *vm.Machine
	suite string
	share string // a folder that the machine sees at /mnt/host
}

// root runs a script with bash as root, which must succeed, and returns what it printed.
func (m machine) root(script string) string {
	m.Helper()
	return m.as("root", script)
}

// as runs a script as a user who logs in for it, and out after it.
func (m machine) as(user, script string) string {
	m.Helper()
	out, err := m.vm.Run(m.Context(), user, script)
	if err != nil {
		m.Fatalf("%s: %s: %v\n%s", user, script, err, out)
	}
	return out
}

// says runs a script as root, which must print what is wanted.
func (m machine) says(script, want string) {
	m.Helper()
	if out := m.root(script); out != want {
		m.Errorf("%s printed %q, want %q", script, out, want)
	}
}

// project writes the files of a project, by name, and returns its folder on the machine.
func (m machine) project(name string, files map[string]string) string {
	m.Helper()
	for file, content := range files {
		path := filepath.Join(m.share, name, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			m.Fatal(err)
		}
	}
	m.root(fmt.Sprintf("mkdir -p /srv && rm -rf /srv/%[1]s && cp -r /mnt/host/%[1]s /srv/", name))
	return "/srv/" + name
}

// load loads test images into the default store.
func (m machine) load(images ...string) {
	m.Helper()
	m.images(images...)
	for _, image := range images {
		m.root("podc load -q -i /mnt/host/images/" + image + ".tar")
	}
}

// images puts test images into /mnt/host/images.
func (m machine) images(images ...string) {
	m.Helper()
	for _, image := range images {
		archive, err := testimage.Build(m.Context(), image)
		if err == nil {
			err = copyFile(filepath.Join(m.share, "images", image+".tar"), archive)
		}
		if err != nil {
			m.Fatal(err)
		}
	}
}

func copyFile(to, from string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	os.Remove(to)
	if os.Link(from, to) == nil {
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}

// behaves is a part of a check.
func (m machine) behaves(as string, do func(machine)) {
	m.Helper()
	ok := m.Run(as, func(t *testing.T) {
		defer results.add(t, m.suite, time.Now())
		part := m
		part.T = t
		do(part)
	})
	if !ok && m.Context().Err() != nil {
		m.FailNow()
	}
}

// results are a line of the table for each part.
var results table

type table []string

func (r *table) add(t *testing.T, suite string, start time.Time) {
	verdict := "ok"
	if t.Failed() {
		verdict = "FAILED"
	} else if t.Skipped() {
		verdict = "skipped"
	}
	name := strings.ReplaceAll(strings.TrimPrefix(t.Name(), "TestMachines/"+suite+"/"), "_", " ")
	*r = append(*r, fmt.Sprintf("%s\t%s\t%s\t%.0f s", suite, name, verdict, time.Since(start).Seconds()))
}

func (r table) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, line := range r {
		fmt.Fprintln(w, line)
	}
	w.Flush()
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	results.print()
	os.Exit(code)
}

func TestMachines(t *testing.T) {
	if *suites == "" {
		t.Skip("go tool task vm runs it")
	}
	// Time to tell what hung, and to end the machine, before the test is killed.
	ctx, cancel := context.WithCancel(t.Context())
	if end, ok := t.Deadline(); ok {
		ctx, cancel = context.WithDeadlineCause(t.Context(), end.Add(-time.Minute), errors.New("all time for the machines is over"))
	}
	defer cancel()
	share := t.TempDir()
	install(t, share)
	for suite := range strings.SplitSeq(*suites, ",") {
		t.Run(suite, func(t *testing.T) { onMachine(ctx, t, suite, share) })
	}
}

// install puts into the share what every machine gets.
func install(t *testing.T, share string) {
	t.Helper()
	if out, err := exec.Command("bash", "../../.ci/build", filepath.Join(share, "bin")).CombinedOutput(); err != nil {
		t.Fatalf("cannot build podc: %v\n%s", err, out)
	}
}

func onMachine(ctx context.Context, t *testing.T, suite, share string) {
	start := time.Now()
	d, err := vm.Make(ctx, suite)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the disk is there after %.0f s", time.Since(start).Seconds())
	v, err := vm.Start(ctx, d, share)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Stop()
	m := machine{T: t, vm: v, suite: suite, share: share}
	t.Logf("it runs after %.0f s: %s", time.Since(start).Seconds(), m.root("uname -r"))
	m.root("install /mnt/host/bin/* /usr/local/bin/ && podc boot --unit >/etc/systemd/system/podc.service && systemctl enable -q --now podc")
	for _, c := range checks {
		if testing.Short() && !c.short {
			continue
		}
		m.behaves(c.name, func(m machine) {
			defer m.leavesNothing()
			c.do(m)
		})
		if ctx.Err() != nil {
			t.Fatal(context.Cause(ctx), "\n", v.Console())
		}
	}
}

// leavesNothing fails if something of podc's is left, and takes it away for the next check.
func (m machine) leavesNothing() {
	if m.Failed() {
		m.Logf("what there was:\n%s\n%s", m.vm.Console(), m.tell("podc ls -a; for p in $(podc ls -aq); do podc -p $p ps -a; podc -p $p logs; done; podc system check; systemctl --failed; systemctl status --no-pager podc; dmesg | tail -20"))
		m.tell("for p in $(podc ls -aq); do podc -p $p down -v -t 0; done")
		return
	}
	if out := m.root("podc system check && podc ls -aq && find /sys/fs/cgroup -type d -name 'podc-????????' && pgrep -a 'conmon|podc' || true"); out != "" {
		m.Errorf("left behind: %s", out)
	}
}

// tell runs a script for what it prints, whether it succeeds or not.
func (m machine) tell(script string) string {
	out, _ := m.vm.Run(context.WithoutCancel(m.Context()), "root", "exec 2>&1; set +e; "+script)
	return out
}
