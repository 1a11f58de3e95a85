package show

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
)

// screen is a terminal as far as podc's drawing goes.
type screen struct {
	lines []string
	row   int
	buf   []byte
}

func (s *screen) Write(b []byte) (int, error) {
	s.buf = append(s.buf, b...)
	for len(s.buf) > 0 {
		if n := escapeLen(string(s.buf)); n > 0 {
			s.control(string(s.buf[:n]))
			s.buf = s.buf[n:]
			continue
		}
		c := s.buf[0]
		s.buf = s.buf[1:]
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		switch c {
		case '\n':
			s.row++
		case '\r': // podc never writes into a line that it has begun
		default:
			s.lines[s.row] += string([]byte{c})
		}
	}
	return len(b), nil
}

func (s *screen) control(seq string) {
	var n int
	switch {
	case strings.HasSuffix(seq, "A"):
		fmt.Sscanf(seq, "\x1b[%dA", &n)
		s.row = max(s.row-n, 0)
	case seq == "\x1b[J":
		s.lines = s.lines[:s.row]
	}
}

func (s *screen) String() string {
	var b strings.Builder
	for _, l := range s.lines {
		b.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	return b.String()
}

func ev(id, status, text string) Event {
	return Event{Progress: api.Progress{ID: id, Status: status, Text: text}}
}

func TestTTYProgress(t *testing.T) {
	now := time.Unix(1000, 0)
	var s screen
	p := newTTY(&s, "up", true, func() (int, int) { return 60, 24 }, func() time.Time { return now })
	p.Show(ev("Network shop_default", Working, "Creating"))
	p.Show(ev("Container shop-web-1", Working, "Creating"))
	p.draw(false)
	now = now.Add(300 * time.Millisecond)
	p.Show(ev("Network shop_default", Done, "Created"))
	p.draw(false)
	want := `[+] up 1/2
 ✔ Network shop_default Created                        0.3s
 ⠹ Container shop-web-1 Creating                       0.3s
`
	if s.String() != want {
		t.Errorf("got\n%s", s.String())
	}
	p.Say("warning: something else")
	now = now.Add(time.Second)
	p.Show(Event{Progress: api.Progress{ID: "Container shop-web-1", Status: Failed, Text: "Error",
		Details: "no space left on the device, and this goes on\nand on"}})
	p.draw(true)
	want = `warning: something else
[+] up 2/2
 ✔ Network shop_default Created                        0.3s
 ✘ Container shop-web-1 Error no space left on the de… 1.3s
`
	if s.String() != want {
		t.Errorf("got\n%s", s.String())
	}
}

func TestTTYProgressFits(t *testing.T) {
	now := time.Unix(1000, 0)
	var s screen
	height := 6
	p := newTTY(&s, "down", false, func() (int, int) { return 40, height }, func() time.Time { return now })
	for i := range 9 {
		p.Show(ev(fmt.Sprintf("Container c%d", i), Done, "Stopped"))
	}
	p.Show(ev("Container c2", Working, "Removing"))
	p.draw(false)
	want := `[+] down 8/9
 ⠙ Container c2 Removing           0.0s
 ✔ Container c7 Stopped            0.0s
 ✔ Container c8 Stopped            0.0s
   6 more
`
	if s.String() != want {
		t.Errorf("got\n%s", s.String())
	}
	p.draw(true)
	if n := strings.Count(s.String(), "\n"); n != 10 {
		t.Errorf("the last drawing has %d lines:\n%s", n, s.String())
	}
}

func TestTTYProgressPull(t *testing.T) {
	now := time.Unix(1000, 0)
	var s screen
	p := newTTY(&s, "up", false, func() (int, int) { return 70, 24 }, func() time.Time { return now })
	p.Show(ev("Image nginx", Working, "Pulling"))
	for i, current := range []int64{0, 5e6, 10e6} {
		p.Show(Event{Progress: api.Progress{ID: fmt.Sprint(i), ParentID: "Image nginx", Status: Working, Text: "Downloading",
			Current: current, Total: 10e6}})
	}
	p.draw(false)
	want := `[+] up 0/1
 ⠙ Image nginx [⠀⣤⣿] 15MB / 30MB Pulling                         0.0s
`
	if s.String() != want {
		t.Errorf("got\n%s", s.String())
	}
}

func TestPlainJSONQuiet(t *testing.T) {
	con, _, stderr := BufferConsole()
	events := []Event{
		ev("Container a-1", Working, "Starting"),
		ev("Container a-1", Working, "Starting"),
		{DryRun: true, Progress: api.Progress{ID: "Container a-1", Status: Done, Text: "Started", Details: "(new)"}},
		{Progress: api.Progress{ID: "l1", ParentID: "Image x", Status: Working, Text: "Downloading", Current: 1, Total: 2}},
	}
	for how, want := range map[ProgressStyle]string{
		ProgressPlain: " Container a-1 Starting\n DRY-RUN MODE -  Container a-1 Started (new)\nhello\n",
		ProgressQuiet: "",
		ProgressJSON: `{"id":"Container a-1","status":"Working","text":"Starting"}
{"id":"Container a-1","status":"Working","text":"Starting"}
{"dry-run":true,"id":"Container a-1","status":"Done","text":"Started","details":"(new)"}
{"id":"l1","parent_id":"Image x","status":"Working","text":"Downloading","current":1,"total":2}
{"status":"Warning","text":"hello"}
`,
	} {
		stderr.Reset()
		p := NewProgress(con, Style{Progress: how}, "up")
		for _, e := range events {
			p.Show(e)
		}
		p.Say("hello")
		p.Close()
		if stderr.String() != want {
			t.Errorf("%s: got\n%s", how, stderr)
		}
	}
}

// TestTTYProgressConcurrent is for the race detector.
func TestTTYProgressConcurrent(t *testing.T) {
	con, _, _ := BufferConsole()
	con.Err = &bytes.Buffer{}
	p := startTTY(con, "up", true)
	donec := make(chan struct{})
	for g := range 4 {
		go func() {
			for i := range 200 {
				p.Show(ev(fmt.Sprint(g, i%7), Working, "Working"))
			}
			donec <- struct{}{}
		}()
	}
	for range 4 {
		<-donec
	}
	p.Close()
	p.Close()
}

// Of a build each step is said to begin and to end once, and what it writes in between.
func TestPlainProgressOfABuild(t *testing.T) {
	var b strings.Builder
	p := &PlainProgress{W: &b}
	for _, e := range []api.Progress{
		{ID: "a", Step: 1, Status: Working, Text: "[1/2] RUN a"},
		{ID: "b", Step: 2, Status: Working, Text: "[2/2] COPY b"},
		{ID: "a", Step: 1, Status: Working, Text: "[1/2] RUN a", Log: "one\ntwo\n"},
		{ID: "b", Step: 2, Status: Done, Text: "[2/2] COPY b", Cached: true},
		{ID: "b", Step: 2, Status: Done, Text: "[2/2] COPY b", Cached: true},
		{ID: "a", Step: 1, Status: Warning, Text: "odd"},
		{ID: "a", Step: 1, Status: Failed, Text: "[1/2] RUN a", Details: "exit code: 1"},
	} {
		e.ParentID = "Image x"
		p.Show(Event{Progress: e})
	}
	want := ` Image x #1 [1/2] RUN a
 Image x #2 [2/2] COPY b
 Image x #1 one
 Image x #1 two
 Image x #2 CACHED
 Image x #1 WARNING odd
 Image x #1 ERROR exit code: 1
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}
