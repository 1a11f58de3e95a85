package main

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is podc-monitor when it is asked to be.
func TestMain(m *testing.M) {
	if os.Getenv("PODC_TEST_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func run(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "PODC_TEST_MAIN=1")
	return cmd
}

func TestInitEndsAsTheCommandDoes(t *testing.T) {
	dir := t.TempDir()
	plain := dir + "/plain"
	if err := os.WriteFile(plain, []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		command []string
		want    int
	}{
		{[]string{"sh", "-c", "exit 7"}, 7},
		{[]string{"true"}, 0},
		{[]string{"sh", "-c", "kill -KILL $$"}, 137},
		{[]string{"sh", "-c", "(sleep 0.01; exit 3) & (exit 4) & sleep 0.05; exit 5"}, 5},
		{[]string{dir + "/nothing"}, 127},
		{[]string{plain}, 126},
	} {
		cmd := run(append([]string{"init", "--"}, c.command...)...)
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != c.want {
			t.Errorf("%q ended with %d, want %d", c.command, got, c.want)
		}
	}
}

func TestInitPassesSignalsOn(t *testing.T) {
	cmd := run("init", "--", "sh", "-c", `trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo up; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
	defer deadline.Stop()
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "up" {
		t.Fatalf("it said %q", lines.Text())
	}
	for _, c := range []struct {
		sig  unix.Signal
		want string
	}{{unix.SIGUSR1, "usr1"}, {unix.SIGTERM, "term"}} {
		if err := cmd.Process.Signal(c.sig); err != nil {
			t.Fatal(err)
		}
		if !lines.Scan() || lines.Text() != c.want {
			t.Errorf("after %s it said %q", c.sig, lines.Text())
		}
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("ended with %d", code)
	}
}

func TestWordsForThoseWhoCallItByHand(t *testing.T) {
	for _, args := range [][]string{nil, {"dance"}, {"init"}, {"exit", "--root", "/x", "pod"}, {"monitor"}} {
		out, err := run(args...).CombinedOutput()
		if err == nil || len(out) == 0 {
			t.Errorf("%q: %v, %q", args, err, out)
		}
	}
}
