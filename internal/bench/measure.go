package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// sample is one run of something.
type sample struct{ wall, cpu time.Duration }

// median takes wall and CPU time each by itself.
func median(samples []sample) sample {
	pick := func(of func(sample) time.Duration) time.Duration {
		all := make([]time.Duration, len(samples))
		for i, s := range samples {
			all[i] = of(s)
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return sample{pick(func(s sample) time.Duration { return s.wall }), pick(func(s sample) time.Duration { return s.cpu })}
}

// timed runs a command and measures it with all descendants that were waited for.
func timed(cmd *exec.Cmd) (sample, error) {
	// A file, not a pipe: what the command leaves running would keep a pipe open.
	stderr, err := os.CreateTemp("", "podc-bench-*")
	if err != nil {
		return sample{}, err
	}
	defer os.Remove(stderr.Name())
	defer stderr.Close()
	cmd.Stderr = stderr
	start := time.Now()
	err = cmd.Run()
	s := sample{wall: time.Since(start)}
	if cmd.ProcessState != nil {
		s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		said, _ := os.ReadFile(stderr.Name())
		err = fmt.Errorf("%q: %w: %s", cmd.Args, err, said)
	}
	return s, err
}

// parallel runs do for 0..n-1, eight at once, and measures the whole.
func parallel(n int, do func(i int) (sample, error)) (sample, error) {
	slots, samples, errs := make(chan struct{}, 8), make([]sample, n), make([]error, n)
	var work sync.WaitGroup
	start := time.Now()
	for i := range n {
		slots <- struct{}{}
		work.Go(func() {
			samples[i], errs[i] = do(i)
			<-slots
		})
	}
	work.Wait()
	total := sample{wall: time.Since(start)}
	for _, s := range samples {
		total.cpu += s.cpu
	}
	return total, errors.Join(errs...)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// row joins what podc took with its floor.
func row(name string, got sample, floorName string, floor sample, aim float64) result {
	r := result{Name: name, WallMS: ms(got.wall), CPUMS: ms(got.cpu), Floor: floorName, FloorMS: ms(floor.wall), FloorCPU: ms(floor.cpu), Aim: aim}
	if floor.wall > 0 {
		r.Ratio = float64(got.wall) / float64(floor.wall)
	}
	return r
}
