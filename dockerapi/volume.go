package dockerapi

import (
	"cmp"
	"maps"
	"time"

	"podc.example/podc/api"
)

// Volume is the answer of GET /volumes/{name}.
type Volume struct {
	CreatedAt  string `json:",omitempty"`
	Driver     string
	Labels     map[string]string
	Mountpoint string
	Name       string
	Options    map[string]string
	Scope      string
	UsageData  *VolumeUsage `json:",omitempty"`
}

// VolumeUsage says who uses a volume and how large it is; -1 where nobody has looked.
type VolumeUsage struct {
	RefCount int64
	Size     int64 // bytes
}

// InspectVolume describes a volume whose data lies at path.
func InspectVolume(v api.Volume, path string) Volume {
	out := Volume{CreatedAt: v.Created.UTC().Format(time.RFC3339), Driver: cmp.Or(v.Driver, "local"), Labels: v.Labels, Mountpoint: path,
		Name: v.Name, Options: v.Options, Scope: "local"}
	if v.Anonymous {
		out.Labels = map[string]string{"com.docker.volume.anonymous": ""}
		maps.Copy(out.Labels, v.Labels)
	}
	return out
}
