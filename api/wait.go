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
