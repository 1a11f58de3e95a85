package api

import (
	"fmt"
	"strings"
	"time"
)

// WaitError says why a wait for a pod failed, with what helps to understand it.
type WaitError struct {
	Pod    Pod
	Until  Condition
	Reason string
	Log    []string // the last lines of its output
}

func (w *WaitError) Error() string {
	return "container " + w.Pod.Spec.Name + " " + w.Reason + w.Evidence()
}

// Evidence is what the pod and its health check said last, in lines below the reason; "" if nothing.
func (w *WaitError) Evidence() string {
	var b strings.Builder
	if n := len(w.Pod.Probes); n > 0 && (w.Until == Healthy || w.Until == Ready) {
		last := w.Pod.Probes[n-1]
		fmt.Fprintf(&b, "\n  last probe: %s", probeResult(last))
		for line := range strings.Lines(strings.TrimSpace(last.Output)) {
			fmt.Fprintf(&b, "\n    %s", strings.TrimRight(line, "\r\n"))
		}
	}
	if len(w.Log) > 0 {
		b.WriteString("\n  last output:")
		for _, l := range w.Log {
			fmt.Fprintf(&b, "\n    %s", l)
		}
	}
	return b.String()
}

func probeResult(p Probe) string {
	if p.ExitCode < 0 {
		return fmt.Sprintf("killed after %s", p.End.Sub(p.Start).Round(time.Millisecond))
	}
	return fmt.Sprintf("exit code %d", p.ExitCode)
}

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
