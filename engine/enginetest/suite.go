package enginetest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
)

// Engine is what the suite tests.
type Engine interface {
	Snapshot(ctx context.Context, group string) (api.Snapshot, error)
	CreateNetwork(ctx context.Context, n api.Network) error
	RemoveNetwork(ctx context.Context, name string) error
	CreateVolume(ctx context.Context, v api.Volume) error
	RemoveVolume(ctx context.Context, name string) error
	CreatePod(ctx context.Context, spec api.PodSpec, img api.Image) error
	StartPod(ctx context.Context, name string) error
	StopPod(ctx context.Context, name string, timeout *time.Duration) error
	KillPod(ctx context.Context, name, signal string) error
	RemovePod(ctx context.Context, name string, opt api.RemoveOptions) error
	WaitPod(ctx context.Context, name string, until api.Condition) error
	ConnectPod(ctx context.Context, name string, e api.Endpoint, prefer []netip.Addr) error
	DisconnectPod(ctx context.Context, name, network string) error
}

// group is the one the suite works in.
const group = "suite"

type suite struct {
	Engine
	*testing.T
	image api.Image
}

// Run tests the behaviours that whoever drives an engine relies on. newEngine returns a fresh engine and an image that has
// `sleep`, `true` and `false`; it cleans up by t.Cleanup.
func Run(t *testing.T, newEngine func(t *testing.T) (Engine, api.Image)) {
	for name, test := range map[string]func(*suite){
		"life of a pod":                   life,
		"names are taken once":            taken,
		"repeating is harmless":           repeated,
		"what is not there is not found":  missing,
		"a completed pod":                 completes,
		"a failed pod does not complete":  fails,
		"health decides waits":            health,
		"a running pod is not removed":    guarded,
		"anonymous volumes":               anonymous,
		"networks and volumes in use":     inUse,
		"a snapshot is of one group":      groups,
		"a wait ends with its context":    cancelled,
		"killing a pod that does not run": killIdle,
		"networks of a running pod":       reconnects,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, img := newEngine(t)
			test(&suite{e, t, img})
		})
	}
}

func (s *suite) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *suite) is(err error, class error) {
	s.Helper()
	if !errors.Is(err, class) {
		s.Fatalf("got error %v, want class %v", err, class)
	}
}

func (s *suite) create(name string, command ...string) api.PodSpec {
	s.Helper()
	spec := api.PodSpec{Name: name, Group: group}
	spec.Container.Image, spec.Container.ImageID, spec.Container.Command = "suite", s.image.ID, command
	s.ok(s.CreatePod(s.Context(), spec, s.image))
	return spec
}

func (s *suite) pod(name string) api.Pod {
	s.Helper()
	snap, err := s.Snapshot(s.Context(), group)
	s.ok(err)
	for _, p := range snap.Pods {
		if p.Spec.Name == name {
			return p
		}
	}
	s.Fatalf("pod %s is not in the snapshot", name)
	return api.Pod{}
}

func (s *suite) status(name string, want api.Status) {
	s.Helper()
	if got := s.pod(name).Status; got != want {
		s.Fatalf("%s is %s, want %s", name, got, want)
	}
}

// at is a timeout that makes a stop quick.
func at() *time.Duration {
	var none time.Duration
	return &none
}

func life(s *suite) {
	s.create("a", "sleep", "1000")
	s.status("a", api.StatusCreated)
	s.ok(s.StartPod(s.Context(), "a"))
	s.ok(s.WaitPod(s.Context(), "a", api.Ready))
	s.ok(s.WaitPod(s.Context(), "a", api.Running))
	s.status("a", api.StatusRunning)
	s.ok(s.StopPod(s.Context(), "a", at()))
	s.status("a", api.StatusExited)
	s.ok(s.StartPod(s.Context(), "a"))
	s.status("a", api.StatusRunning)
	s.ok(s.StopPod(s.Context(), "a", at()))
	s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{}))
	if snap, err := s.Snapshot(s.Context(), group); err != nil || len(snap.Pods) != 0 {
		s.Fatalf("left: %v, %v", snap.Pods, err)
	}
}

func taken(s *suite) {
	spec := s.create("a", "sleep", "1000")
	s.is(s.CreatePod(s.Context(), spec, s.image), errdefs.ErrAlreadyExists)
}

