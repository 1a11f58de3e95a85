package dockerapi

import (
	"testing"
	"time"

	"podc.example/podc/api"
)

// What inspect says of a health check is what is run: field by field the service's, else the image's.
func TestInspectShowsTheHealthCheckThatIsRun(t *testing.T) {
	p := api.Pod{
		Spec:  api.PodSpec{Container: api.ContainerSpec{Health: &api.HealthCheck{Retries: 7}}},
		Image: api.Image{Config: api.ImageConfig{Health: &api.HealthCheck{Test: []string{"CMD", "x"}, Interval: time.Minute, Retries: 2}}},
	}
	if h := configOf(p).Healthcheck; h == nil || h.Retries != 7 || h.Interval != time.Minute || len(h.Test) != 2 {
		t.Errorf("inspect shows %+v", h)
	}
}
