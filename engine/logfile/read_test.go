package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/internal/kernel"
)

// logPod is a log, and a stand-in for the pod and its conmon.
type logPod struct {
	t    *testing.T
	log  Log
	run  Run
	over atomic.Bool
	ctl  *os.File
	file *os.File
	at   time.Time
}

func newLogPod(t *testing.T, c api.LogConfig) *logPod {
	t.Helper()
	dir := t.TempDir()
	l := &logPod{t: t, log: Log{Pod: "web", Path: filepath.Join(dir, "main", "ctr.log"), Config: c}, at: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)}
	l.run = Run{Watch: new(kernel.Watcher), Dir: filepath.Join(dir, "run"), Ended: l.over.Load}
	if err := errors.Join(os.Mkdir(filepath.Dir(l.log.Path), 0o700), os.Mkdir(l.run.Dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	ctl := filepath.Join(filepath.Dir(l.log.Path), "ctl")
	if err := unix.Mkfifo(ctl, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.ctl, err = os.OpenFile(ctl, os.O_RDWR, 0); err != nil {
		t.Fatal(err)
	}
	if l.file, err = os.OpenFile(l.log.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.ctl.Close(); l.file.Close() })
	return l
}

// write appends one record as conmon does.
func (l *logPod) write(stream, tag, text string) {
	l.t.Helper()
	l.at = l.at.Add(time.Millisecond)
	if _, err := fmt.Fprintf(l.file, "%s %s %s %s\n", l.at.Format("2006-01-02T15:04:05.000000000-07:00"), stream, tag, text); err != nil {
		l.t.Error(err)
	}
}

// obey does what conmon does when it is told to reopen its log.
func (l *logPod) obey() {
	l.t.Helper()
	b := make([]byte, 200)
	n, err := l.ctl.Read(b)
	if err != nil || string(b[:n]) != "2 0 0\n" {
		l.t.Errorf("conmon was told %q, %v", b[:n], err)
	}
	l.reopen()
}

func (l *logPod) reopen() {
	path := l.log.Path
	l.file.Close()
	var err error
	if l.file, err = os.OpenFile(path+".tmp", os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o600); err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		l.t.Error(err)
	}
}

func (l *logPod) rotate() {
	l.t.Helper()
	if err := l.log.Rotate(); err != nil {
		l.t.Fatal(err)
	}
	l.obey()
	l.log.Trim()
}

func (l *logPod) end() {
	l.t.Helper()
	l.over.Store(true)
	if err := os.WriteFile(filepath.Join(l.run.Dir, "state.json"), nil, 0o600); err != nil {
		l.t.Error(err)
	}
}

func (l *logPod) read(opt Options) []string {
	l.t.Helper()
	var got []string
	if err := l.log.Read(l.t.Context(), opt, l.run, func(line api.LogLine) error {
		s := string(line.Text)
		if line.Partial {
			s += "…"
		}
		if line.Stream == stderr {
			s = "!" + s
		}
		got = append(got, s)
		return nil
	}); err != nil {
		l.t.Fatal(err)
	}
	return got
}

func TestLogsJoinPartialLines(t *testing.T) {
	l := newLogPod(t, api.LogConfig{})
	l.write(stdout, "F", "one")
	l.write(stdout, "P", "two ")
	l.write(stderr, "P", "a ")
	l.write(stdout, "F", "halves")
	l.write(stderr, "F", "b")
	l.write(stdout, "F", "")
	l.write(stdout, "P", "open")
	want := []string{"one", "two halves", "!a b", "", "open…"}
	if got := l.read(Options{Tail: -1}); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	if got := l.read(Options{Tail: 2}); !slices.Equal(got, []string{"", "open…"}) {
		t.Errorf("the last two are %q", got)
	}
}

