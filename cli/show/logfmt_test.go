package show

import (
	"strings"
	"testing"
	"time"

	"podc.example/podc/control"
)

func TestLogPrefixes(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("", 3600))
	lines := []control.Line{
		{Pod: "shop-web-1", Time: at, Text: []byte("GET /")},
		{Pod: "shop-db-1", Time: at, Text: []byte("ready"), Stderr: true},
		{Pod: "custom", Time: at, Text: []byte("")},
	}
	for _, tt := range []struct {
		name     string
		style    LogStyle
		out, err string
	}{
		{"plain", LogStyle{Prefix: true}, "web-1   | GET /\ncustom  | \n", "db-1    | ready\n"},
		{"no prefix", LogStyle{}, "GET /\n\n", "ready\n"},
		{"timestamps", LogStyle{Prefix: true, Timestamps: true},
			"web-1   | 2026-03-01T11:00:00.000000005Z GET /\ncustom  | 2026-03-01T11:00:00.000000005Z \n",
			"db-1    | 2026-03-01T11:00:00.000000005Z ready\n"},
		{"color", LogStyle{Prefix: true, Color: true},
			"\x1b[32mweb-1   | \x1b[0mGET /\n\x1b[36mcustom  | \x1b[0m\n", "\x1b[33mdb-1    | \x1b[0mready\n"},
	} {
		con, out, err := BufferConsole()
		p := NewLogPrinter(con, tt.style)
		p.Add(map[string]string{"shop-web-1": "web-1", "shop-db-1": "db-1", "custom": "custom"})
		for _, l := range lines {
			p.Lines([]control.Line{l})
		}
		if out.String() != tt.out || err.String() != tt.err {
			t.Errorf("%s:\nout %q\nerr %q", tt.name, out, err)
		}
	}
}

func TestLogColorsCycle(t *testing.T) {
	con, out, _ := BufferConsole()
	p := NewLogPrinter(con, LogStyle{Prefix: true, Color: true})
	labels := map[string]string{}
	for _, r := range "abcdefghijk" {
		labels[string(r)] = string(r)
	}
	p.Add(labels)
	p.Add(map[string]string{"late": "late"}) // widens, and has the color after the last
	for _, pod := range []string{"a", "f", "k", "late"} {
		p.Lines([]control.Line{{Pod: pod}})
	}
	p.Status("a", "exited with code 0")
	want := "\x1b[36ma     | \x1b[0m\n\x1b[36;1mf     | \x1b[0m\n\x1b[36mk     | \x1b[0m\n\x1b[33mlate  | \x1b[0m\na exited with code 0\n"
	if out.String() != want {
		t.Errorf("got  %q\nwant %q", out, want)
	}
}

func TestDisplayable(t *testing.T) {
	for _, tt := range []struct{ in, plain, color string }{
		{"hello\tworld é", "hello\tworld é", "hello\tworld é"},
		{"\x1b[31mred\x1b[0m", "red", "\x1b[31mred\x1b[0m"},
		{"\x1b[38;2;1;2;3mx", "x", "\x1b[38;2;1;2;3mx"},
		{"\x1b[2J\x1b[Hgone", "gone", "gone"},
		{"\x1b]0;title\x07text", "text", "text"},
		{"\x1b]52;c;aGk=\x1b\\text", "text", "text"},
		{"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link", "link"},
		{"\x1bP+q544e\x1b\\x", "x", "x"},
		{"\u009b2Jx\u009d0;t\u009cy", "xy", "xy"},
		{"\x1b[cask\x1b[6n", "ask", "ask"},
		{"\x1b(0lqk", "lqk", "lqk"},
		{"10%\r20%\r30%", "30%", "30%"},
		{"dos line\r", "dos line", "dos line"},
		{"bell\x07 nul\x00 del\x7f", "bell nul del", "bell nul del"},
		{"cut \x1b[", "cut ", "cut "},
		{"cut \x1b", "cut ", "cut "},
		{"\x1b[31;\x07m", "m", "m"},
		{"bad \xff\xfe utf", "bad �� utf", "bad �� utf"},
		{"bad \xff\x1b[2Jutf", "bad �utf", "bad �utf"},
		{"\x1b[1;31\x1b[2Jx", "x", "x"},
	} {
		if got := displayable(tt.in, false); got != tt.plain && strings.ReplaceAll(got, "��", "�") != strings.ReplaceAll(tt.plain, "��", "�") {
			t.Errorf("%q plain: %q, want %q", tt.in, got, tt.plain)
		}
		if got := displayable(tt.in, true); got != tt.color && strings.ReplaceAll(got, "��", "�") != strings.ReplaceAll(tt.color, "��", "�") {
			t.Errorf("%q color: %q, want %q", tt.in, got, tt.color)
		}
	}
}

// FuzzDisplayable: nothing that a terminal would obey gets through, but for colors.
func FuzzDisplayable(f *testing.F) {
	f.Add("\x1b[31mred\x1b[0m\x1b]0;x\x07")
	f.Add("\u009b2J\x9b2J\x1b\x1b[m")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.IndexFunc(displayable(s, false), unprintable) >= 0 && !strings.Contains(s, "\n") {
			t.Fatalf("%q -> %q", s, displayable(s, false))
		}
		rest := displayable(s, true)
		for {
			i := strings.IndexByte(rest, 0x1b)
			if i < 0 {
				break
			}
			n := escapeLen(rest[i:])
			if !isSGR(rest[i : i+n]) {
				t.Fatalf("%q -> %q", s, rest)
			}
			rest = rest[:i] + rest[i+n:]
		}
		if strings.IndexFunc(rest, unprintable) >= 0 {
			t.Fatalf("%q -> %q", s, rest)
		}
	})
}
