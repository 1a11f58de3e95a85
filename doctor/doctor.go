// Package doctor looks at a machine for what podc needs of it, and says how to mend what is missing. It changes nothing that
// outlives the look. It knows programs, files of /proc, /sys and /etc, and nothing of pods: what only others can ask is handed
// in as Probes.
package doctor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// State says how grave a finding is.
type State string

const (
	OK      State = "ok"
	Warning State = "warning" // something works less well, or not for everybody
	Missing State = "missing" // containers cannot run like that
)

// Finding is one thing that was looked at.
type Finding struct {
	Name  string `json:"name"` // "conmon", "cgroups"
	State State  `json:"state"`
	Text  string `json:"text"`           // what was found
	Mend  string `json:"mend,omitempty"` // what to do about it; empty when there is nothing to do
}

// Host is the machine to look at.
type Host struct {
	Root     string // where its /proc, /sys and /etc are found; "" or "/": the machine itself
	Path     string // PATH to look for programs in, colon separated
	Helpers  string // folder of podc's own helper programs
	DataRoot string
	RunRoot  string
	UID      int // of who runs podc
	// PluginDirs are searched for CNI plugins: those in which networks find them.
	PluginDirs []string

	// Probes try what files do not tell, by the name of the finding. Each returns nil if it works.
	Probes []Probe
}

// Probe tries something on the machine.
type Probe struct {
	Name   string
	Try    func(context.Context) error
	Fine   string // what to say if it works
	Mend   string // what to do if it does not
	Needed bool   // containers cannot run without
}

// Examine looks at everything. It takes as long as the programs whose versions it asks for, each at most a few seconds.
func Examine(ctx context.Context, h Host) []Finding {
	found := user(ctx, h)
	if !Healthy(found) {
		return found // to an ordinary user everything looks broken
	}
	for _, look := range []func(context.Context, Host) []Finding{
		programs, kernel, cgroups, forwarding, names, limits, subIDs, space, probes,
	} {
		found = append(found, look(ctx, h)...)
	}
	return found
}

// Healthy reports whether nothing that is needed is missing.
func Healthy(found []Finding) bool {
	return !slices.ContainsFunc(found, func(f Finding) bool { return f.State == Missing })
}

// file is the path of a system file of the host.
func (h Host) file(path string) string { return filepath.Join(h.Root, path) }

func fine(name, text string) Finding { return Finding{Name: name, State: OK, Text: text} }

func user(_ context.Context, h Host) []Finding {
	if h.UID == 0 {
		return []Finding{fine("user", "root")}
	}
	return []Finding{{"user", Missing, "permission denied: podc runs as root until it serves ordinary users (rootless)", "run it as root, with sudo for example"}}
}

func probes(ctx context.Context, h Host) []Finding {
	var found []Finding
	for _, p := range h.Probes {
		err := p.Try(ctx)
		f := fine(p.Name, p.Fine)
		if err != nil {
			f = Finding{p.Name, Warning, err.Error(), p.Mend}
			if p.Needed {
				f.State = Missing
			}
		}
		f.Text = strings.TrimSpace(f.Text)
		found = append(found, f)
	}
	return found
}
