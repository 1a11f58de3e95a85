package enginetest

import (
	"testing"

	"podc.example/podc/engine"
)

func TestFake(t *testing.T) {
	Run(t, func(*testing.T) (Engine, engine.Image) {
		return &Fake{}, engine.Image{ID: "i", Layers: []string{"/layer"}}
	})
}
