package netstack

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linkRemover removes interfaces of the host. The kernel takes some 10 to 20 ms to forget one, nearly all of it waiting, and
// the same for many at once: so those that are asked for while a removal is under way go together in the next one. The
// zero value is ready.
type linkRemover struct {
	mu      sync.Mutex
	busy    bool     // somebody is removing
	waiting *removal // the next batch, nil if none waits
}

// removal is a batch; done is closed when it was removed, err says how.
type removal struct {
	links []netlink.Link
	done  chan struct{}
	err   error
}

// remove removes an interface and returns when it is gone; that it is so already is no error.
func (l *linkRemover) remove(link netlink.Link) error {
	l.mu.Lock()
	if l.waiting == nil {
		l.waiting = &removal{done: make(chan struct{})}
	}
	mine := l.waiting
	mine.links = append(mine.links, link)
	lead := !l.busy
	l.busy = true
	l.mu.Unlock()
	if lead {
		go l.lead()
	}
	<-mine.done
	return mine.err
}

// lead removes batches until none waits.
func (l *linkRemover) lead() {
	for {
		l.mu.Lock()
		batch := l.waiting
		l.waiting = nil
		if batch == nil {
			l.busy = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		batch.err = removeLinks(batch.links)
		close(batch.done)
	}
}

// removeLinks removes interfaces with one request: several are put into a group of their own first.
func removeLinks(links []netlink.Link) error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	// The group must hold nothing but what is being removed; people number theirs from 1.
	group := 0x70000000 | os.Getpid()
	var errs []error
	for _, link := range links { // by their numbers, which are not used again, and not by their names
		if len(links) == 1 {
			err = h.LinkDel(link)
		} else {
			err = h.LinkSetGroup(link, group)
		}
		if err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("cannot remove interface %s: %w", link.Attrs().Name, err))
		}
	}
	if len(links) > 1 {
		if err := removeGroup(group); err != nil && !isGone(err) {
			errs = append(errs, fmt.Errorf("cannot remove %d interfaces: %w", len(links), err))
		}
	}
	return errors.Join(errs...)
}

// removeGroup removes all interfaces of a group.
func removeGroup(group int) error {
	req := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	req.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(uint32(group))))
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}
