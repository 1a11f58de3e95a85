package api

import "time"

// Volume is one volume. Its data is the folder _data beside the record.
type Volume struct {
	Name      string            `json:"name"`             // unique on this root, fixed
	Driver    string            `json:"driver,omitempty"` // only "local" (the zero value) so far
	Labels    map[string]string `json:"labels,omitempty"`
	Options   map[string]string `json:"options,omitempty"` // type, device and o, as for mount(8): a mount, rather than a folder
	Anonymous bool              `json:"anonymous,omitempty"`
	Created   time.Time         `json:"created"`
	// Seeded says that the volume has taken an image's content, or has been found to have some of its own.
	Seeded bool `json:"seeded,omitempty"`
	// Owned says that it has taken owner and mode of an image's folder.
	Owned bool `json:"owned,omitempty"`
}
