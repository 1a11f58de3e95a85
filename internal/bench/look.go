package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"podc.example/podc/internal/testimage"
)

// look measures the commands that look into containers, or copy from them, each with a project of its own.
func (b *bench) look() error {
	return errors.Join(b.copyFiles(10000), b.followLogs(50), b.list(200))
}

// withProject brings a compose file up by a command, calls do, and takes it down.
func (b *bench) withProject(compose string, do func() error, up ...string) error {
	if err := os.WriteFile(filepath.Join(b.dir, "compose.yaml"), []byte(compose), 0o644); err != nil {
		return err
	}
	_, err := timed(b.podc(up...))
	if err == nil {
		err = do()
	}
	_, downErr := timed(b.podc("down", "-v", "-t", "0"))
	return errors.Join(err, downErr)
}

// copyFiles measures cp of a folder with many small files into a container and out of it; the floor is tar | tar.
func (b *bench) copyFiles(n int) error {
	src := filepath.Join(b.dir, "files")
	defer os.RemoveAll(src)
	for i := range n {
		dir := filepath.Join(src, fmt.Sprint(i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte(strings.Repeat("x", 1000)), 0o644); err != nil {
			return err
		}
	}
	return b.withProject(composeFile(1), func() error {
		// The floor copies between the same places, by way of the container's mounted root.
		tmp := filepath.Join(b.dir, "root", "pods", "bench-s00-1", "main", "merged", "tmp")
		out := filepath.Join(b.dir, "out")
		bare := func(from, to string) (sample, error) {
			if err := os.MkdirAll(to, 0o755); err != nil {
				return sample{}, err
			}
			s, err := timed(exec.Command("sh", "-c", `tar -C "$0" -cf - . | tar -C "$1" -xf -`, from, to))
			return s, errors.Join(err, os.RemoveAll(to))
		}
		var ins, floorIns, outs, floorOuts []sample
		for i := range b.n {
			place := fmt.Sprint(i)
			in, err1 := timed(b.podc("cp", src, "s00:/tmp/"+place))
			floorIn, err2 := bare(src, filepath.Join(tmp, "bare"))
			back, err3 := timed(b.podc("cp", "s00:/tmp/"+place, out))
			err4 := os.RemoveAll(out)
			floorBack, err5 := bare(filepath.Join(tmp, place), out)
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				return err
			}
			ins, floorIns, outs, floorOuts = append(ins, in), append(floorIns, floorIn), append(outs, back), append(floorOuts, floorBack)
		}
		b.results = append(b.results,
			row(fmt.Sprintf("cp of %d files, in", n), median(ins), "tar | tar", median(floorIns), 2),
			row(fmt.Sprintf("cp of %d files, out", n), median(outs), "tar | tar", median(floorOuts), 2))
		return nil
	}, "up", "-d")
}

// followFor is how long logs are followed for one figure.
const followFor = 5 * time.Second

// followLogs measures the CPU that `logs -f` takes while each of size services prints 200 lines a second; the floor is tail -F.
func (b *bench) followLogs(size int) error {
	archive, err := testimage.Build(context.Background(), testimage.Probe)
	if err != nil {
		return err
	}
	if _, err := timed(b.podc("load", "-q", "-i", archive)); err != nil {
		return err
	}
	var f strings.Builder
	f.WriteString("services:\n")
	for i := range size {
		fmt.Fprintf(&f, "  s%02d:\n    image: localhost/podc-probe\n    command: [flood, '10000000', '100', 500ms]\n    stop_signal: SIGKILL\n", i)
	}
	return b.withProject(f.String(), func() error {
		got, err := followed(b.podc("logs", "-f", "--tail", "0"))
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(b.dir, "root", "pods", "bench-s*", "main", "ctr.log"))
		if err != nil || len(files) != size {
			return fmt.Errorf("there are %d logs: %w", len(files), err)
		}
		floor, err := followed(exec.Command("tail", append([]string{"-q", "-n", "0", "-F"}, files...)...))
		if err != nil {
			return err
		}
		b.results = append(b.results, result{
			Name: fmt.Sprintf("logs -f of %d services, %d lines/s", size, 200*size), WallMS: got, Unit: "% CPU",
			Floor: "tail -F", FloorMS: floor, Ratio: got / max(floor, 0.1),
		})
		return nil
	}, "up", "-d")
}

// followed lets a command run for a while and returns the CPU that it took, in percent of one.
func followed(cmd *exec.Cmd) (float64, error) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	cmd.Stdout, cmd.Stderr = null, null
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	begin := time.Now()
	<-time.After(followFor)
	cmd.Process.Signal(syscall.SIGTERM) // a shell lets what runs in its background ignore interrupts
	cmd.Wait()                          // ended by a signal, which is no failure here
	took := time.Since(begin)
	return 100 * float64(cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()) / float64(took), nil
}

// list measures ps of many containers that run.
func (b *bench) list(size int) error {
	return b.withProject(composeFile(size), func() error {
		return b.besideBare(fmt.Sprintf("ps (%d)", size), 6, "ps")
	}, "up", "-d")
}