// Lines of several containers are put in order by their times, which takes that those of each are in order.
func TestALineIsAsOldAsItsEnd(t *testing.T) {
	l := newLogPod(t, api.LogConfig{})
	l.write(stdout, "P", "begun ")
	l.write(stderr, "F", "between")
	l.write(stdout, "F", "ended")
	var last time.Time
	if err := l.log.Read(t.Context(), Options{Tail: -1}, l.run, func(line api.LogLine) error {
		if line.Time.Before(last) {
			t.Errorf("%q of %s comes after %s", line.Text, line.Time, last)
		}
		last = line.Time
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := l.read(Options{Tail: -1, Since: last}); !slices.Equal(got, []string{"begun ended"}) {
		t.Errorf("since its end: %q", got)
	}
}

func TestLogsReadAllKeptFiles(t *testing.T) {
	l := newLogPod(t, api.LogConfig{MaxFile: 3})
	for i := range 40 {
		l.write(stdout, "F", fmt.Sprint(i))
		if i%10 == 9 {
			l.rotate()
		}
	}
	l.write(stdout, "F", "40")
	want := func(from int) (s []string) {
		for i := from; i <= 40; i++ {
			s = append(s, fmt.Sprint(i))
		}
		return s
	}
	if got := l.read(Options{Tail: -1}); !slices.Equal(got, want(20)) {
		t.Errorf("read %q", got)
	}
	for _, n := range []int{0, 1, 2, 11, 12, 21, 22, 100} {
		if got := l.read(Options{Tail: n}); !slices.Equal(got, want(max(20, 41-n))) {
			t.Errorf("the last %d are %q", n, got)
		}
	}
	since, until := l.at.Add(-5*time.Millisecond), l.at.Add(-2*time.Millisecond)
	if got := l.read(Options{Tail: -1, Since: since, Until: until}); !slices.Equal(got, []string{"35", "36", "37", "38"}) {
		t.Errorf("between two times: %q", got)
	}
}

func TestASingleLogFileIsReplaced(t *testing.T) {
	l := newLogPod(t, api.LogConfig{MaxFile: 1})
	l.write(stdout, "F", "old")
	l.rotate()
	l.write(stdout, "F", "new")
	if got := l.read(Options{Tail: -1}); !slices.Equal(got, []string{"new"}) {
		t.Errorf("read %q", got)
	}
	if files, _ := filepath.Glob(l.log.Path + "*"); len(files) != 1 {
		t.Errorf("kept %v", files)
	}
}

func TestTailOverBlockBorders(t *testing.T) {
	l := newLogPod(t, api.LogConfig{})
	var all []string
	for i := range 3000 {
		s := strings.Repeat("x", i*7919%200) + fmt.Sprint(i)
		all = append(all, s)
		l.write(stdout, "F", s)
	}
	for n := 1; n <= 3000; n += 37 {
		if got := l.read(Options{Tail: n}); !slices.Equal(got, all[3000-n:]) {
			t.Fatalf("the last %d are %d, from %q", n, len(got), got[0])
		}
	}
}

// However fast a container writes, what is read is what was there when it was asked for.
func TestLogsOfAContainerThatGoesOn(t *testing.T) {
	for _, tail := range []int{3, 1500, -1} {
		l := newLogPod(t, api.LogConfig{})
		var all []string
		for i := range 2000 {
			all = append(all, fmt.Sprintf("%0100d", i))
			l.write(stdout, "F", all[i])
		}
		want := all
		if tail >= 0 {
			want = all[len(all)-tail:]
		}
		var got []string
		if err := l.log.Read(t.Context(), Options{Tail: tail}, l.run, func(line api.LogLine) error {
			got = append(got, string(line.Text))
			l.write(stdout, "F", "written since")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("of the last %d it reads %d lines, the last being %.200q", tail, len(got), got[len(got)-1])
		}
	}
}

func TestTailCountsLinesWhoseEndIsToCome(t *testing.T) {
	l := newLogPod(t, api.LogConfig{})
	l.write(stdout, "F", "one")
	l.write(stdout, "P", "open")
	l.write(stderr, "F", "two")
	fmt.Fprint(l.file, l.at.Format("2006-01-02T15:04:05.000000000-07:00"), " stderr F tor") // its end is being written
	all := []string{"one", "!two", "!tor", "open…"}
	for n := range 5 {
		if got := l.read(Options{Tail: n}); len(got) != n && n < 4 {
			t.Errorf("the last %d are %q", n, got)
		}
	}
	if got := l.read(Options{Tail: 4}); !slices.Equal(got, all) {
		t.Errorf("all of it is %q", got)
	}
}

func TestLogsFollowOverRotations(t *testing.T) {
	l := newLogPod(t, api.LogConfig{MaxFile: 1000})
	const lines = 5000
	go func() {
		for i := range lines {
			if i%3 == 0 {
				l.write(stderr, "P", "line ")
				l.write(stderr, "F", fmt.Sprint(i))
			} else {
				l.write(stdout, "F", fmt.Sprint("line ", i))
			}
			if i%50 == 49 {
				l.rotate()
			}
		}
		l.end()
	}()
	next := 0
	err := l.log.Read(t.Context(), Options{Follow: true, Tail: -1}, l.run, func(line api.LogLine) error {
		if want := fmt.Sprint("line ", next); string(line.Text) != want {
			return fmt.Errorf("got %q instead of %q", line.Text, want)
		}
		next++
		return nil
	})
	if err != nil || next != lines {
		t.Errorf("followed %d lines of %d: %v", next, lines, err)
	}
}

func TestFollowEndsWithThePodOrTheTime(t *testing.T) {
	l := newLogPod(t, api.LogConfig{})
	l.write(stdout, "F", "a")
	opt := Options{Follow: true, Tail: -1, Until: time.Now().Add(50 * time.Millisecond)}
	if got := l.read(opt); !slices.Equal(got, []string{"a"}) {
		t.Errorf("read %q", got)
	}
	l.end()
	if got := l.read(Options{Follow: true, Tail: -1}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("read %q", got)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("enough"))
	defer cancel()
	stays := l.run
	stays.Ended = func() bool { return false }
	err := l.log.Read(ctx, Options{Follow: true, Tail: -1}, stays, func(api.LogLine) error { return nil })
	if err == nil || err.Error() != "enough" {
		t.Errorf("following a stopped pod that may start again ended with %v", err)
	}
}

func TestRotationCutShortIsSeen(t *testing.T) {
	l := newLogPod(t, api.LogConfig{MaxSize: 10})
	l.write(stdout, "F", "before")
	state := func() State {
		s, err := l.log.State()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := state(); s.Pending || s.Size <= s.Max {
		t.Errorf("state %+v", s)
	}
	if err := l.log.Rotate(); err != nil {
		t.Fatal(err)
	}
	if !state().Pending {
		t.Error("conmon has not reopened yet, and it is not seen")
	}
	l.write(stdout, "F", "between")
	// Saying it again while the first word waits to be read must not reach conmon.
	if err := l.log.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.obey()
	l.write(stdout, "F", "after")
	if s := state(); s.Pending {
		t.Errorf("state %+v", s)
	}
	if got := l.read(Options{Tail: -1}); !slices.Equal(got, []string{"before", "between", "after"}) {
		t.Errorf("read %q", got)
	}
}

func TestHugeLinesComeInPieces(t *testing.T) {
	l := newLogPod(t, api.LogConfig{})
	for range 200 {
		l.write(stdout, "P", strings.Repeat("y", 8192))
	}
	l.write(stdout, "F", "end")
	l.write(stdout, "F", "next")
	total, largest := 0, 0
	err := l.log.Read(t.Context(), Options{Tail: -1}, l.run, func(line api.LogLine) error {
		total += len(line.Text)
		largest = max(largest, len(line.Text))
		return nil
	})
	if err != nil || total != 200*8192+3+4 || largest > maxLine+8192 {
		t.Errorf("read %d bytes, at most %d at once: %v", total, largest, err)
	}
}

func FuzzLog(f *testing.F) {
	f.Add([]byte("2026-01-02T03:04:05.000000006+00:00 stdout F hello\n2026-01-02T03:04:05Z stderr P a\n"), 3)
	f.Add([]byte("\x00\x00\x00 stdout F\nx stdout F y\n\n2026-01-02T03:04:05Z stdout F\n"), 1)
	f.Add(bytes.Repeat([]byte("z"), recordBuffer+100), 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		var text int
		j := lineJoiner{out: func(l api.LogLine) error {
			if l.Stream != stdout && l.Stream != stderr || len(l.Text) > maxLine+recordBuffer {
				t.Errorf("stream %q, %d bytes", l.Stream, len(l.Text))
			}
			text += len(l.Text)
			return nil
		}}
		rr := recordReader{r: bytes.NewReader(b)}
		starts := map[int64]bool{}
		for {
			at, mid := rr.read, rr.cut != nil
			r, err := rr.next()
			if err != nil {
				break
			}
			if !mid {
				starts[at] = true
			}
			j.add(r)
		}
		if r, ok := rr.rest(); ok {
			if rr.read > 0 {
				j.add(r)
			}
		}
		j.flush()
		if text > len(b) {
			t.Errorf("%d bytes of text from %d bytes", text, len(b))
		}
		if rr.read != int64(len(b)) {
			t.Errorf("read %d of %d bytes", rr.read, len(b))
		}
		recordsBackward(bytes.NewReader(b), int64(len(b)), func(at int64, _ []byte) bool {
			if at != 0 && b[at-1] != '\n' || at >= int64(len(b)) {
				t.Errorf("a record begins at %d?", at)
			}
			delete(starts, at)
			return true
		})
		if len(starts) > 0 {
			t.Errorf("backwards, the records at %v were missed", starts)
		}
	})
}
