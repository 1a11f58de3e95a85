package show

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"podc.example/podc/api"
)

// Event is one piece of progress. Events with the same ID describe the same thing: a later one replaces the earlier.
type Event struct {
	DryRun bool `json:"dry-run,omitempty"`
	api.Progress
}

// The states of an event.
const (
	Working = "Working"
	Done    = "Done"
	Warning = "Warning"
	Failed  = "Error"
)

// Progress shows events on stderr. Implementations are safe for concurrent use.
type Progress interface {
	Show(Event)
	// Say writes a line for people that is about no single thing, such as a warning.
	Say(string)
	// Aside clears the way for something else on the terminal while f runs.
	Aside(f func())
	// Close ends the display; what was shown last stays.
	Close()
}

// NewProgress shows the progress of one operation ("up") as g says.
func NewProgress(con *Console, g Style, operation string) Progress {
	switch g.Progress {
	case ProgressTTY:
		return startTTY(con, operation, g.Color(con.ErrTTY))
	case ProgressJSON:
		return &jsonProgress{w: con.Err}
	case ProgressQuiet:
		return QuietProgress{}
	}
	if con.IsTrue("COMPOSE_STATUS_STDOUT") {
		return &PlainProgress{W: con.Out}
	}
	return &PlainProgress{W: con.Err}
}

// QuietProgress shows nothing.
type QuietProgress struct{}

func (QuietProgress) Show(Event)     {}
func (QuietProgress) Say(string)     {}
func (QuietProgress) Aside(f func()) { f() }
func (QuietProgress) Close()         {}

// PlainProgress writes one line for each change.
type PlainProgress struct {
	mu    sync.Mutex
	W     io.Writer
	last  map[string]string     // by ID: a line is not repeated, as byte counters would
	steps map[string]*buildStep // of builds, that were said to have begun
}

type buildStep struct {
	began time.Time
	ended bool // and nothing was said of it since
}

func (p *PlainProgress) Show(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Step > 0 {
		p.step(e)
		return
	}
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
	fmt.Fprintln(p.W, Printable(line))
}

// step writes of a step of a build that it begins, what it says, and how it ends, each line with the number of the step.
func (p *PlainProgress) step(e Event) {
	key := e.ParentID + " " + e.ID
	say := func(format string, args ...any) {
		line := fmt.Sprintf(" %s #%d ", e.ParentID, e.Step) + fmt.Sprintf(format, args...)
		fmt.Fprintln(p.W, Printable(line))
	}
	step := p.steps[key]
	if step == nil {
		if p.steps == nil {
			p.steps = map[string]*buildStep{}
		}
		step = &buildStep{began: time.Now()}
		p.steps[key] = step
		say("%s", OneLine(e.Text))
	}
	for line := range strings.Lines(e.Log) {
		say("%s", strings.TrimRight(line, "\r\n"))
		step.ended = false
	}
	switch {
	case e.Status == Working || step.ended && e.Status != Warning:
		return
	case e.Status == Warning:
		say("WARNING %s", e.Text)
		return
	case e.Status == Failed:
		say("ERROR %s", OneLine(e.Details))
	case e.Cached:
		say("CACHED")
	default:
		say("DONE %.1fs", time.Since(step.began).Seconds())
	}
	step.ended = true
}

func (p *PlainProgress) Say(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintln(p.W, Printable(s))
}

func (p *PlainProgress) Aside(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *PlainProgress) Close() {}

// jsonProgress writes one JSON object for each event.
type jsonProgress struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *jsonProgress) Show(e Event) { p.write(e) }

func (p *jsonProgress) Say(s string) {
	p.write(struct {
		Status string `json:"status"`
		Text   string `json:"text"`
	}{Warning, s})
}

func (p *jsonProgress) write(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b, err := json.Marshal(v); err == nil {
		fmt.Fprintf(p.w, "%s\n", b)
	}
}

func (p *jsonProgress) Aside(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *jsonProgress) Close() {}

// refresh is the pause between two drawings of a terminal.
const refresh = 100 * time.Millisecond
