package api

import "time"

// How long what happens to a pod may take: the engine ends what takes longer, and whoever waits for it waits no less.
const (
	// DefaultGrace is what a container gets to stop that says nothing else, as docker has it.
	DefaultGrace = 10 * time.Second
	// HookDeadline bounds one hook. Docker has no bound; this one is for what hangs.
	HookDeadline = time.Hour
	// ShutdownHooks bounds the pre_stop hooks of a pod, and ShutdownGrace replaces a grace without end: the machine waits.
	ShutdownHooks = 5 * time.Minute
	ShutdownGrace = 90 * time.Second
	// shutdownWork is what a stop takes beyond both, on a machine where everything stops.
	shutdownWork = 2 * time.Minute
)

// ShutDownPatience is how long ShutDownPod may take: whoever takes longer hangs.
func ShutDownPatience(s PodSpec) time.Duration {
	d := shutdownWork
	if len(s.Container.PreStop) > 0 {
		d += ShutdownHooks
	}
	if g := s.Container.Grace(); g >= 0 {
		return d + g
	}
	return d + ShutdownGrace
}

// Grace is how long the container has to end after its stop signal; negative: for ever.
func (c ContainerSpec) Grace() time.Duration {
	if c.StopGrace == nil {
		return DefaultGrace
	}
	return *c.StopGrace
}
