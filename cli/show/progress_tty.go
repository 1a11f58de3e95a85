package show

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// ttyProgress draws a live list on a terminal: a header with counts, then a line for each thing, redrawn in place. Nothing
// is drawn more often than every 100 ms.
type ttyProgress struct {
	mu        sync.Mutex
	w         io.Writer
	operation string
	color     bool
	size      func() (width, height int)
	now       func() time.Time

	rows  []*row // in order of appearance, without children
	byID  map[string]*row
	lines int // drawn last time: where the cursor must go back to
	frame int

	stop, stopped chan struct{}
	once          sync.Once
}

// row is one thing on the list.
type row struct {
	Event
	start, end time.Time
	children   []*row
}

// startTTY begins drawing; close ends it.
func startTTY(con *Console, operation string, color bool) *ttyProgress {
	t := newTTY(con.Err, operation, color, con.size, time.Now)
	t.stop, t.stopped = make(chan struct{}), make(chan struct{})
	go t.loop()
	return t
}

func newTTY(w io.Writer, operation string, color bool, size func() (int, int), now func() time.Time) *ttyProgress {
	return &ttyProgress{w: w, operation: operation, color: color, size: size, now: now, byID: map[string]*row{}}
}

func (t *ttyProgress) loop() {
	defer close(t.stopped)
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.draw(false)
		case <-t.stop:
			return
		}
	}
}

func (t *ttyProgress) Show(e Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if parent := t.byID["\x00"+e.ParentID]; e.Step > 0 && parent != nil { // of a build is shown what it does
		parent.Details = OneLine(e.Text)
		if strings.TrimSpace(e.Log) != "" {
			parent.Details += ": " + OneLine(lastLine(e.Log))
		}
		return
	}
	key := e.ParentID + "\x00" + e.ID
	r := t.byID[key]
	if r == nil {
		r = &row{start: t.now()}
		t.byID[key] = r
		if parent := t.byID["\x00"+e.ParentID]; e.ParentID != "" && parent != nil {
			parent.children = append(parent.children, r)
		} else {
			t.rows = append(t.rows, r)
		}
	}
	switch {
	case e.Status == Working:
		if !r.end.IsZero() { // a second act: created, now starting
			r.end = time.Time{}
		}
	case r.end.IsZero():
		r.end = t.now()
	}
	r.Event = e
}

func lastLine(text string) string {
	text = strings.TrimRight(text, "\r\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func (t *ttyProgress) Say(s string) {
	t.Aside(func() { fmt.Fprintln(t.w, Printable(s)) })
}

// Aside takes the list away while f writes; the next drawing puts it below.
func (t *ttyProgress) Aside(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b bytes.Buffer
	t.rewind(&b)
	t.w.Write(b.Bytes())
	t.lines = 0
	f()
}

func (t *ttyProgress) Close() {
	t.once.Do(func() {
		if t.stop != nil {
			close(t.stop)
			<-t.stopped
		}
		t.draw(true)
		t.mu.Lock()
		t.rows, t.lines = nil, 0 // what is drawn stays
		t.mu.Unlock()
	})
}

// draw replaces the last drawing. The final one is not cut to the terminal's height.
func (t *ttyProgress) draw(final bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rows) == 0 {
		return
	}
	var b bytes.Buffer
	t.rewind(&b)
	t.paint(&b, final)
	t.w.Write(b.Bytes()) // in one write, so that it does not flicker
}

// rewind puts the cursor where the last drawing began and clears from there on.
func (t *ttyProgress) rewind(b *bytes.Buffer) {
	if t.lines > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r\x1b[J", t.lines)
	}
}

