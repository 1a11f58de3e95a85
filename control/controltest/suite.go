// Package controltest has the behaviours of whatever serves package control: podc on this machine, and whoever asks it for others.
package controltest

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/control"
	"podc.example/podc/project"
)

// Podc is what the suite is run against.
type Podc struct {
	*control.Control
	Image   string // a reference of an image that is there, with what busybox has
	Archive string // the file of one that is not, localhost/podc-probe
	Remote  string // a reference of the same in a registry that has no other
}

// group is the project that every behaviour works in.
const group = "suite"

// deadline bounds a behaviour, and patience what is awaited of one that has ended.
const (
	deadline = 20 * time.Second
	patience = 10 * time.Second
)

type behaviour struct {
	name string
	test func(*suite)
}

// suite is one behaviour under test.
type suite struct {
	Podc
	*testing.T
	ctx context.Context // ends with the deadline
}

// Run tests, one after the other, the behaviours that whoever asks podc for something relies on. Each ends with nothing left: no
// container, network, volume or object, no goroutine and no descriptor of this process.
func Run(t *testing.T, podc Podc) {
	all := slices.Concat(refusals, containers, streams, files, networks, volumes, objects, images, system, projects)
	warm := &suite{podc, t, t.Context()} // what is opened once and kept is open after this
	warm.up(warm.service("warm", "sleep 1000"))
	warm.clear()
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			goroutines, descriptors := runtime.NumGoroutine(), descriptors(t)
			s := &suite{podc, t, ctx}
			defer func() {
				s.clear()
				cancel()
				s.released(goroutines, descriptors)
			}()
			b.test(s)
		})
	}
}

// descriptors is how many this process has.
func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// clear removes whatever a behaviour has left to the suite. Its context may have ended.
func (s *suite) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var none time.Duration
	err := s.Projects.Down(ctx, project.Desired{Name: group}, project.DownOptions{Volumes: true, RemoveOrphans: true, Timeout: &none}, control.Watch{})
	pods, err1 := s.Containers.List(ctx, control.Selection{})
	for _, p := range pods {
		err = errors.Join(err, s.Containers.Remove(ctx, p.ID, api.RemoveOptions{Force: true, Volumes: true}))
	}
	_, err2 := s.Networks.Prune(ctx, nil)
	_, err3 := s.Volumes.Prune(ctx, nil, true)
	for _, o := range []control.Objects{s.Secrets, s.Configs} {
		list, err4 := o.List(ctx)
		for _, is := range list {
			err4 = errors.Join(err4, o.Remove(ctx, is.ID))
		}
		err = errors.Join(err, err4)
	}
	err4 := s.System.AwaitEnd(ctx)
	left, _, err5 := s.System.Check(ctx, false)
	if err := errors.Join(err, err1, err2, err3, err4, err5); err != nil {
		s.Errorf("clearing away: %v", err)
	}
	for _, p := range left {
		s.Errorf("left behind: %s", p)
	}
}

// released waits until there are no more goroutines and descriptors than there were.
func (s *suite) released(goroutines, open int) {
	end := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > goroutines || descriptors(s.T) > open {
		select {
		case <-tick.C:
		case <-end:
			stacks := make([]byte, 1<<20)
			s.Fatalf("%d goroutines and %d descriptors, there were %d and %d\n%s", runtime.NumGoroutine(), descriptors(s.T), goroutines, open,
				stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// is fails unless err is of a class: errdefs.IsNotFound, ...
func (s *suite) is(err error, class func(error) bool) {
	s.Helper()
	if !class(err) {
		s.Fatalf("got error %v, of another class", err)
	}
}

// must is what a method returned that must not fail: must(s.Containers.Get(...))(s).
func must[T any](v T, err error) func(*suite) T {
	return func(s *suite) T {
		s.Helper()
		s.ok(err)
		return v
	}
}

func equal[T comparable](s *suite, what string, got, want T) {
	s.Helper()
	if got != want {
		s.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// service is one that runs a script. Its container is called suite-NAME-1, and ends at once when it is told to.
func (s *suite) service(name, script string) project.Service {
	grace := 200 * time.Millisecond
	return project.Service{
		Name: name, Pull: project.PullNever, Replicas: 1, Attach: true, Hash: script,
		Pod: api.PodSpec{
			Name: group + "-" + name, Group: group,
			Labels: map[string]string{project.LabelProject: group, project.LabelService: name, project.LabelOneoff: "False"},
			Container: api.ContainerSpec{
				Image: s.Image, Command: []string{"sh", "-c", "trap 'exit 0' TERM; " + script}, StopGrace: &grace,
			},
		},
	}
}

// sleeper is a service that runs until it is stopped, and says so.
func (s *suite) sleeper(name string) project.Service {
	return s.service(name, "echo up; while :; do sleep 0.1; done")
}

func desired(services ...project.Service) project.Desired {
	return project.Desired{Name: group, Services: services}
}

// up brings a project of these services up.
func (s *suite) up(services ...project.Service) project.Desired {
	s.Helper()
	d := desired(services...)
	s.ok(s.Projects.Up(s.ctx, d, control.UpOptions{}, control.Watch{}))
	return d
}

func nameOf(service string) string { return group + "-" + service + "-1" }

// pod is the container of a service.
func (s *suite) pod(service string) api.Pod {
	s.Helper()
	return must(s.Containers.Get(s.ctx, nameOf(service)))(s)
}

// status fails unless the container of a service is in a state.
func (s *suite) status(service string, want api.Status) {
	s.Helper()
	equal(s, nameOf(service), s.pod(service).Status, want)
}

// printed waits until the container of a service has written a line.
func (s *suite) printed(service, line string) {
	s.Helper()
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	found := errors.New("found")
	sel, opt := control.Selection{Names: []string{nameOf(service)}}, control.LogOptions{Follow: true, Tail: -1}
	err := s.Streams.Logs(ctx, sel, opt, control.LogOutput{Lines: func(lines []control.Line) {
		for _, l := range lines {
			if strings.TrimSuffix(string(l.Text), "\r") == line { // as terminals have it
				cancel(found)
			}
		}
	}})
	if !errors.Is(err, found) {
		s.Fatalf("%s did not print %q: %v", service, line, err)
	}
}

// errEnough is why contexts of the suite end.
var errEnough = errors.New("enough")

func isEnough(err error) bool { return errors.Is(err, errEnough) }

// ending is a context that ends in a moment.
func (s *suite) ending() context.Context {
	ctx, cancel := context.WithTimeoutCause(s.ctx, 50*time.Millisecond, errEnough)
	s.Cleanup(cancel)
	return ctx
}
