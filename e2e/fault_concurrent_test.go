package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Commands on one project take turns: the second waits, says for whom, and then finds nothing to do.
func TestTwoUpsAtOnceMakeOneProject(t *testing.T) {
	s := newStack(t, three, "key.txt", "secret")
	s.load("busybox")
	for range 2 {
		outs := s.atOnce([]string{"up", "-d"}, []string{"up", "-d"}, []string{"up", "-d"})
		waited := strings.Count(strings.Join(outs, ""), "waiting for project lock held by pid ")
		if waited == 0 {
			t.Errorf("nobody waited:\n%s", strings.Join(outs, "---\n"))
		}
		if rows := s.ps(); len(rows) != 3 {
			t.Errorf("pods: %+v", rows)
		}
		if steps := s.plan(); len(steps) != 0 {
			t.Errorf("left to do: %v", steps)
		}
		s.down("-t", "0")
	}
}

// Whatever the order, both end well, and what is there is what the last of them wanted: all or nothing.
func TestUpAndDownAtOnceEndInOneOfTheTwo(t *testing.T) {
	s := newStack(t, three, "key.txt", "secret")
	s.load("busybox")
	for range 3 {
		s.atOnce([]string{"up", "-d"}, []string{"down", "-t", "0"}, []string{"up", "-d"}, []string{"down", "-v", "-t", "0"})
		rows := s.ps()
		if n := len(rows); n != 0 && n != 3 {
			t.Errorf("%d pods: %+v", n, rows)
		}
		for _, r := range rows {
			if r.State != "running" {
				t.Errorf("%s is %s", r.Name, r.State)
			}
		}
		if out, err := s.try("system", "check"); err != nil {
			t.Errorf("system check: %v\n%s", err, out)
		}
	}
}

// Every up and down ends with a look at the whole root. It must not take what another project is making at that moment.
func TestProjectsOfOneRootComeAndGoAtOnce(t *testing.T) {
	s := newStack(t, "services: {}\n")
	s.load("busybox")
	const projects, rounds = 4, 3
	for i := range projects {
		s.write(fmt.Sprintf("p%d/compose.yaml", i), strings.ReplaceAll(three, "'127.0.0.1::80'", "'127.0.0.1::80', '127.0.0.1::81'"))
		s.write(fmt.Sprintf("p%d/key.txt", i), fmt.Sprint("secret ", i))
	}
	var wg sync.WaitGroup
	for i := range projects {
		wg.Go(func() {
			project := func(args ...string) string {
				name := fmt.Sprintf("p%d", i)
				out, err := s.try(append([]string{"--project-directory", name, "-f", name + "/compose.yaml", "-p", name}, args...)...)
				if err != nil {
					t.Errorf("%s: podc %s: %v\n%s", name, strings.Join(args, " "), err, out)
				}
				return out
			}
			for round := range rounds {
				project("up", "-d")
				if got := project("exec", "-T", "app", "cat", "/run/secrets/key"); got != fmt.Sprint("secret ", i) {
					t.Errorf("p%d has the secret %q", i, got)
				}
				project("exec", "-T", "web", "nslookup", "db")
				if got := strings.Count(project("ps", "-q"), "\n"); got != 3 {
					t.Errorf("p%d has %d pods", i, got)
				}
				if round%2 == 0 || round == rounds-1 {
					project("down", "-v", "-t", "0")
				} else {
					project("up", "-d", "--force-recreate", "-t", "0")
				}
			}
		})
	}
	wg.Wait()
}

// atOnce runs podc several times at the same moment; each must succeed. It returns what they printed.
func (s *stack) atOnce(commands ...[]string) []string {
	s.t.Helper()
	outs := make([]string, len(commands))
	var wg sync.WaitGroup
	for i, args := range commands {
		wg.Go(func() {
			var err error
			if outs[i], err = s.try(args...); err != nil {
				s.t.Errorf("podc %s: %v\n%s", strings.Join(args, " "), err, outs[i])
			}
		})
	}
	wg.Wait()
	return outs
}