func (t *ttyProgress) paint(b *bytes.Buffer, final bool) {
	if len(t.rows) == 0 {
		return
	}
	t.frame++
	width, height := t.size()
	if width <= 0 {
		width = 80
	}
	rows, hiddenRows := t.rows, 0
	if room := height - 2; !final && height > 0 && len(rows) > room {
		rows, hiddenRows = fit(rows, max(room-1, 1))
	}
	nameWidth := 0
	for _, r := range rows {
		nameWidth = max(nameWidth, utf8.RuneCountInString(r.label()))
	}
	b.WriteString(t.header(width))
	for _, r := range rows {
		b.WriteString(t.line(r, nameWidth, width))
	}
	t.lines = 1 + len(rows)
	if hiddenRows > 0 {
		fmt.Fprintf(b, "   %d more\n", hiddenRows)
		t.lines++
	}
}

// fit chooses n rows of a list that is too long: those at work first, else the latest, in their order.
func fit(rows []*row, n int) (shown []*row, hiddenRows int) {
	keep := map[*row]bool{}
	for _, atWork := range []bool{true, false} {
		for i := len(rows) - 1; i >= 0 && len(keep) < n; i-- {
			if rows[i].end.IsZero() == atWork {
				keep[rows[i]] = true
			}
		}
	}
	for _, r := range rows {
		if keep[r] {
			shown = append(shown, r)
		}
	}
	return shown, len(rows) - len(shown)
}

func (t *ttyProgress) header(width int) string {
	finished := 0
	for _, r := range t.rows {
		if !r.end.IsZero() {
			finished++
		}
	}
	s := Clip(fmt.Sprintf("[+] %s %d/%d", t.operation, finished, len(t.rows)), width)
	if finished == len(t.rows) {
		s = t.paintIn("34", s)
	}
	return s + "\n"
}

// label is the part of a row that names it.
func (r *row) label() string { return Printable(r.ID) }

var spinner = []rune("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")

// line is one row: mark, name, status, details, and the time it took at the right edge.
func (t *ttyProgress) line(r *row, nameWidth, width int) string {
	mark, color := string(spinner[t.frame%len(spinner)]), "34"
	switch r.Status {
	case Done:
		mark, color = "✔", "32"
	case Warning:
		mark, color = "!", "33"
	case Failed:
		mark, color = "✘", "31"
	}
	end := r.end
	if end.IsZero() {
		end = t.now()
	}
	elapsed := fmt.Sprintf("%.1fs", end.Sub(r.start).Seconds())
	middle := strings.TrimRight(fmt.Sprintf("%-*s %s%s %s", nameWidth, r.label(), r.bar(), Printable(r.Text), Printable(OneLine(r.Details))), " ")
	room := max(width-5-len(elapsed), 1) // the last column stays free: some terminals wrap after it
	middle = Clip(middle, room)
	pad := strings.Repeat(" ", max(room-utf8.RuneCountInString(middle), 0))
	return " " + t.paintIn(color, mark) + " " + middle + pad + " " + t.paintIn("34", elapsed) + "\n"
}

var braille = []rune("⠀⡀⣀⣄⣤⣦⣶⣷⣿")

// bar shows the parts of a pull, one sign each, and the bytes so far.
func (r *row) bar() string {
	if r.Status != Working {
		return ""
	}
	parts := r.children
	if len(parts) == 0 && r.Total > 0 {
		parts = []*row{r}
	}
	var b strings.Builder
	var current, total int64
	for _, c := range parts {
		share := 0
		if c.Status == Done {
			share = len(braille) - 1
		} else if c.Total > 0 {
			share = int(min(c.Current, c.Total) * int64(len(braille)-1) / c.Total)
		}
		b.WriteRune(braille[share])
		current, total = current+c.Current, total+c.Total
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("[%s] %s / %s ", b.String(), Size(current), Size(total))
}

func (t *ttyProgress) paintIn(sgr, s string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + sgr + "m" + s + "\x1b[0m"
}

// Clip cuts s to n characters.
func Clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	if n < 2 {
		return string(r[:max(n, 0)])
	}
	return string(r[:n-1]) + "…"
}

func OneLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
