package engine

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/engine/commit"
)

// Docker's rule: an entrypoint that is given drops the image's command, unless it is given to be empty; a command alone keeps
// the image's entrypoint. What is run is what a commit writes.
func TestTheCommandThatIsRun(t *testing.T) {
	img := api.ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"image"}}
	for _, tt := range []struct {
		entrypoint, command []string
		want                string
	}{
		{nil, nil, "/entry image"},
		{nil, []string{"mine"}, "/entry mine"},
		{nil, []string{}, "/entry"},
		{[]string{"/mine"}, nil, "/mine"},
		{[]string{"/mine"}, []string{"too"}, "/mine too"},
		{[]string{}, nil, "image"},
		{[]string{}, []string{"too"}, "too"},
	} {
		spec := api.ContainerSpec{Entrypoint: tt.entrypoint, Command: tt.command}
		c := commit.Of(api.Pod{Spec: api.PodSpec{Container: spec}, Image: api.Image{Config: img}}, func(string) bool { return false })
		for by, args := range map[string][]string{"run": slices.Concat(api.EffectiveCommand(spec, img)), "commit": slices.Concat(c.Entrypoint, c.Cmd)} {
			if got := strings.Join(args, " "); got != tt.want {
				t.Errorf("%s: entrypoint %q and command %q are %q, want %q", by, tt.entrypoint, tt.command, got, tt.want)
			}
		}
	}
}

// Docker's rule: each field that the service sets wins, the others are the image's.
func TestHealthChecksMergeFieldByField(t *testing.T) {
	image := &api.HealthCheck{Test: []string{"CMD", "image"}, Interval: 1 * time.Second, Timeout: 2 * time.Second, Retries: 3, StartPeriod: 4 * time.Second, StartInterval: 5 * time.Second}
	with := func(change func(*api.HealthCheck)) *api.HealthCheck {
		h := *image
		change(&h)
		return &h
	}
	for name, tt := range map[string]struct{ own, image, want *api.HealthCheck }{
		"neither":        {nil, nil, nil},
		"the image's":    {nil, image, image},
		"the service's":  {image, nil, image},
		"a test":         {&api.HealthCheck{Test: []string{"CMD", "own"}}, image, with(func(h *api.HealthCheck) { h.Test = []string{"CMD", "own"} })},
		"an interval":    {&api.HealthCheck{Interval: time.Minute}, image, with(func(h *api.HealthCheck) { h.Interval = time.Minute })},
		"a timeout":      {&api.HealthCheck{Timeout: time.Minute}, image, with(func(h *api.HealthCheck) { h.Timeout = time.Minute })},
		"retries":        {&api.HealthCheck{Retries: 9}, image, with(func(h *api.HealthCheck) { h.Retries = 9 })},
		"a start period": {&api.HealthCheck{StartPeriod: time.Minute}, image, with(func(h *api.HealthCheck) { h.StartPeriod = time.Minute })},
		"at the start":   {&api.HealthCheck{StartInterval: time.Minute}, image, with(func(h *api.HealthCheck) { h.StartInterval = time.Minute })},
		"off":            {&api.HealthCheck{Test: []string{"NONE"}}, image, with(func(h *api.HealthCheck) { h.Test = []string{"NONE"} })},
	} {
		if got := api.EffectiveHealth(tt.own, tt.image); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
		p := &pod{record: record{Spec: api.PodSpec{Container: api.ContainerSpec{Health: tt.own}}, Image: api.Image{Config: api.ImageConfig{Health: tt.image}}}}
		got, want := p.healthCheck(), tt.want
		if !want.Probes() {
			want = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: the monitor runs %+v, want %+v", name, got, want)
		}
		if c := commit.Of(p.view(), func(string) bool { return false }).Healthcheck; tt.want == nil != (c == nil) ||
			c != nil && (c.Interval != tt.want.Interval || c.Retries != tt.want.Retries || !slices.Equal(c.Test, tt.want.Test)) {
			t.Errorf("%s: a commit writes %+v, want %+v", name, c, tt.want)
		}
	}
}

// What the service exposes shows beside what its image does: in what is read of the pod, and in a commit.
func TestExposedPortsAreThoseOfImageAndService(t *testing.T) {
	p := &pod{record: record{Spec: api.PodSpec{Container: api.ContainerSpec{Expose: []string{"9000/udp", "80/tcp"}}}, Image: api.Image{Config: api.ImageConfig{ExposedPorts: []string{"80/tcp"}}}}}
	if got := p.view().Exposed; !slices.Equal(got, []string{"80/tcp", "9000/udp"}) {
		t.Errorf("shown: %q", got)
	}
	if c := commit.Of(p.view(), func(string) bool { return false }); len(c.ExposedPorts) != 2 {
		t.Errorf("a commit writes %v", c.ExposedPorts)
	}
}
