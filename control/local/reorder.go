package local

import (
	"slices"
	"time"

	"podc.example/podc/control"
)

// reorderWindow is how long a followed line may wait for an older one of another container.
const reorderWindow = 50 * time.Millisecond

// reorder sorts the lines of several containers within a short window.
type reorder struct {
	out   func([]control.Line)
	lines []control.Line
	timer *time.Timer
}

func newReorder(out func([]control.Line)) *reorder {
	r := &reorder{out: out, timer: time.NewTimer(0)}
	r.timer.Stop()
	return r
}

// mostReordered bounds the memory of a window, in lines.
const mostReordered = 16 << 10

func (r *reorder) add(lines []control.Line) {
	if len(r.lines) == 0 && len(lines) > 0 {
		r.timer.Reset(reorderWindow)
	}
	if r.lines = append(r.lines, lines...); len(r.lines) >= mostReordered {
		r.flush()
	}
}

func (r *reorder) flush() {
	r.timer.Stop()
	if len(r.lines) == 0 {
		return
	}
	slices.SortStableFunc(r.lines, func(a, b control.Line) int { return a.Time.Compare(b.Time) })
	r.out(r.lines)
	clear(r.lines) // they hold on to their text
	r.lines = r.lines[:0]
}

// drain passes on what is left, once nobody adds to it.
func (r *reorder) drain(from <-chan []control.Line) {
	for len(from) > 0 {
		r.add(<-from)
	}
	r.flush()
}
