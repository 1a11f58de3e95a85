// Command bench measures podc against its floors, and against docker compose and podman-compose where they are installed. All
// figures of one run come from one machine in one state, so the ratios are what counts: milliseconds change with the load.
//
//	go run ./internal/bench -bin bin [-json bin/bench.json] [-n 5] [-services 1,20,50] [-dir DIR]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// result is one row: what podc takes, and what the floor of the same work takes.
type result struct {
	Name     string  `json:"name"`
	WallMS   float64 `json:"wall_ms"`
	CPUMS    float64 `json:"cpu_ms,omitempty"`
	Floor    string  `json:"floor,omitempty"`
	FloorMS  float64 `json:"floor_ms,omitempty"`
	FloorCPU float64 `json:"floor_cpu_ms,omitempty"`
	Ratio    float64 `json:"ratio,omitempty"`
	Aim      float64 `json:"aim,omitempty"` // at most; 0: none
	Unit     string  `json:"unit,omitempty"`
}

func main() {
	bin := flag.String("bin", "bin", "folder of podc's binaries")
	out := flag.String("json", "", "write the figures to this file too")
	n := flag.Int("n", 5, "runs of each measurement; the median counts")
	sizes := flag.String("services", "1,20,50", "numbers of services; none: only what does not depend on them")
	dir := flag.String("dir", memory, "folder to work in; memory by default, since a file system may cost more than what is measured")
	flag.Parse()
	results, err := run(*bin, *dir, *n, *sizes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	printTable(results)
	if *out != "" {
		b, _ := json.MarshalIndent(results, "", "  ")
		if err := os.WriteFile(*out, append(b, '\n'), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
}

// memory is where files cost the same on every machine. An ext4 without a journal, for one, looks at every inode that was
// deleted within the last five seconds before it gives out a new one: up and down in turn would measure that.
const memory = "/dev/shm"

func run(bin, parent string, n int, sizes string) ([]result, error) {
	bin, err := filepath.Abs(bin)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(parent, "podc-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	b, err := newBench(dir, bin, n)
	if err != nil {
		return nil, err
	}
	defer b.close()
	for s := range strings.FieldsFuncSeq(sizes, func(r rune) bool { return r == ',' }) {
		size, err := strconv.Atoi(s)
		if err != nil {
			return nil, fmt.Errorf("-services: %w", err)
		}
		if err := b.size(size); err != nil {
			return nil, fmt.Errorf("%d services: %w", size, err)
		}
	}
	return b.results, b.look()
}

func printTable(results []result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\twall\tcpu\tfloor\tfloor cpu\tratio\taim\t\t")
	for _, r := range results {
		unit := r.Unit
		if unit == "" {
			unit = "ms"
		}
		verdict := ""
		if r.Aim > 0 {
			verdict = "ok"
			if v := r.Ratio; r.Ratio == 0 && r.WallMS > r.Aim || v > r.Aim {
				verdict = "over"
			}
		}
		fmt.Fprintf(w, "%s\t%.1f %s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Name, r.WallMS, unit, number(r.CPUMS), number(r.FloorMS), number(r.FloorCPU), number(r.Ratio), number(r.Aim), verdict)
	}
	w.Flush()
}

func number(v float64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
