package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// policies has a service for each thing that podc boot has to tell apart.
const policies = `
x-run: &run {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL}
services:
  db: {<<: *run, restart: unless-stopped, healthcheck: {test: 'test -e /tmp/warm || { touch /tmp/warm; false; }', interval: 100ms}}
  app:
    <<: *run
    restart: always
    depends_on: {db: {condition: service_healthy}, ended: {condition: service_completed_successfully}}
    ports: ['127.0.0.1:${PORT}:80']
    command: sh -c 'mkdir -p /www && hostname > /www/index.html && exec httpd -f -p 80 -h /www'
    configs: [{source: inline, target: /etc/inline}]
    secrets: [key]
  beside: {<<: *run, restart: always, network_mode: 'service:app'}
  "no": {<<: *run}
  failing: {<<: *run, restart: on-failure}
  ended: {<<: *run, command: 'true', restart: on-failure}
  spent: {<<: *run, command: 'false', restart: 'on-failure:1'}
  halted: {<<: *run, restart: unless-stopped}
  halted-failing: {<<: *run, restart: on-failure}
  forced: {<<: *run, restart: always}
  fresh: {<<: *run, restart: always, scale: 0}
configs: {inline: {content: 'made for ${PORT}'}}
secrets: {key: {file: key.txt}}
`

// The start of the machine brings back what docker's daemon would, however much of the last run is left.
func TestBootBringsBackWhatRestartPoliciesAskFor(t *testing.T) {
	port := freePort(t)
	s := newStack(t, policies, "key.txt", "secret", "other.yaml", `
services: {a: {image: localhost/podc-busybox, command: sleep 1000, stop_signal: SIGKILL, restart: always}}
`+networksAt(40, "default"), "compose.override.yaml", networksAt(41, "default"), ".env", fmt.Sprintf("PORT=%d\n", port))
	s.load("busybox")
	other := []string{"-p", "q", "-f", "other.yaml"}
	t.Cleanup(func() { s.podc(append(other, "down", "-t", "0")...) })
	s.podc("up", "-d")
	s.podc(append(other, "up", "-d")...)
	s.podc("up", "--no-start", "--scale", "fresh=1", "fresh")
	s.ended("spent", 1)
	now := s // in the boot that it is in, whatever becomes of this part of the test
	for _, way := range []struct {
		name     string
		cut      func(*stack)
		wipesRun bool
	}{
		{"run root and network kept", (*stack).cutProcesses, false},
		{"run root kept", (*stack).powerCut, false},
		{"network kept", (*stack).cutProcesses, true},
		{"nothing kept", (*stack).powerCut, true},
	} {
		s.behaves(way.name, func(in *stack) {
			before := *now
			before.t = in.t
			before.podc("start", "no", "halted", "halted-failing", "forced")
			before.podc("stop", "halted", "halted-failing", "forced")
			way.cut(in)
			if way.wipesRun {
				if err := os.RemoveAll(s.run); err != nil {
					in.t.Fatal(err)
				}
			}
			after := s.boot().after(in) // s: a boot outlives its part of the test
			now = after
			out, err := after.try("boot")
			if err != nil {
				in.t.Fatalf("boot: %v\n%s", err, out)
			}
			inOrder(in.t, out, "Container p-db-1 Healthy", "Container p-app-1 Started")
			after.cameBack(port)
			if out, err := after.try("boot"); err != nil || strings.Contains(out, "Start") {
				in.t.Errorf("a second boot: %v\n%s", err, out)
			}
			after.podc("stop", "forced")
			after.podc("boot")
			if got := after.ps()["p-forced-1"].State; got != "exited" {
				in.t.Errorf("what was stopped since the start of the machine is %s after another boot", got)
			}
			if out, err := after.try("system", "check"); err != nil {
				in.t.Errorf("system check: %v\n%s", err, out)
			}
		})
	}
}

// cameBack checks which containers run after a boot, and that they are what they were.
func (s *stack) cameBack(port int) {
	s.t.Helper()
	want := map[string]string{
		"db": "running", "app": "running", "beside": "running", "failing": "running", "forced": "running",
		"no": "exited", "ended": "exited", "spent": "exited", "halted": "exited", "halted-failing": "exited", "fresh": "created",
	}
	rows := s.ps()
	for service, state := range want {
		if got := rows["p-"+service+"-1"].State; got != state {
			s.t.Errorf("%s is %s, want %s", service, got, state)
		}
	}
	if got := s.podc("-p", "q", "ps", "--format", "{{.Name}} {{.State}}"); got != "q-a-1 running\n" {
		s.t.Errorf("of the other project there is %q", got)
	}
	if got := s.exec("app", "cat", "/run/secrets/key"); got != "secret" {
		s.t.Errorf("the secret is %q", got)
	}
	if got := s.exec("app", "cat", "/etc/inline"); got != fmt.Sprint("made for ", port) {
		s.t.Errorf("the config is %q", got)
	}
	if got := s.exec("app", "nslookup", "db"); !strings.Contains(got, "Address") {
		s.t.Errorf("names: %q", got)
	}
	if page, err := get(port, "/"); err != nil || page == "" {
		s.t.Errorf("the published port: %q %v", page, err)
	}
}
