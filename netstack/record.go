package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/disk"
	"podc.example/podc/internal/fault"
	"podc.example/podc/internal/kernel"
	"podc.example/podc/internal/valid"
	"podc.example/podc/netstack/firewall"
)

// record is the file of an attachment: what was asked for, what was chosen, and what has been or will be made on the host. It
// is written before the first effect and removed after the last one is undone.
type record struct {
	api.Attachment
	// Done says that everything was made. A record without it belongs to an Attach that is under way or was killed.
	Done bool `json:"done"`
	// Going says that a Detach has begun: nothing of the attachment is sure to be there any more.
	Going bool         `json:"going,omitempty"`
	NS    kernel.NetNS `json:"ns"`
	// Published lists what the firewall holds of this attachment.
	Published []firewall.Port `json:"published,omitempty"`
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

func (w way) of(v6 bool) netip.Addr { return firewall.ByFamily(v6, w.V4, w.V6) }

// ifName is the name of an interface inside the pod.
func (r record) ifName(i int) string { return r.Endpoints[i].Interface }

// records are the files of attachments.
type records struct{ *netLock }

// drop ends an attachment, under the net lock: whoever completes the record meanwhile (noteDNSPorts) would bring it back.
func (rs *records) drop(ctx context.Context, id string) error {
	unlock, err := rs.lockToUndo(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return os.RemoveAll(rs.recordPath(id))
}

func (rs *records) save(r record) error {
	return disk.WriteJSON(rs.recordPath(r.ID), r, disk.Volatile)
}

// load returns os.ErrNotExist for an unknown id and for one of an earlier boot.
func (rs *records) load(id string) (record, error) {
	var r record
	if !valid.IsName(id) || !rs.thisBoot() {
		return r, os.ErrNotExist
	}
	err := disk.ReadJSON(rs.recordPath(id), &r)
	if err == nil && r.ID != id {
		err = fmt.Errorf("%w %s: it is not that of this attachment", disk.ErrDamaged, rs.recordPath(id))
	}
	return r, err
}

// all returns all records of this boot, by id. A damaged one harms nobody but its own attachment: it is left out here
// and reported by Check.
func (rs *records) all() ([]record, error) {
	ids, err := rs.AttachmentIDs()
	if err != nil {
		return nil, err
	}
	recs := make([]record, 0, len(ids))
	for _, id := range ids {
		r, err := rs.load(id)
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

// published are the ports of all attachments that the firewall must hold.
func (rs *records) published() ([]firewall.Port, error) {
	recs, err := rs.all()
	var ports []firewall.Port
	for _, r := range recs {
		if !r.Going {
			ports = append(ports, r.Published...)
		}
	}
	return ports, err
}

// AttachmentIDs lists the ids of all attachments of this boot, damaged ones included.
func (rs *records) AttachmentIDs() ([]string, error) {
	if !rs.thisBoot() {
		return nil, nil
	}
	return listDir(rs.attachmentsDir(), ".json")
}

// Attachments returns what is attached, by id, half-made ones included.
func (rs *records) Attachments() ([]api.Attachment, error) {
	recs, err := rs.all()
	if err != nil {
		return nil, err
	}
	out := make([]api.Attachment, len(recs))
	for i, r := range recs {
		out[i] = r.Attachment
	}
	return out, nil
}

// Attachment returns one attachment; the error satisfies errors.Is(err, os.ErrNotExist) if there is none.
func (rs *records) Attachment(id string) (api.Attachment, error) {
	r, err := rs.load(id)
	return r.Attachment, err
}

// ownersOn names who is attached to a network, sorted.
func (rs *records) ownersOn(network string) ([]string, error) {
	recs, err := rs.all()
	if err != nil {
		return nil, err
	}
	var owners []string
	for _, r := range recs {
		if slices.ContainsFunc(r.Endpoints, func(e api.Endpoint) bool { return e.Network == network }) {
			owners = append(owners, strconv.Quote(r.Owner))
		}
	}
	slices.Sort(owners)
	return slices.Compact(owners), nil
}

// damaged lists the attachments whose records do not decode.
func (rs *records) damaged() (damaged []string) {
	ids, _ := rs.AttachmentIDs()
	for _, id := range ids {
		if _, err := rs.load(id); errors.Is(err, disk.ErrDamaged) {
			damaged = append(damaged, id)
		}
	}
	return damaged
}

// standing loads an attachment that is complete.
func (rs *records) standing(id string) (record, error) {
	rec, err := rs.load(id)
	if errors.Is(err, os.ErrNotExist) || err == nil && (!rec.Done || rec.Going) {
		return rec, fault.New(errdefs.ErrNotFound, "nothing is attached as %s", id)
	}
	return rec, err
}

// noteDNSPorts puts on record where the name server of an attachment listens.
func (rs *records) noteDNSPorts(ctx context.Context, id string, p api.DNSPorts) error {
	unlock, err := rs.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := rs.load(id)
	if err != nil || r.Going {
		return err
	}
	r.DNSPorts = p
	return rs.save(r)
}

// ownerOf names who has attached id, for messages.
func (rs *records) ownerOf(id string) string {
	if r, err := rs.load(id); err == nil {
		return fmt.Sprintf("%q", r.Owner)
	}
	return id
}
