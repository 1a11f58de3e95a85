// Package podcimage is what podc asks podc-image, the helper that knows how images are stored, and what that answers. How the two
// speak is package helper's.
package podcimage

import (
	"podc.example/podc/api"
	"podc.example/podc/engine/commit"
	"podc.example/podc/internal/disk"
)

// Program is its name.
const Program = "podc-image"

// Verbs of podc-image. It is executed as
//
//	podc-image --root DIR --runroot DIR VERB
const (
	Load    = "load"    // LoadRequest -> ImagesReply
	Pull    = "pull"    // PullRequest -> ImageReply
	Push    = "push"    // PushRequest -> PushReply
	List    = "ls"      // nothing -> ImagesReply
	Inspect = "inspect" // InspectRequest -> InspectReply
	Remove  = "rm"      // RemoveRequest -> RemoveReply, also beside a fault: for what was removed all the same
	Tag     = "tag"     // TagRequest -> ImageReply
	Commit  = "commit"  // CommitRequest -> ImageReply
	Resolve = "resolve" // ResolveRequest -> ResolveReply
	Unpin   = "unpin"   // UnpinRequest -> UnpinReply
	Check   = "check"   // CheckRequest -> CheckReply
	Where   = "where"   // nothing -> WhereReply
)

// LoadRequest asks for the images of an archive.
type LoadRequest struct {
	File string `json:"file"` // its path; empty: it comes on standard input
}

// ImagesReply lists images: what an archive held, in its order, or all there are, by first name, nameless ones last.
type ImagesReply struct {
	Images []api.ImageSummary `json:"images"`
}

// PullRequest asks for an image of a registry.
type PullRequest struct {
	Ref    string `json:"ref"`
	Policy string `json:"policy"` // always, missing or never
}

// PushRequest sends an image to its registry.
type PushRequest struct {
	Ref string `json:"ref"`
}

// PushReply says what the registry has now.
type PushReply struct {
	Digest string `json:"digest"` // of the manifest
}

// ImageReply is one image: what a reference now means, what got a name, what was made.
type ImageReply struct {
	Image api.ImageSummary `json:"image"`
}

// InspectRequest asks for all that is known of images.
type InspectRequest struct {
	Refs []string `json:"refs"`
}

// InspectReply holds one entry for each reference asked for, in that order.
type InspectReply struct {
	Images []api.ImageDetails `json:"images"`
}

// RemoveRequest takes names away, and images with their last name.
type RemoveRequest struct {
	Refs  []string `json:"refs"`
	Force bool     `json:"force,omitempty"` // though several names point to the image
}

// RemoveReply says what `rm` did.
type RemoveReply struct {
	Untagged []string `json:"untagged,omitempty"` // names taken away
	Deleted  []string `json:"deleted,omitempty"`  // IDs of images that are gone
}

// TagRequest gives the image Ref one more name.
type TagRequest struct {
	Ref  string `json:"ref"`
	Name string `json:"name"`
}

// CommitRequest asks for an image of a container, of which it says all, beside the stream of its layer, which follows on standard input.
type CommitRequest struct {
	Image   string        `json:"image"`             // ID of the image below
	Name    string        `json:"name,omitempty"`    // of the image that is made; empty: it has none
	Author  string        `json:"author,omitempty"`  // in its history and config
	Message string        `json:"message,omitempty"` // in its history
	Command string        `json:"command,omitempty"` // that made the layer, in its history
	Config  commit.Config `json:"config"`
}

// ResolveRequest asks what references mean.
type ResolveRequest struct {
	Refs []string `json:"refs"`
	Pin  string   `json:"pin,omitempty"` // group that the images are pinned for; empty: none
}

// ResolveReply says what each reference means, keyed as it was asked for.
type ResolveReply struct {
	Images map[string]api.Image `json:"images"`
	// Missing are the references that mean nothing here, or only an image for another platform, in the order asked for.
	Missing []string `json:"missing,omitempty"`
	// Why says of a missing reference what is wrong with the image that is there: "is for linux/arm64, ...".
	Why map[string]string `json:"why,omitempty"`
	// Inputs vouch for the reply: while each of them is Fresh, asking again would give the same answer and the pins stand.
	Inputs []disk.Stamp `json:"inputs"`
}

// UnpinRequest lets go of all images that are pinned for a group but those to keep.
type UnpinRequest struct {
	Group string   `json:"group"`
	Keep  []string `json:"keep,omitempty"` // their IDs
}

// UnpinReply lists the images that the group no longer holds.
type UnpinReply struct {
	Unpinned []string `json:"unpinned,omitempty"`
}

// CheckRequest asks what is wrong with the image store.
type CheckRequest struct {
	Deep   bool `json:"deep,omitempty"` // read every layer again
	Repair bool `json:"repair,omitempty"`
}

// CheckReply lists what is wrong with the image store, after repair if that was asked for.
type CheckReply struct {
	Problems []api.Problem `json:"problems,omitempty"`
	Repaired []string      `json:"repaired,omitempty"`
}

// WhereReply says where images are stored, whether there are any or not.
type WhereReply struct {
	GraphRoot string `json:"graph_root"`
}
