package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"podc.example/podc/netstack"
)

// reservedFd is conmon's first descriptor of a published port, see createContainer.
const reservedFd = 5

// SplicePorts serves, until ctx ends, those published ports of the run that d was read from to which the kernel cannot lead what
// comes for them (see netstack.Splices). Their sockets are conmon's, so that connections outlast whoever serves them.
func (e *Engine) SplicePorts(ctx context.Context, d Duty) error {
	places := netstack.Splices(d.Pod.Ports)
	if len(places) == 0 {
		return nil
	}
	conmon, err := d.conmon.Open()
	if err != nil {
		return fmt.Errorf("cannot take over published ports: %w", err)
	}
	defer conmon.Close()
	files := make([]*os.File, len(places))
	for i, place := range places {
		fd, err := unix.PidfdGetfd(int(conmon.Fd()), reservedFd+place, 0)
		if err != nil {
			closeAll(files[:i])
			return fmt.Errorf("cannot take over published ports: %w", err)
		}
		files[i] = os.NewFile(uintptr(fd), "published port")
	}
	errs := make([]error, len(places))
	var serving sync.WaitGroup
	for i, place := range places {
		serving.Go(func() { errs[i] = e.net.Splice(ctx, d.Pod.ID, d.Pod.Ports, place, files[i]) })
	}
	serving.Wait()
	return errors.Join(errs...)
}
