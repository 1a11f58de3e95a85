package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// as returns the stack as a person with a login uid uses it.
func (s *stack) as(login string) *stack {
	s.t.Helper()
	as := *s
	as.wrap = []string{"sh", "-c", `echo "$1" >/proc/self/loginuid || exit 99; shift; exec "$@"`, "sh", login}
	if out, err := as.try("version"); err != nil {
		s.t.Skipf("the kernel gives no login uid: %v\n%s", err, out)
	}
	return &as
}

// What a container does is put down to whoever started it: to its end and beyond, though another person's command began the helper
// that starts it again.
func TestProcessesHaveTheLoginOfWhoStartedThem(t *testing.T) {
	s := newStack(t, `
x-run: &run {image: localhost/podc-busybox, restart: always, stop_signal: SIGKILL, command: sleep 1000}
services:
  first: {<<: *run}
  second: {<<: *run, healthcheck: {test: 'cat /proc/self/loginuid >/tmp/probe', interval: 100ms}}
  third: {<<: *run}
`)
	s.load("busybox")
	alice, bob := s.as("4711"), s.as("4712")
	alice.podc("up", "-d", "first") // and with it the monitor
	bob.podc("up", "-d", "second")
	s.podc("up", "-d", "third")
	own, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		t.Fatal(err)
	}
	logins := map[string]string{"first": "4711", "second": "4712", "third": string(own)}
	check := func(when string) {
		t.Helper()
		for service, want := range logins {
			got, err := os.ReadFile(fmt.Sprintf("/proc/%d/loginuid", s.pid("p-"+service+"-1")))
			if err != nil || string(got) != want {
				t.Errorf("%s: %s has login %s (%v), want %s", when, service, got, err, want)
			}
		}
	}
	check("started")
	for service := range logins {
		before := s.pid("p-" + service + "-1")
		syscall.Kill(before, syscall.SIGKILL)
		eventually(t, 20*time.Second, func() error {
			if now := s.pid("p-" + service + "-1"); now == before || now == 0 || s.ps()["p-"+service+"-1"].State != "running" {
				return fmt.Errorf("%s was not restarted", service)
			}
			return nil
		})
	}
	check("restarted")
	eventually(t, 20*time.Second, func() error {
		if got, _ := s.try("exec", "-T", "second", "cat", "/tmp/probe"); strings.TrimSpace(got) != "4712" {
			return fmt.Errorf("the probe has login %q", got)
		}
		return nil
	})
	if got := alice.exec("second", "cat", "/proc/self/loginuid"); got != "4711" {
		t.Errorf("a command of another person has login %s", got)
	}
}
