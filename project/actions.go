package project

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/containerd/errdefs"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
)

// Engine is what planning and applying need of an engine: the local one, a remote one, or the fake of engine/enginetest.
// Every method but the checks and Snapshot may be repeated: what is so already is no error, except that a name can be taken
// only once.
type Engine interface {
	// Snapshot returns the pods of group and every network and volume of the root.
	Snapshot(ctx context.Context, group string) (api.Snapshot, error)
	CreateNetwork(ctx context.Context, n api.Network) error
	RemoveNetwork(ctx context.Context, name string) error
	// KeepAddresses has owner keep addrs of a network, and none else, from whoever asks for no address there.
	KeepAddresses(ctx context.Context, network, owner string, addrs []netip.Addr) error
	CreateVolume(ctx context.Context, v api.Volume) error
	RemoveVolume(ctx context.Context, name string) error
	CreatePod(ctx context.Context, spec api.PodSpec, img api.Image) error
	StartPod(ctx context.Context, name string) error
	// RestoreFiles puts a pod's configs and secrets in place again; contents, by target, are those without a file of their own.
	RestoreFiles(ctx context.Context, name string, contents map[string][]byte) error
	// StopPod gives the pod timeout to end, nil meaning its own grace period.
	StopPod(ctx context.Context, name string, timeout *time.Duration) error
	// HaltPod is StopPod for a pod that is removed next: what a stop clears away may be left to that.
	HaltPod(ctx context.Context, name string, timeout *time.Duration) error
	// ShutDownPod is StopPod for the end of the machine: no person is on record as having asked for it.
	ShutDownPod(ctx context.Context, name string) error
	KillPod(ctx context.Context, name, signal string) error
	// PausePod and UnpausePod refuse what is so already, as errdefs.ErrConflict.
	PausePod(ctx context.Context, name string) error
	UnpausePod(ctx context.Context, name string) error
	RemovePod(ctx context.Context, name string, opt api.RemoveOptions) error
	// ConnectPod joins a pod to a network, where a running one gets one of prefer for an address if that is free.
	ConnectPod(ctx context.Context, name string, e api.Endpoint, prefer []netip.Addr) error
	// DisconnectPod takes a running pod from a network until it is connected again, or starts again.
	DisconnectPod(ctx context.Context, name, network string) error
	// WaitPod fails as soon as the condition can no longer come true, with an error that shows what the pod said last.
	WaitPod(ctx context.Context, name string, until api.Condition) error
	// Supervise sees to it that what runs of group is watched over.
	Supervise(ctx context.Context, group string) error
	// Tidy clears away what commands that died left, and waits for the end of what runs for a group without pods.
	Tidy(ctx context.Context, group string) error
	// CheckPorts fails with every claim that cannot be met, and names who holds the port.
	CheckPorts(ctx context.Context, claims []api.PortClaim) error
	// CheckPrograms fails with everything that the host lacks for pods of these runtimes, "" meaning the default, and warns of what
	// another runtime stands in for.
	CheckPrograms(ctx context.Context, runtimes []string) (warnings []string, err error)
	// CheckNetworks fails with everything for which networks could not be created once those that are leaving are gone.
	CheckNetworks(want []api.Network, leaving []string) error
	// CheckAddresses fails with every static address that cannot be had once the pods of leaving have stopped and those of gone are
	// removed.
	CheckAddresses(want []api.AddressClaim, leaving, gone []string) error
	// CheckVolumes fails with every volume whose folder on the host does not exist.
	CheckVolumes(list []api.Volume) error
	// CheckCommand fails if neither a pod nor its image says what to run.
	CheckCommand(p api.PodSpec, img api.ImageConfig) error
	// CheckPods fails with everything that pods ask for and the host cannot give.
	CheckPods(ctx context.Context, pods []api.PodSpec) error
}

// Action is one verb and its operands. Every kind of step is one small type in this file; no other place lists them.
type Action interface {
	Key() Key
	apply(context.Context, Engine) error
	limits() limits
}

// limits bound an action.
type limits struct {
	deadline time.Duration
	heavy    bool // costs CPU: only a few at once
}