func repeated(s *suite) {
	s.create("a", "sleep", "1000")
	for range 2 {
		s.ok(s.StartPod(s.Context(), "a"))
	}
	for range 2 {
		s.ok(s.StopPod(s.Context(), "a", at()))
	}
	for range 2 {
		s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{}))
		s.ok(s.RemoveNetwork(s.Context(), "none"))
	}
}

func missing(s *suite) {
	s.is(s.StartPod(s.Context(), "a"), errdefs.ErrNotFound)
	s.is(s.StopPod(s.Context(), "a", nil), errdefs.ErrNotFound)
	s.is(s.WaitPod(s.Context(), "a", api.Started), errdefs.ErrNotFound)
	s.is(s.WaitPod(s.Context(), "a", api.Running), errdefs.ErrNotFound)
}

func completes(s *suite) {
	s.create("a", "true")
	s.ok(s.StartPod(s.Context(), "a"))
	for _, cond := range []api.Condition{api.Completed, api.Ready, api.Started, api.Stopped} {
		s.ok(s.WaitPod(s.Context(), "a", cond))
	}
}

func fails(s *suite) {
	s.create("a", "false")
	s.ok(s.StartPod(s.Context(), "a"))
	s.ok(s.WaitPod(s.Context(), "a", api.Stopped))
	for _, cond := range []api.Condition{api.Completed, api.Ready} {
		var failed *api.WaitError
		if err := s.WaitPod(s.Context(), "a", cond); !errors.As(err, &failed) || failed.Pod.ExitCode != 1 {
			s.Fatalf("wait until %s: %v", cond, err)
		}
	}
}

func health(s *suite) {
	for name, test := range map[string]string{"well": "true", "sick": "false"} {
		spec := api.PodSpec{Name: name, Group: group}
		spec.Container.Image, spec.Container.ImageID, spec.Container.Command = "suite", s.image.ID, []string{"sleep", "1000"}
		spec.Container.Health = &api.HealthCheck{Test: []string{"CMD", test}, Interval: 50 * time.Millisecond, Retries: 1}
		s.ok(s.CreatePod(s.Context(), spec, s.image))
		s.ok(s.StartPod(s.Context(), name))
	}
	s.ok(s.WaitPod(s.Context(), "well", api.Healthy))
	s.ok(s.WaitPod(s.Context(), "well", api.Ready))
	var failed *api.WaitError
	if err := s.WaitPod(s.Context(), "sick", api.Healthy); !errors.As(err, &failed) {
		s.Fatalf("wait for the sick: %v", err)
	}
	s.create("unprobed", "sleep", "1000")
	s.ok(s.StartPod(s.Context(), "unprobed"))
	if err := s.WaitPod(s.Context(), "unprobed", api.Healthy); !errors.As(err, &failed) {
		s.Fatalf("wait for the unprobed: %v", err)
	}
}

func guarded(s *suite) {
	s.create("a", "sleep", "1000")
	s.ok(s.StartPod(s.Context(), "a"))
	s.is(s.RemovePod(s.Context(), "a", api.RemoveOptions{}), errdefs.ErrFailedPrecondition)
	s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{Force: true}))
}

// anonymous volumes outlive their pod unless asked otherwise, can be handed on, and stay anonymous then.
func anonymous(s *suite) {
	spec := api.PodSpec{Name: "a", Group: group}
	spec.Container.Image, spec.Container.ImageID, spec.Container.Command = "suite", s.image.ID, []string{"sleep", "1000"}
	spec.Container.Mounts = []api.Mount{{Type: api.MountVolume, Target: "/data"}}
	s.ok(s.CreatePod(s.Context(), spec, s.image))
	v := s.pod("a").Volumes["/data"]
	s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{}))
	spec.Container.Mounts = []api.Mount{{Type: api.MountVolume, Target: "/data", Source: v}}
	s.ok(s.CreatePod(s.Context(), spec, s.image))
	snap, err := s.Snapshot(s.Context(), group)
	s.ok(err)
	if v == "" || !snap.Volumes[v].Anonymous || s.pod("a").Volumes["/data"] != v {
		s.Fatalf("volume %q was not handed on: %v", v, snap.Volumes)
	}
	s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{Volumes: true}))
	if snap, err = s.Snapshot(s.Context(), group); err != nil || len(snap.Volumes) != 0 {
		s.Fatalf("left: %v, %v", snap.Volumes, err)
	}
}

