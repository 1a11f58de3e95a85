package engine

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"podc.example/podc/api"
	"podc.example/podc/engine/cgroups"
	"podc.example/podc/internal/kernel"
)

// Processes lists the processes of a running pod's container, the first one first. errdefs.IsFailedPrecondition if the pod
// does not run.
func (s *store) Processes(name string) ([]api.ProcessInfo, error) {
	p, err := s.read(name)
	if err != nil {
		return nil, err
	}
	if p.state.Status != api.StatusRunning {
		return nil, podError("list the processes of", name, notRunning(p))
	}
	boot, err := kernel.BootTime()
	if err != nil {
		return nil, err
	}
	var list []api.ProcessInfo
	for _, pid := range p.run().pids() {
		if info, ok := readProcess(pid, boot); ok { // else it has just ended
			list = append(list, info)
		}
	}
	return list, nil
}

func readProcess(pid int, boot time.Time) (api.ProcessInfo, bool) {
	s, ok := kernel.StatOf(pid)
	info := api.ProcessInfo{
		Pid: pid, Parent: s.Parent, State: string(s.State), Threads: s.Threads, TTY: ttyName(s.Terminal), CPU: s.Work,
		Started: boot.Add(time.Duration(s.Start) * kernel.Tick), Virtual: s.Virtual, Resident: s.Resident, Name: s.Name, Args: kernel.Args(pid),
	}
	uid, there := kernel.UID(pid)
	info.UID = uid
	return info, ok && there
}

// ttyName names a terminal by its device number, as far as containers have such.
func ttyName(dev uint64) string {
	major, minor := unix.Major(dev), unix.Minor(dev)
	switch {
	case dev == 0:
		return ""
	case major >= 136 && major <= 143:
		return fmt.Sprintf("pts/%d", (major-136)<<20+minor)
	case major == 4 && minor < 64:
		return fmt.Sprintf("tty%d", minor)
	case major == 4:
		return fmt.Sprintf("ttyS%d", minor-64)
	case major == 5 && minor == 1:
		return "console"
	}
	return fmt.Sprintf("%d:%d", major, minor)
}

// Usage reads what a running pod uses. errdefs.IsFailedPrecondition if it does not run.
func (s *store) Usage(name string) (api.Usage, error) {
	p, err := s.read(name)
	if err != nil {
		return api.Usage{}, err
	}
	if p.state.Status != api.StatusRunning {
		return api.Usage{}, podError("read the usage of", name, notRunning(p))
	}
	u := cgroups.Usage(p.run().cgroup())
	if u.Host, u.CPUs, err = kernel.CPUs(); err != nil {
		return u, err
	}
	if p.Spec.Network.Mode != api.NetworkHost {
		u.Networks = kernel.NetworkUsage(p.state.Init.Pid)
	}
	return u, nil
}
