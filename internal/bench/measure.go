package main

import (
	"fmt"
	"os"
	"os/exec"
	"sort"
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
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
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
	type answer struct {
		s   sample
		err error
	}
	slots, answers := make(chan struct{}, 8), make(chan answer, n)
	start := time.Now()
	for i := range n {
		slots <- struct{}{}
		go func() {
			s, err := do(i)
			<-slots
			answers <- answer{s, err}
		}()
	}
	var total sample
	var failed error
	for range n {
		a := <-answers
		total.cpu += a.s.cpu
		if a.err != nil {
			failed = a.err
		}
	}
	total.wall = time.Since(start)
	return total, failed
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
