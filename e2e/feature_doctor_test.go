package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDoctorLooksAtTheMachine(t *testing.T) {
	s := newStack(t, `services: {a: {image: localhost/podc-busybox, command: 'true', ports: ['127.0.0.1:${PORT}:80']}}`)
	port := freePort(t)
	s.env = append(s.env, fmt.Sprint("PORT=", port))
	s.load("busybox")
	s.podc("up", "--no-start")
	type finding struct{ Name, State, Text, Mend string }
	examine := func(code int) map[string]finding {
		var list []finding
		out := s.fails(code, "doctor", "--format", "json")
		if err := json.Unmarshal([]byte(out), &list); err != nil {
			t.Fatalf("doctor printed %q: %v", out, err)
		}
		found := map[string]finding{}
		for _, f := range list {
			found[f.Name] = f
		}
		return found
	}
	s.behaves("a machine that runs containers is fit for it", func(s *stack) {
		for _, f := range examine(0) {
			if f.State == "missing" {
				s.t.Errorf("%+v", f)
			}
		}
		contains(s.t, s.podc("doctor"), "root filesystems", "networks", "conmon", s.root)
	})
	s.behaves("a port that somebody took is named", func(s *stack) {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			s.t.Fatal(err)
		}
		defer l.Close()
		if f := examine(0)["ports"]; f.State != "warning" || !strings.Contains(f.Text, fmt.Sprint(port)) || f.Mend == "" {
			s.t.Errorf("%+v", f)
		}
	})
	s.behaves("a program that is too old ends it with exit code 1", func(s *stack) {
		bin := s.t.TempDir()
		if err := os.WriteFile(filepath.Join(bin, "conmon"), []byte("#!/bin/sh\necho conmon version 1.0\n"), 0o755); err != nil {
			s.t.Fatal(err)
		}
		s.t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
		if f := examine(1)["conmon"]; f.State != "missing" || !strings.Contains(f.Text, bin) {
			s.t.Errorf("%+v", f)
		}
	})
}
