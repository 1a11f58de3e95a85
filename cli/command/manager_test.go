package command

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"podc.example/podc/cli/show"
	"podc.example/podc/project"
)

// systemd begins to count anew with each message: it is to wait for what containers were given, and not without end.
func TestSystemdIsToldWhatItWaitsFor(t *testing.T) {
	for _, socket := range []string{filepath.Join(t.TempDir(), "notify"), "@podc-test-notify-" + filepath.Base(t.TempDir()) + t.Name()} {
		heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer heard.Close()
		says := func(want string) {
			t.Helper()
			b := make([]byte, 1<<16)
			heard.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := heard.Read(b)
			if err != nil || string(b[:n]) != want {
				t.Errorf("it was told %q, %v; want %q", b[:n], err, want)
			}
		}
		con, _, stderr := show.BufferConsole()
		con.Env["NOTIFY_SOCKET"] = socket
		t.Setenv("NOTIFY_SOCKET", socket)
		m := ManagerOf(con)
		if _, set := os.LookupEnv("NOTIFY_SOCKET"); set || con.Env["NOTIFY_SOCKET"] != "" {
			t.Error("what podc starts finds the socket")
		}
		a, b := &project.Step{Key: project.StopPod{Name: "a"}.Key()}, &project.Step{Key: project.StopPod{Name: "b"}.Key()}
		m.Wait("what was left", time.Minute)
		says("EXTEND_TIMEOUT_USEC=180000000\nSTATUS=what was left\n")
		m.Hear(project.Event{Kind: project.Planned, Plan: &project.Plan{}}) // nothing to say
		m.Hear(project.Event{Kind: project.StepBegan, Step: a, Patience: time.Hour})
		says("EXTEND_TIMEOUT_USEC=3720000000\nSTATUS=stop pod a\n")
		m.Hear(project.Event{Kind: project.StepBegan, Step: b, Patience: time.Second})
		says("EXTEND_TIMEOUT_USEC=121000000\nSTATUS=stop pod a, stop pod b\n")
		m.Hear(project.Event{Kind: project.StepEnded, Step: a})
		says("EXTEND_TIMEOUT_USEC=120000000\nSTATUS=stop pod b\n")
		m.Hear(project.Event{Kind: project.Warned, Text: "waiting\nfor \x1b[1mdb", Patience: 30 * time.Second})
		says("EXTEND_TIMEOUT_USEC=150000000\nSTATUS=waiting\n")
		if stderr.Len() > 0 {
			t.Error(stderr)
		}
	}
}

func TestWithoutSystemdNobodyIsTold(t *testing.T) {
	con, _, stderr := show.BufferConsole()
	m := ManagerOf(con)
	m.Wait("it", time.Minute)
	if stderr.Len() > 0 {
		t.Error(stderr)
	}
	con.Env["NOTIFY_SOCKET"] = filepath.Join(t.TempDir(), "none")
	m = ManagerOf(con)
	m.Wait("it", time.Minute)
	said := stderr.String()
	if m.Wait("it", time.Minute); said == "" || stderr.String() != said {
		t.Errorf("it said %q, then %q", said, stderr)
	}
}

func TestAtMost(t *testing.T) {
	if got := atMost(2, []string{"a", "b"}); got != "a, b" {
		t.Error(got)
	}
	if got := atMost(2, []string{"a", "b", "c", "d"}); got != "a, b and 2 more" {
		t.Error(got)
	}
}