type (
	CreateNetwork struct{ Network api.Network }
	RemoveNetwork struct{ Name string }
	KeepAddresses struct {
		Network, Owner string
		Addrs          []netip.Addr
	}
	CreateVolume struct{ Volume api.Volume }
	RemoveVolume struct{ Name string }
	CreatePod    struct {
		Spec  api.PodSpec
		Image api.Image
	}
	RestoreFiles struct {
		Name     string
		Contents map[string][]byte `json:"-"` // by target; may be secret
	}
	StartPod struct {
		Name  string
		Hooks int // how many run after
	}
	StopPod struct {
		Name    string
		Timeout *time.Duration // nil: Grace
		Grace   time.Duration  // what the pod itself asks for
		Halt    bool           // its removal follows
		Hooks   int            // how many run before
	}
	ShutDownPod struct {
		Name     string
		Patience time.Duration // with what the pod itself asks for
	}
	KillPod    struct{ Name, Signal string }
	PausePod   struct{ Name string }
	UnpausePod struct{ Name string }
	RemovePod  struct {
		Name    string
		Volumes bool // its anonymous volumes too
		Force   bool // whatever state it was left in
	}
	ConnectPod struct {
		Name     string
		Endpoint api.Endpoint
		Prefer   []netip.Addr // addresses to have again
	}
	DisconnectPod struct{ Name, Network string }
	WaitPod       struct {
		Name    string
		Until   api.Condition
		Timeout time.Duration
		Needed  bool // by a service that depends on it
	}
)

func (a CreateNetwork) Key() Key { return Key{"create", "network", a.Network.Name, ""} }
func (a RemoveNetwork) Key() Key { return Key{"remove", "network", a.Name, ""} }
func (a KeepAddresses) Key() Key { return Key{"keep", "addresses of", a.Network, ""} }
func (a CreateVolume) Key() Key  { return Key{"create", "volume", a.Volume.Name, ""} }
func (a RemoveVolume) Key() Key  { return Key{"remove", "volume", a.Name, ""} }
func (a CreatePod) Key() Key     { return Key{"create", "pod", a.Spec.Name, ""} }
func (a RestoreFiles) Key() Key  { return Key{"restore", "files of", a.Name, ""} }
func (a StartPod) Key() Key      { return Key{"start", "pod", a.Name, ""} }
func (a StopPod) Key() Key       { return Key{"stop", "pod", a.Name, ""} }
func (a ShutDownPod) Key() Key   { return Key{"stop", "pod", a.Name, ""} }
func (a KillPod) Key() Key       { return Key{"kill", "pod", a.Name, ""} }
func (a PausePod) Key() Key      { return Key{"pause", "pod", a.Name, ""} }
func (a UnpausePod) Key() Key    { return Key{"unpause", "pod", a.Name, ""} }
func (a RemovePod) Key() Key     { return Key{"remove", "pod", a.Name, ""} }
func (a ConnectPod) Key() Key {
	return Key{"connect", "pod", a.Name, a.Endpoint.Network}
}
func (a DisconnectPod) Key() Key { return Key{"disconnect", "pod", a.Name, a.Network} }
func (a WaitPod) Key() Key       { return Key{"wait", "pod", a.Name, string(a.Until)} }

