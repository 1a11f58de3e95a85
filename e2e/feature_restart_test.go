package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// podState is what the state file of a pod says of its restarts.
type podState struct {
	Restarts int `json:"restarts"`
}

func (s *stack) state(pod string) (st podState) {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.run, "pods", pod, "state.json"))
	if err == nil {
		err = json.Unmarshal(b, &st)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// runs counts how often a service has said that it runs.
func (s *stack) runs(service string) int {
	s.t.Helper()
	return strings.Count(s.podc("logs", "--no-log-prefix", service), "run\n")
}

func TestRestartPolicies(t *testing.T) {
	s := newStack(t, `
x-run: &run {image: localhost/podc-busybox, command: "sh -c 'echo run; exec sleep 1000'", stop_signal: SIGKILL}
services:
  "no": {<<: *run}
  always: {<<: *run, restart: always}
  unless: {<<: *run, restart: unless-stopped}
  good: {<<: *run, command: "sh -c 'echo run'", restart: on-failure}
  bad: {<<: *run, command: "sh -c 'echo run; exit 3'", restart: 'on-failure:2'}
  deployed: {<<: *run, command: "sh -c 'echo run; exit 3'", deploy: {restart_policy: {condition: on-failure, max_attempts: 1}}}
  loop: {<<: *run, command: "sh -c 'echo run; exit 1'", restart: always}
`)
	s.load("busybox")
	s.podc("up", "-d")
	s.behaves("on-failure tries as often as it says, and keeps the last code", func(s *stack) {
		s.ended("bad", 3)
		s.ended("deployed", 3)
		if n := s.runs("bad"); n != 3 {
			s.t.Errorf("bad ran %d times", n)
		}
		if n := s.runs("deployed"); n != 2 {
			s.t.Errorf("deployed ran %d times", n)
		}
		s.ended("good", 0)
		if n := s.runs("good"); n != 1 {
			s.t.Errorf("good ran %d times", n)
		}
	})
	s.behaves("always and unless-stopped bring back what dies, no does not", func(s *stack) {
		for _, service := range []string{"always", "unless", "no"} {
			kill(s.t, s.pid("p-"+service+"-1"))
		}
		for _, service := range []string{"always", "unless"} {
			eventually(s.t, 10*time.Second, func() error {
				if r := s.ps()["p-"+service+"-1"]; r.State != "running" || s.runs(service) != 2 {
					return fmt.Errorf("%s is %s, ran %d times", service, r.State, s.runs(service))
				}
				return nil
			})
			if st := s.state("p-" + service + "-1"); st.Restarts != 1 {
				s.t.Errorf("%s counts %+v", service, st)
			}
		}
		s.ended("no", 137)
	})
	s.behaves("waits get longer, and show", func(s *stack) {
		eventually(s.t, 15*time.Second, func() error {
			if st := s.state("p-loop-1"); st.Restarts < 4 {
				return fmt.Errorf("it counts %+v", st)
			}
			return nil
		})
		eventually(s.t, 5*time.Second, func() error {
			if r := s.ps()["p-loop-1"]; r.State != "restarting" || !strings.HasPrefix(r.Status, "Restarting (1)") {
				return fmt.Errorf("it is %s: %s", r.State, r.Status)
			}
			return nil
		})
	})
	s.behaves("end when somebody stops or kills the container", func(s *stack) {
		s.podc("stop", "loop", "always")
		s.podc("kill", "unless")
		for _, service := range []string{"always", "unless"} {
			s.ended(service, 137)
		}
		s.ended("loop", 1)
		n := s.runs("loop")
		s.podc("up", "-d", "no") // something else happens meanwhile
		if s.runs("loop") != n {
			s.t.Error("it was restarted")
		}
	})
	s.behaves("begin to count anew when somebody starts the container", func(s *stack) {
		s.podc("start", "always")
		if st := s.state("p-always-1"); st.Restarts != 0 {
			s.t.Errorf("it counts %+v", st)
		}
		kill(s.t, s.pid("p-always-1"))
		eventually(s.t, 10*time.Second, func() error {
			if r := s.ps()["p-always-1"]; r.State != "running" || s.state("p-always-1").Restarts != 1 {
				return fmt.Errorf("it is %s", r.State)
			}
			return nil
		})
	})
	s.behaves("are kept by restart", func(s *stack) {
		s.podc("restart", "always")
		if r := s.ps()["p-always-1"]; r.State != "running" {
			s.t.Errorf("it is %s", r.State)
		}
		s.podc("down")
	})
}
