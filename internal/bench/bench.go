package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/internal/testimage"
)

// bench holds what all measurements share.
type bench struct {
	dir, bin string
	n        int
	bare     string // a Go program that does nothing
	rootfs   string // of the bare containers
	results  []result
}

func newBench(dir, bin string, n int) (*bench, error) {
	b := &bench{dir: dir, bin: bin, n: n, bare: filepath.Join(dir, "bare"), rootfs: filepath.Join(dir, "rootfs")}
	src := filepath.Join(dir, "bare.go")
	if err := os.WriteFile(src, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return nil, err
	}
	if out, err := exec.Command("go", "build", "-o", b.bare, src).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cannot build the bare program: %w: %s", err, out)
	}
	archive, err := testimage.Build(context.Background(), testimage.Busybox)
	if err != nil {
		return nil, err
	}
	if _, err := timed(b.podc("load", "-q", "-i", archive)); err != nil {
		return nil, err
	}
	return b, makeRootfs(b.rootfs)
}

// makeRootfs makes a folder for bare containers: podc's own root filesystems are mounted only while its pods run.
func makeRootfs(dir string) error {
	for _, d := range []string{"bin", "etc", "proc", "sys", "dev", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	b, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	for _, name := range []string{"sleep", "true", "sh"} {
		if err := os.WriteFile(filepath.Join(dir, "bin", name), b, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) close() {
	exec.Command(filepath.Join(b.bin, "podc"), "system", "check", "--repair").Run()
}

// podc is a command on the bench's roots, in the folder of the project under measurement.
func (b *bench) podc(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.bin, "podc"), args...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), "PODC_ROOT="+filepath.Join(b.dir, "root"), "PODC_RUNROOT="+filepath.Join(b.dir, "run"), "COMPOSE_PROJECT_NAME=bench")
	return cmd
}

// inTurn measures a command and its floor n times, in turn: what else the machine does, it does to both.
func (b *bench) inTurn(command, floor func() (sample, error)) (got, bare sample, err error) {
	var commands, floors []sample
	for range b.n {
		c, err1 := command()
		f, err2 := floor()
		if err := errors.Join(err1, err2); err != nil {
			return sample{}, sample{}, err
		}
		commands, floors = append(commands, c), append(floors, f)
	}
	return median(commands), median(floors), nil
}

// besideBare measures a podc command beside a Go program that does nothing.
func (b *bench) besideBare(name string, aim float64, args ...string) error {
	got, bare, err := b.inTurn(
		func() (sample, error) { return timed(b.podc(args...)) },
		func() (sample, error) { return timed(exec.Command(b.bare)) })
	if err == nil {
		b.results = append(b.results, row(name, got, "bare Go program", bare, aim))
	}
	return err
}

// composeFile is size idle services with health checks.
func composeFile(size int) string {
	var f strings.Builder
	f.WriteString("services:\n")
	for i := range size {
		fmt.Fprintf(&f, "  s%02d:\n    image: localhost/podc-busybox\n    command: sleep 100000\n    stop_signal: SIGKILL\n    healthcheck: {test: ['CMD', 'true'], interval: 30s}\n", i)
	}
	return f.String()
}

// size takes every measurement for a project of that many services.
func (b *bench) size(size int) error {
	if err := os.WriteFile(filepath.Join(b.dir, "compose.yaml"), []byte(composeFile(size)), 0o644); err != nil {
		return err
	}
	bundles, err := b.bareBundles(size)
	if err != nil {
		return err
	}
	var ups, downs, floorUps, floorDowns []sample
	for i := range b.n + 1 { // the first warms up
		up, err := timed(b.podc("up", "-d"))
		if err != nil {
			return err
		}
		if i == b.n {
			if err := errors.Join(b.whileUp(size), b.runTrue(size, bundles[0])); err != nil {
				return err
			}
		}
		down, err := timed(b.podc("down"))
		if err != nil {
			return err
		}
		floorUp, floorDown, err := b.floor(bundles) // in turn with podc: what else the machine does, it does to both
		if err != nil {
			return err
		}
		if i > 0 {
			ups, downs = append(ups, up), append(downs, down)
			floorUps, floorDowns = append(floorUps, floorUp), append(floorDowns, floorDown)
		}
	}
	b.results = append(b.results,
		row(fmt.Sprintf("up %d", size), median(ups), "crun run, 8 at once", median(floorUps), aimAt20(size, 2.5)),
		row(fmt.Sprintf("down %d", size), median(downs), "crun kill + delete, 8 at once", median(floorDowns), aimAt20(size, 2)))
	return b.peers(size)
}

// aimAt20 is the aim where one is set: for twenty services.
func aimAt20(size int, aim float64) float64 {
	if size != 20 {
		return 0
	}
	return aim
}

// whileUp measures what is asked of a running project.
func (b *bench) whileUp(size int) error {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"up, converged", []string{"up", "-d"}}, {"ps", []string{"ps"}}, {"logs", []string{"logs"}}, {"version", []string{"version"}},
	} {
		if err := b.besideBare(fmt.Sprintf("%s (%d)", c.name, size), aimAt20(size, 5), c.args...); err != nil {
			return err
		}
	}
	if err := b.execTrue(size); err != nil {
		return err
	}
	<-time.After(idle)
	kept, err := b.kept()
	if err != nil {
		return err
	}
	b.results = append(b.results, result{Name: fmt.Sprintf("kept beside conmon (%d)", size), WallMS: kept, Unit: "MiB", Aim: aimAt20(size, 12)})
	return nil
}

func (b *bench) execTrue(size int) error {
	id, err := b.podc("ps", "-q", "--no-trunc", "s00").Output()
	if err != nil {
		return err
	}
	got, floor, err := b.inTurn(
		func() (sample, error) { return timed(b.podc("exec", "-T", "s00", "true")) },
		func() (sample, error) {
			return timed(exec.Command("crun", "--root", filepath.Join(b.dir, "run", "runtime"), "exec", strings.TrimSpace(string(id)), "true"))
		})
	if err != nil {
		return err
	}
	b.results = append(b.results, row(fmt.Sprintf("exec true (%d)", size), got, "crun exec", floor, aimAt20(size, 1.6)))
	return nil
}

// idle is how long a stack that has just come up takes to be one that does nothing: helpers give back what they needed to start
// every ten seconds.
const idle = 12 * time.Second

// kept is the memory, as proportional set size in MiB, of everything podc keeps running beside conmon.
func (b *bench) kept() (float64, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, err
	}
	total := 0
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || filepath.Dir(exe) != b.bin {
			continue
		}
		rollup, err := os.ReadFile(filepath.Join(filepath.Dir(link), "smaps_rollup"))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(rollup)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				kb, _ := strconv.Atoi(f[1])
				total += kb
			}
		}
	}
	return float64(total) / 1024, nil
}
