package local

import (
	"strings"
	"testing"
	"time"

	"podc.example/podc/control"
)

func TestMergeLogs(t *testing.T) {
	day := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(pod string, days ...int) []control.Line {
		var lines []control.Line
		for _, d := range days {
			lines = append(lines, control.Line{Pod: pod, Time: day.AddDate(0, 0, d)})
		}
		return lines
	}
	stream := func(open bool, batches ...[]control.Line) chan batch {
		c := make(chan batch, len(batches)+1)
		for i, lines := range batches {
			b := batch{lines: lines}
			if open && i == 1 { // the end of what there was at first
				b.caughtUp = day
			}
			c <- b
		}
		if !open {
			close(c)
		}
		return c
	}
	var got []string
	collect := func(lines []control.Line) {
		for _, l := range lines {
			got = append(got, l.Pod)
		}
	}
	live := stream(true, at("a", 1, 4), at("a", 4), at("a", 0))
	merge([]chan batch{live, stream(false, at("b", 2, 3), at("b", 9)), stream(false), stream(true, at("c", 5), nil)}, collect)
	if s := strings.Join(got, ""); s != "abbaacb" || len(live) != 1 {
		t.Errorf("merged %s, with %d batches to come", s, len(live))
	}
	got = nil
	r := newReorder(collect)
	r.add(at("a", 1, 4, 4))
	r.add(at("b", 2, 3, 9))
	r.flush()
	if s := strings.Join(got, ""); s != "abbaab" {
		t.Errorf("sorted %s", s)
	}
}