func (a CreateNetwork) apply(ctx context.Context, e Engine) error {
	return e.CreateNetwork(ctx, a.Network)
}
func (a RemoveNetwork) apply(ctx context.Context, e Engine) error {
	return e.RemoveNetwork(ctx, a.Name)
}
func (a KeepAddresses) apply(ctx context.Context, e Engine) error {
	return e.KeepAddresses(ctx, a.Network, a.Owner, a.Addrs)
}
func (a CreateVolume) apply(ctx context.Context, e Engine) error {
	return e.CreateVolume(ctx, a.Volume)
}
func (a RemoveVolume) apply(ctx context.Context, e Engine) error { return e.RemoveVolume(ctx, a.Name) }
func (a CreatePod) apply(ctx context.Context, e Engine) error {
	return e.CreatePod(ctx, a.Spec, a.Image)
}
func (a RestoreFiles) apply(ctx context.Context, e Engine) error {
	return e.RestoreFiles(ctx, a.Name, a.Contents)
}
func (a StartPod) apply(ctx context.Context, e Engine) error { return e.StartPod(ctx, a.Name) }
func (a StopPod) apply(ctx context.Context, e Engine) error {
	if a.Halt {
		return e.HaltPod(ctx, a.Name, a.Timeout)
	}
	return e.StopPod(ctx, a.Name, a.Timeout)
}
func (a ShutDownPod) apply(ctx context.Context, e Engine) error { return e.ShutDownPod(ctx, a.Name) }
func (a KillPod) apply(ctx context.Context, e Engine) error {
	err := e.KillPod(ctx, a.Name, a.Signal)
	if err == nil && strings.HasSuffix(a.Signal, "KILL") { // no other signal is sure to end it
		err = e.WaitPod(ctx, a.Name, api.Stopped)
	}
	if errdefs.IsFailedPrecondition(err) || errdefs.IsNotFound(err) { // it ended since it was seen running
		return nil
	}
	return err
}
func (a PausePod) apply(ctx context.Context, e Engine) error   { return e.PausePod(ctx, a.Name) }
func (a UnpausePod) apply(ctx context.Context, e Engine) error { return e.UnpausePod(ctx, a.Name) }
func (a RemovePod) apply(ctx context.Context, e Engine) error {
	return e.RemovePod(ctx, a.Name, api.RemoveOptions{Volumes: a.Volumes, Force: a.Force})
}
func (a ConnectPod) apply(ctx context.Context, e Engine) error {
	return e.ConnectPod(ctx, a.Name, a.Endpoint, a.Prefer)
}
func (a DisconnectPod) apply(ctx context.Context, e Engine) error {
	return e.DisconnectPod(ctx, a.Name, a.Network)
}
func (a WaitPod) apply(ctx context.Context, e Engine) error {
	err := e.WaitPod(ctx, a.Name, a.Until)
	var failed *api.WaitError
	if !errors.As(err, &failed) || !a.Needed {
		return err
	}
	// What it means to those who depend on it is in docker compose's words: scripts look for them.
	switch service := serviceOf(&failed.Pod); {
	case a.Until == api.Healthy:
		return fmt.Errorf("dependency failed to start: %w", err)
	case a.Until == api.Completed && failed.Pod.Status == api.StatusExited && failed.Pod.ExitKnown:
		return &fault.Fault{Err: err, Text: fmt.Sprintf("service %q didn't complete successfully: exit %d%s%s",
			service, failed.Pod.ExitCode, failed.Pod.ExitNote(), failed.Evidence())}
	case a.Until == api.Completed:
		return fmt.Errorf("service %q didn't complete successfully: %w", service, err)
	}
	return err
}

// The deadlines are far above what the work takes on a busy machine: they exist so that nothing hangs for ever.
func (CreateNetwork) limits() limits { return limits{deadline: time.Minute} }
func (RemoveNetwork) limits() limits { return limits{deadline: time.Minute} }
func (KeepAddresses) limits() limits { return limits{deadline: time.Minute} }
func (CreateVolume) limits() limits  { return limits{deadline: time.Minute} }
func (RemoveVolume) limits() limits  { return limits{deadline: 10 * time.Minute} } // deletes data of any size
func (CreatePod) limits() limits     { return limits{deadline: 10 * time.Minute, heavy: true} }
func (RestoreFiles) limits() limits  { return limits{deadline: time.Minute} }
func (a StartPod) limits() limits { // may fill volumes
	return limits{deadline: 10*time.Minute + hookTime(a.Hooks), heavy: a.Hooks == 0}
}
func (KillPod) limits() limits       { return limits{deadline: time.Minute} }
func (PausePod) limits() limits      { return limits{deadline: time.Minute} }
func (UnpausePod) limits() limits    { return limits{deadline: time.Minute} }
func (RemovePod) limits() limits     { return limits{deadline: 10 * time.Minute} } // waits more than it works
func (ConnectPod) limits() limits    { return limits{deadline: 2 * time.Minute} }
func (DisconnectPod) limits() limits { return limits{deadline: 2 * time.Minute} }
func (a WaitPod) limits() limits     { return limits{deadline: a.Timeout} }

func hookTime(n int) time.Duration { return time.Duration(n) * api.HookDeadline }

// forever bounds the waits that a person asked to be unbounded, such as a stop without a time limit.
const forever = 24 * time.Hour

func (a StopPod) limits() limits {
	grace := a.Grace
	if a.Timeout != nil {
		grace = *a.Timeout
	}
	if grace < 0 {
		return limits{deadline: forever}
	}
	return limits{deadline: grace + time.Minute + hookTime(a.Hooks)}
}

func (a ShutDownPod) limits() limits { return limits{deadline: a.Patience} }
