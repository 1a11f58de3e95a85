package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"podc.example/podc/engine/conmon"
	"podc.example/podc/netstack"
)

// SplicePorts serves, until ctx ends, those published ports of the run that d was read from to which the kernel cannot lead what
// comes for them (see netstack.Splices). Their sockets are conmon's, so that connections outlast whoever serves them.
func (s Supervisor) SplicePorts(ctx context.Context, d Duty) error {
	places := netstack.Splices(d.Pod.Ports)
	if len(places) == 0 {
		return nil
	}
	holder, err := d.conmon.Open()
	if err != nil {
		return fmt.Errorf("cannot take over published ports: %w", err)
	}
	defer holder.Close()
	files := make([]*os.File, len(places))
	for i, place := range places {
		fd, err := unix.PidfdGetfd(int(holder.Fd()), conmon.FirstPort+place, 0)
		if err != nil {
			conmon.CloseAll(files[:i])
			return fmt.Errorf("cannot take over published ports: %w", err)
		}
		files[i] = os.NewFile(uintptr(fd), "published port")
	}
	errs := make([]error, len(places))
	var serving sync.WaitGroup
	for i, place := range places {
		serving.Go(func() { errs[i] = s.e.net.Splice(ctx, d.Pod.ID, d.Pod.Ports, place, files[i]) })
	}
	serving.Wait()
	return errors.Join(errs...)
}
