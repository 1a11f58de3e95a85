package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/valid"
)

// record is the file of an attachment: what was asked for, what was chosen, and what has been or will be made on the host. It
// is written before the first effect and removed after the last one is undone.
type record struct {
	Attachment
	// Done says that everything was made. A record without it belongs to an Attach that is under way or was killed.
	Done bool `json:"done"`
	// Going says that a Detach has begun: nothing of the attachment is sure to be there any more.
	Going bool       `json:"going,omitempty"`
	NS    nsIdentity `json:"ns"`
	// Published lists the elements of this attachment in the table's sets and maps.
	Published []published `json:"published,omitempty"`
	// Ways lists, for each interface, the gateways of the default routes that it offers.
	Ways []way `json:"ways,omitempty"`
	// Exec says that the plugins of podc's own networks were executed: they must undo what they did.
	Exec bool `json:"exec,omitempty"`
}

// way is what an interface offers as default routes; a family's is zero if it offers none.
type way struct {
	V4 netip.Addr `json:"v4,omitzero"`
	V6 netip.Addr `json:"v6,omitzero"`
}

func (w way) of(v6 bool) netip.Addr {
	if v6 {
		return w.V6
	}
	return w.V4
}

// ifName is the name of an interface inside the pod.
func (r record) ifName(i int) string { return r.Endpoints[i].Interface }

// published is one element of the maps of published ports.
type published struct {
	HostIP   netip.Addr `json:"host_ip,omitzero"`
	HostPort uint16     `json:"host_port"`
	Protocol string     `json:"protocol"`
	IP       netip.Addr `json:"ip"` // of the pod
	Port     uint16     `json:"port"`
	Open     bool       `json:"open,omitempty"` // only let through to IP, on a routed network: the host's side does not count
}

// dropRecord ends an attachment, under the net lock: whoever completes the record meanwhile (noteDNSPorts) would bring it back.
func (s *Stack) dropRecord(ctx context.Context, id string) error {
	unlock, err := s.lockToUndo(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return removeFile(s.recordPath(id))
}

func (s *Stack) saveRecord(r record) error {
	return disk.WriteJSON(s.recordPath(r.ID), r, disk.Volatile)
}

// loadRecord returns os.ErrNotExist for an unknown id and for one of an earlier boot.
func (s *Stack) loadRecord(id string) (record, error) {
	var r record
	if !valid.IsName(id) || !s.thisBoot() {
		return r, os.ErrNotExist
	}
	err := disk.ReadJSON(s.recordPath(id), &r)
	if err == nil && r.ID != id {
		err = fmt.Errorf("%w %s: it is not that of this attachment", disk.ErrDamaged, s.recordPath(id))
	}
	return r, err
}

// records returns all records of this boot, by id. A damaged one harms nobody but its own attachment: it is left out here
// and reported by Check.
func (s *Stack) records() ([]record, error) {
	if !s.thisBoot() {
		return nil, nil
	}
	files, err := listDir(s.attachmentsDir())
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	recs := make([]record, 0, len(files))
	for _, f := range files {
		id, ok := strings.CutSuffix(f, ".json")
		if !ok {
			continue
		}
		r, err := s.loadRecord(id)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, disk.ErrDamaged) { // detached while we looked, or damaged
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read attachment %s: %w", id, err)
		}
		recs = append(recs, r)
	}
	return recs, nil
}

// AttachmentIDs lists the ids of all attachments of this boot, damaged ones included.
func (s *Stack) AttachmentIDs() ([]string, error) {
	if !s.thisBoot() {
		return nil, nil
	}
	files, err := listDir(s.attachmentsDir())
	var ids []string
	for _, f := range files {
		if id, ok := strings.CutSuffix(f, ".json"); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, err
}

// Attachments returns what is attached, by id, half-made ones included.
func (s *Stack) Attachments() ([]Attachment, error) {
	recs, err := s.records()
	if err != nil {
		return nil, err
	}
	out := make([]Attachment, len(recs))
	for i, r := range recs {
		out[i] = r.Attachment
	}
	return out, nil
}

// Attachment returns one attachment; the error satisfies errors.Is(err, os.ErrNotExist) if there is none.
func (s *Stack) Attachment(id string) (Attachment, error) {
	r, err := s.loadRecord(id)
	return r.Attachment, err
}
