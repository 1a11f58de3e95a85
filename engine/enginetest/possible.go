package enginetest

import (
	"context"

	"podc.example/podc/api"
	"podc.example/podc/engine"
)

// Possible is the host of a Fake: it has whatever a plan asks for.
type Possible struct{}

func (Possible) CheckPrograms(context.Context, []string) ([]string, error)   { return nil, nil }
func (Possible) CheckAddresses([]api.AddressClaim, []string, []string) error { return nil }
func (Possible) CheckNetworks([]api.Network, []string) error                 { return nil }
func (Possible) CheckVolumes([]api.Volume) error                             { return nil }
func (Possible) CheckPods(context.Context, []api.PodSpec) error              { return nil }

// CheckCommand is the engine's own: it follows from what it is given.
func (Possible) CheckCommand(p api.PodSpec, img api.ImageConfig) error {
	return new(engine.Engine).CheckCommand(p, img)
}
