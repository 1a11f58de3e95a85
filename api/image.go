package api

import "time"

// Image is a resolved image: all that the engine needs to run it, and nothing of how it is stored. It is made by package
// engine/images and travels as JSON between podc's binaries.
type Image struct {
	ID      string      `json:"id"`     // 64 hex digits, the digest of its config
	Digest  string      `json:"digest"` // of its manifest; may be empty
	Names   []string    `json:"names"`  // normalised references
	Size    int64       `json:"size"`   // bytes, uncompressed
	Created time.Time   `json:"created"`
	Config  ImageConfig `json:"config"`
	// Layers are the folders of the unpacked layers, top first, as overlay's lowerdir wants them.
	Layers []string `json:"layers"`
}

// ImageConfig is what the image says about its containers: the OCI image config, and docker's Healthcheck beside it.
type ImageConfig struct {
	Env          []string          `json:"env,omitempty"`
	Entrypoint   []string          `json:"entrypoint,omitempty"`
	Cmd          []string          `json:"cmd,omitempty"`
	WorkingDir   string            `json:"working_dir,omitempty"`
	User         string            `json:"user,omitempty"`
	Volumes      []string          `json:"volumes,omitempty"`       // targets, sorted
	ExposedPorts []string          `json:"exposed_ports,omitempty"` // "80/tcp", sorted
	Labels       map[string]string `json:"labels,omitempty"`
	StopSignal   string            `json:"stop_signal,omitempty"`
	Health       *HealthCheck      `json:"health,omitempty"`
	OS           string            `json:"os,omitempty"`
	Architecture string            `json:"architecture,omitempty"`
}

// ImageSummary is one image as `ls` shows it.
type ImageSummary struct {
	ID      string    `json:"id"` // 64 hex digits
	Digest  string    `json:"digest,omitempty"`
	Names   []string  `json:"names"` // normalised; empty for an image that lost its name
	Size    int64     `json:"size"`  // bytes, uncompressed
	Created time.Time `json:"created"`
	UsedBy  []string  `json:"used_by,omitempty"` // groups that pin it, sorted
}

// ImageDetails is one image as `inspect` shows it.
type ImageDetails struct {
	Image
	DiffIDs []string       `json:"diff_ids"` // digests of the uncompressed layers, bottom first
	History []ImageHistory `json:"history,omitempty"`
	Author  string         `json:"author,omitempty"`
	UsedBy  []string       `json:"used_by,omitempty"`
}

// ImageHistory is one step of how an image was built.
type ImageHistory struct {
	Created   time.Time `json:"created,omitzero"`
	CreatedBy string    `json:"created_by,omitempty"`
	Comment   string    `json:"comment,omitempty"`
	Empty     bool      `json:"empty_layer,omitempty"` // it made no layer
	Size      int64     `json:"size,omitempty"`        // of its layer, unpacked, in bytes
}
