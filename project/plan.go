package project

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"podc.example/podc/api"
)

// Plan is what will be done, and all of it: creations, starts, waits, stops, removals. It is data; Run applies it.
type Plan struct {
	// Prepare are images that must be made ready first. Their identity is not known before, so pods made from them can only be
	// compared, and the final plan made, once they are here.
	Prepare  []Prepare
	Steps    []Step // dependencies before dependents
	Warnings []string
	// Stopped are the pods that are to be stopped and were so before.
	Stopped []string
	// Claims are the host ports that must be free for the plan to succeed, those that the plan itself frees left out.
	Claims []api.PortClaim

	// Addresses are the static addresses that pods need. Leaving are the pods that stop before, Gone those that are removed.
	Addresses     []api.AddressClaim
	Leaving, Gone []string

	inherits map[string]map[string]string // pod -> target -> anonymous volume of its predecessor
}

// Prepare is an image that will be made ready.
type Prepare struct {
	Ref      string      `json:"ref"`
	How      Preparation `json:"how"`
	Why      Reason      `json:"reason"`
	Services []string    `json:"services"`        // that use it, in the order of the model
	Build    *api.Build  `json:"build,omitempty"` // of one that is built, or if it cannot be pulled
	After    []string    `json:"after,omitempty"` // references of those that it is made of: these are made ready first
}

// Preparation is a way to make an image ready.
type Preparation string

const (
	ByPull  Preparation = "pull"
	ByBuild Preparation = "build"
	ByPush  Preparation = "push" // for others: it is sent to its registry
)

// Step is one node of a Plan.
type Step struct {
	Key   Key
	After []Key // steps that must have succeeded
	Past  []Key // steps that must have ended, well or not
	Why   Reason
	// Destructive says that data is lost which nothing can bring back; whoever runs the plan asks first.
	Destructive bool
	// Optional says that its failure is a warning: all who wait for it can do without (required: false).
	Optional bool
	Do       Action
}

// Destructive returns the steps that lose data.
func (p Plan) Destructive() []Step {
	var steps []Step
	for _, s := range p.Steps {
		if s.Destructive {
			steps = append(steps, s)
		}
	}
	return steps
}

// runtimes lists the runtimes of pods that will be made, each once; "" if others are started: theirs was there before.
func (p Plan) runtimes() []string {
	var names []string
	for _, s := range p.Steps {
		switch do := s.Do.(type) {
		case CreatePod:
			names = append(names, do.Spec.Container.Runtime)
		case StartPod:
			names = append(names, "")
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// made lists the pods that will be made.
func (p Plan) made() []api.PodSpec {
	var pods []api.PodSpec
	for _, s := range p.Steps {
		if do, ok := s.Do.(CreatePod); ok {
			pods = append(pods, do.Spec)
		}
	}
	return pods
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Prepare) == 0 && len(p.Steps) == 0 }

// String is the text of `podc plan` and of the golden files.
func (p Plan) String() string {
	var b strings.Builder
	for _, i := range p.Prepare {
		fmt.Fprintf(&b, "%s image %s (%s)\n", i.How, i.Ref, i.Why)
	}
	for _, s := range p.Steps {
		s.print(&b)
	}
	if p.Empty() {
		b.WriteString("nothing to do\n")
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", w)
	}
	return b.String()
}

func (s Step) print(b *strings.Builder) {
	fmt.Fprintf(b, "%s (%s)", s.Key, s.Why)
	if s.Destructive {
		b.WriteString(", destroys data")
	}
	b.WriteByte('\n')
	for _, a := range s.After {
		fmt.Fprintf(b, "\tafter %s\n", a)
	}
	for _, a := range s.Past {
		fmt.Fprintf(b, "\tafter %s, even if it fails\n", a)
	}
}

type prepareJSON struct {
	Prepare
	Why string `json:"why"`
}

type stepJSON struct {
	ID string `json:"id"`
	Key
	Why         string   `json:"why"`
	Reason      Reason   `json:"reason"`
	After       []string `json:"after,omitempty"`
	Past        []string `json:"past,omitempty"`
	Destructive bool     `json:"destructive,omitempty"`
	Optional    bool     `json:"optional,omitempty"`
}

// MarshalJSON is the answer of `podc plan --format json`. It names what will be done but holds no specs, which may carry
// secrets.
func (p Plan) MarshalJSON() ([]byte, error) {
	out := struct {
		Prepare  []prepareJSON `json:"prepare"`
		Steps    []stepJSON    `json:"steps"`
		Warnings []string      `json:"warnings"`
	}{Prepare: []prepareJSON{}, Steps: []stepJSON{}, Warnings: append([]string{}, p.Warnings...)}
	for _, i := range p.Prepare {
		out.Prepare = append(out.Prepare, prepareJSON{i, i.Why.String()})
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, stepJSON{ID: s.Key.String(), Key: s.Key, Why: s.Why.String(), Reason: s.Why,
			After: texts(s.After), Past: texts(s.Past), Destructive: s.Destructive, Optional: s.Optional})
	}
	return json.Marshal(out)
}

func texts(keys []Key) []string {
	var all []string
	for _, k := range keys {
		all = append(all, k.String())
	}
	return all
}
