package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"podc.example/podc/api"
)

// event is one piece of progress. Events with the same ID describe the same thing: a later one replaces the earlier.
type event struct {
	DryRun bool `json:"dry-run,omitempty"`
	api.Progress
}

// The states of an event.
const (
	working = "Working"
	done    = "Done"
	warning = "Warning"
	failed  = "Error"
)

// progress shows events on stderr. Implementations are safe for concurrent use.
type progress interface {
	show(event)
	// say writes a line for people that is about no single thing, such as a warning.
	say(string)
	// aside clears the way for something else on the terminal while f runs.
	aside(f func())
	// close ends the display; what was shown last stays.
	close()
}

// newProgress shows the progress of one operation ("up") as g says.
func newProgress(con *console, g style, operation string) progress {
	switch g.progress {
	case progressTTY:
		return startTTY(con, operation, g.color(con.errTTY))
	case progressJSON:
		return &jsonProgress{w: con.err}
	case progressQuiet:
		return quietProgress{}
	}
	if con.isTrue("COMPOSE_STATUS_STDOUT") {
		return &plainProgress{w: con.out}
	}
	return &plainProgress{w: con.err}
}

// quietProgress shows nothing.
type quietProgress struct{}

func (quietProgress) show(event)     {}
func (quietProgress) say(string)     {}
func (quietProgress) aside(f func()) { f() }
func (quietProgress) close()         {}

// plainProgress writes one line for each change.
type plainProgress struct {
	mu   sync.Mutex
	w    io.Writer
	last map[string]string // by ID: a line is not repeated, as byte counters would
}

func (p *plainProgress) show(e event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.ParentID != "" { // layers are of no interest in a log file
		return
	}
	line := fmt.Sprintf(" %s %s", e.ID, e.Text)
	if e.Details != "" {
		line += " " + e.Details
	}
	if p.last[e.ID] == line {
		return
	}
	if p.last == nil {
		p.last = map[string]string{}
	}
	p.last[e.ID] = line
	if e.DryRun {
		line = " DRY-RUN MODE - " + line
	}
	fmt.Fprintln(p.w, printable(line))
}

func (p *plainProgress) say(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.w, printable(s))
}

func (p *plainProgress) aside(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *plainProgress) close() {}

// jsonProgress writes one JSON object for each event.
type jsonProgress struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *jsonProgress) show(e event) { p.write(e) }

func (p *jsonProgress) say(s string) {
	p.write(struct {
		Status string `json:"status"`
		Text   string `json:"text"`
	}{warning, s})
}

func (p *jsonProgress) write(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, err := json.Marshal(v); err == nil {
		fmt.Fprintf(p.w, "%s\n", b)
	}
}

func (p *jsonProgress) aside(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *jsonProgress) close() {}

// refresh is the pause between two drawings of a terminal.
const refresh = 100 * time.Millisecond
