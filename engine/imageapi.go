package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// This file is the protocol of podc-image, the helper that knows how images are stored. podc executes
//
//	podc-image [--root DIR --runroot DIR] VERB ARGS...
//
//	load -i FILE|-                     -> LoadReply
//	pull [--policy P] REF              -> PullReply (P: always, which is the default, missing or never)
//	ls                                 -> ListReply
//	inspect REF...                     -> InspectReply
//	rm [--force] REF...                -> RemoveReply
//	tag REF NEW                        -> TagReply
//	commit                             -> CommitReply (stdin: a CommitRequest on one line, then the layer as a tar stream)
//	resolve [--group G --pin] REF...   -> ResolveReply
//	unpin --group G [--keep ID]...     -> UnpinReply (all but the images ID)
//	check [--deep] [--repair]          -> CheckReply (deep: read every layer again)
//	where                              -> WhereReply
//
// The reply is one JSON object on stdout. While it works it writes each ImageEvent to stderr, as JSON in a line of its own. When it
// fails it writes ImageFailure to stdout instead of a reply and exits with code 1.

// ImageEvent is one line of progress. Lines with the same ID replace each other.
type ImageEvent struct {
	ID       string `json:"id"`
	ParentID string `json:"parent_id,omitempty"`
	Status   string `json:"status"` // "Working", "Done", "Warning" or "Error"
	Text     string `json:"text"`
	Details  string `json:"details,omitempty"`
	Current  int64  `json:"current,omitempty"` // bytes
	Total    int64  `json:"total,omitempty"`   // bytes; 0: not known
	Percent  int    `json:"percent,omitempty"`
}

// ImageFailure is what podc-image prints instead of a reply.
type ImageFailure struct {
	Fault *fault.Fault `json:"fault"`
	// Done is the verb's reply for what it had done by then.
	Done json.RawMessage `json:"done,omitempty"`
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
	api.Image
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

// LoadReply lists what an archive held, in its order.
type LoadReply struct {
	Images []ImageSummary `json:"images"`
}

// PullReply is the image that a reference now means.
type PullReply struct {
	Image ImageSummary `json:"image"`
}

// ListReply lists all images, by first name, nameless ones last.
type ListReply struct {
	Images []ImageSummary `json:"images"`
}

// WhereReply says where images are stored, whether there are any or not.
type WhereReply struct {
	GraphRoot string `json:"graph_root"`
}

// InspectReply holds one entry for each reference asked for, in that order.
type InspectReply struct {
	Images []ImageDetails `json:"images"`
}

// RemoveReply says what `rm` did.
type RemoveReply struct {
	Untagged []string `json:"untagged,omitempty"` // names taken away
	Deleted  []string `json:"deleted,omitempty"`  // IDs of images that are gone
}

// TagReply is the image that got one more name.
type TagReply struct {
	Image ImageSummary `json:"image"`
}

// ResolveReply says what each reference means, keyed as it was asked for.
type ResolveReply struct {
	Images map[string]api.Image `json:"images"`
	// Missing are the references that mean nothing here, or only an image for another platform, in the order asked for.
	Missing []string `json:"missing,omitempty"`
	// Why says of a missing reference what is wrong with the image that is there: "is for linux/arm64, ...".
	Why map[string]string `json:"why,omitempty"`
	// Inputs vouch for the reply: while each of them is Fresh, asking again would give the same answer and the pins stand.
	Inputs []FileStamp `json:"inputs"`
}

// UnpinReply lists the images that the group no longer holds.
type UnpinReply struct {
	Unpinned []string `json:"unpinned,omitempty"`
}

// CheckReply lists what is wrong with the image store, after repair if that was asked for.
type CheckReply struct {
	Problems []api.Problem `json:"problems,omitempty"`
	Repaired []string      `json:"repaired,omitempty"`
}

// FileStamp identifies the content of a file by what changes when it is replaced or written. The zero stamp beside a path
// says that the file does not exist.
type FileStamp struct {
	Path  string `json:"path"`
	Inode uint64 `json:"inode,omitempty"`
	Size  int64  `json:"size,omitempty"`
	MTime int64  `json:"mtime,omitempty"` // nanoseconds since 1970
}

// StampFile takes the stamp of the file at path, following symbolic links. A missing file is no error.
func StampFile(path string) (FileStamp, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return FileStamp{Path: path}, nil
	}
	if err != nil {
		return FileStamp{}, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return FileStamp{}, fmt.Errorf("cannot stat %s: no inode", path)
	}
	return FileStamp{Path: path, Inode: st.Ino, Size: st.Size, MTime: st.Mtim.Nano()}, nil
}

// Fresh reports whether the file is still as it was when the stamp was taken.
func (s FileStamp) Fresh() bool {
	now, err := StampFile(s.Path)
	return err == nil && now == s
}
