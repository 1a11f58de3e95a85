package main

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

func ev(id, status, text string) event {
	return event{Progress: api.Progress{ID: id, Status: status, Text: text}}
}

func TestTTYProgress(t *testing.T) {
	now := time.Unix(1000, 0)
	var s screen
	p := newTTY(&s, "up", true, func() (int, int) { return 60, 24 }, func() time.Time { return now })
	p.show(ev("Network shop_default", working, "Creating"))
	p.show(ev("Container shop-web-1", working, "Creating"))
	p.draw(false)
	now = now.Add(300 * time.Millisecond)
	p.show(ev("Network shop_default", done, "Created"))
	p.draw(false)
	want := `[+] up 1/2
 ✔ Network shop_default Created                        0.3s
 ⠹ Container shop-web-1 Creating                       0.3s
`
	if s.String() != want {
		t.Errorf("got\n%s", s.String())
	}
	p.say("warning: something else")
	now = now.Add(time.Second)
	p.show(event{Progress: api.Progress{ID: "Container shop-web-1", Status: failed, Text: "Error",
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
		p.show(ev(fmt.Sprintf("Container c%d", i), done, "Stopped"))
	}
	p.show(ev("Container c2", working, "Removing"))
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
	p.show(ev("Image nginx", working, "Pulling"))
	for i, current := range []int64{0, 5e6, 10e6} {
		p.show(event{Progress: api.Progress{ID: fmt.Sprint(i), ParentID: "Image nginx", Status: working, Text: "Downloading",
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
	con, _, stderr := bufferConsole()
	events := []event{
		ev("Container a-1", working, "Starting"),
		ev("Container a-1", working, "Starting"),
		{DryRun: true, Progress: api.Progress{ID: "Container a-1", Status: done, Text: "Started", Details: "(new)"}},
		{Progress: api.Progress{ID: "l1", ParentID: "Image x", Status: working, Text: "Downloading", Current: 1, Total: 2}},
	}
	for how, want := range map[progressStyle]string{
		progressPlain: " Container a-1 Starting\n DRY-RUN MODE -  Container a-1 Started (new)\nhello\n",
		progressQuiet: "",
		progressJSON: `{"id":"Container a-1","status":"Working","text":"Starting"}
{"id":"Container a-1","status":"Working","text":"Starting"}
{"dry-run":true,"id":"Container a-1","status":"Done","text":"Started","details":"(new)"}
{"id":"l1","parent_id":"Image x","status":"Working","text":"Downloading","current":1,"total":2}
{"status":"Warning","text":"hello"}
`,
	} {
		stderr.Reset()
		p := newProgress(con, style{progress: how}, "up")
		for _, e := range events {
			p.show(e)
		}
		p.say("hello")
		p.close()
		if stderr.String() != want {
			t.Errorf("%s: got\n%s", how, stderr)
		}
	}
}

// TestTTYProgressConcurrent is for the race detector.
func TestTTYProgressConcurrent(t *testing.T) {
	con, _, _ := bufferConsole()
	con.err = &bytes.Buffer{}
	p := startTTY(con, "up", true)
	donec := make(chan struct{})
	for g := range 4 {
		go func() {
			for i := range 200 {
				p.show(ev(fmt.Sprint(g, i%7), working, "Working"))
			}
			donec <- struct{}{}
		}()
	}
	for range 4 {
		<-donec
	}
	p.close()
	p.close()
}
