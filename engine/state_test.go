package engine

import (
	"slices"
	"testing"
)

func TestAPodSaysWhatItRuns(t *testing.T) {
	p := &pod{record: record{Image: Image{Config: ImageConfig{Entrypoint: []string{"/app"}, Cmd: []string{"serve"}, ExposedPorts: []string{"80/tcp"}}}}}
	if v := p.view(); !slices.Equal(v.Args, []string{"/app", "serve"}) || !slices.Equal(v.Exposed, []string{"80/tcp"}) {
		t.Errorf("runs %q, exposes %q", v.Args, v.Exposed)
	}
	p.Spec.Container.Command = []string{"migrate"}
	if v := p.view(); !slices.Equal(v.Args, []string{"/app", "migrate"}) {
		t.Errorf("runs %q", v.Args)
	}
}
