package enginetest

import (
	"testing"

	"podc.example/podc/api"
)

func TestFake(t *testing.T) {
	Run(t, func(*testing.T) (Engine, api.Image) {
		return &Fake{}, api.Image{ID: "i", Layers: []string{"/layer"}}
	})
}
