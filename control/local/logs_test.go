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
	// A batch that is empty stands for the end of what there was at first.
	stream := func(open bool, batches ...[]control.Line) chan []control.Line {
		c := make(chan []control.Line, len(batches))
		for _, b := range batches {
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
	live := stream(true, at("a", 1, 4), at("a", 4), nil, at("a", 0))
	open := merge([]chan []control.Line{live, stream(false, at("b", 2, 3), at("b", 9)), stream(false), stream(true, nil)}, collect)
	if s := strings.Join(got, ""); s != "abbaab" {
		t.Errorf("merged %s", s)
	}
	if len(open) != 2 || len(live) != 1 {
		t.Errorf("%d go on, with %d batches to come", len(open), len(live))
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
