package translate

import (
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"podc.example/podc/engine"
)

// TestSourcesThatProgramsMake: no folder stands in for a socket, nor for what a program of the host has below /run.
func TestSourcesThatProgramsMake(t *testing.T) {
	for source, made := range map[string]bool{
		"/srv/data": true, "/srv/running": true, "/var/run/docker.sock": false, "/srv/app.sock": false, "/run/app": false, "/var/run/app/x": false,
	} {
		for _, options := range []*types.ServiceVolumeBind{nil, {CreateHostPath: true}} {
			m := engine.Mount{Source: source}
			if err := bind(&m, "", types.ServiceVolumeConfig{Bind: options}); err != nil || m.CreateSource != made {
				t.Errorf("%s: %t, %v", source, m.CreateSource, err)
			}
		}
	}
}