func inUse(s *suite) {
	s.ok(s.CreateNetwork(s.Context(), api.Network{Name: "n"}))
	s.ok(s.CreateVolume(s.Context(), api.Volume{Name: "v"}))
	spec := api.PodSpec{Name: "a", Group: group}
	spec.Network.Endpoints = []api.Endpoint{{Network: "n"}}
	spec.Container.Image, spec.Container.ImageID, spec.Container.Command = "suite", s.image.ID, []string{"sleep", "1000"}
	spec.Container.Mounts = []api.Mount{{Type: api.MountVolume, Target: "/data", Source: "v"}}
	s.ok(s.CreatePod(s.Context(), spec, s.image))
	s.ok(s.StartPod(s.Context(), "a"))
	s.is(s.RemoveNetwork(s.Context(), "n"), errdefs.ErrFailedPrecondition)
	s.is(s.RemoveVolume(s.Context(), "v"), errdefs.ErrFailedPrecondition)
	s.ok(s.StopPod(s.Context(), "a", at()))
	s.is(s.RemoveVolume(s.Context(), "v"), errdefs.ErrFailedPrecondition)
	s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{}))
	s.ok(s.RemoveNetwork(s.Context(), "n"))
	s.ok(s.RemoveVolume(s.Context(), "v"))
}

func groups(s *suite) {
	s.create("a", "true")
	snap, err := s.Snapshot(s.Context(), "another")
	if err != nil || len(snap.Pods) != 0 {
		s.Fatalf("got %v, %v", snap.Pods, err)
	}
}

func cancelled(s *suite) {
	s.create("a", "sleep", "1000")
	ctx, cancel := context.WithCancelCause(s.Context())
	done := make(chan error, 1)
	go func() { done <- s.WaitPod(ctx, "a", api.Started) }()
	enough := errors.New("enough")
	cancel(enough)
	s.is(<-done, enough)
}

func killIdle(s *suite) {
	s.create("a", "sleep", "1000")
	s.is(s.KillPod(s.Context(), "a", "SIGKILL"), errdefs.ErrFailedPrecondition)
}

// reconnects has a running pod join, leave and join networks: what it joined it has again after a restart, and a network that it
// has left can be made anew.
func reconnects(s *suite) {
	for _, n := range []string{"n", "m"} {
		s.ok(s.CreateNetwork(s.Context(), api.Network{Name: n}))
	}
	on := func() (names string) {
		for _, i := range s.pod("a").Interfaces {
			names += i.Network
		}
		return names
	}
	has := func(want string) {
		s.Helper()
		if got := on(); got != want {
			s.Fatalf("it is on %q, want %q", got, want)
		}
	}
	s.create("a", "sleep", "1000")
	s.is(s.ConnectPod(s.Context(), "a", api.Endpoint{Network: "none"}, nil), errdefs.ErrNotFound)
	s.ok(s.ConnectPod(s.Context(), "a", api.Endpoint{Network: "n"}, nil))
	s.ok(s.StartPod(s.Context(), "a"))
	has("n")
	for range 2 {
		s.ok(s.ConnectPod(s.Context(), "a", api.Endpoint{Network: "m"}, nil))
	}
	has("nm")
	for range 2 {
		s.ok(s.DisconnectPod(s.Context(), "a", "n"))
	}
	has("m")
	s.ok(s.RemoveNetwork(s.Context(), "n"))
	s.ok(s.CreateNetwork(s.Context(), api.Network{Name: "n"}))
	s.ok(s.ConnectPod(s.Context(), "a", api.Endpoint{Network: "n"}, nil))
	has("mn")
	s.ok(s.StopPod(s.Context(), "a", at()))
	s.ok(s.StartPod(s.Context(), "a"))
	has("nm")
	s.ok(s.StopPod(s.Context(), "a", at()))
	s.ok(s.RemovePod(s.Context(), "a", api.RemoveOptions{}))
}
