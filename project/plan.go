package project

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"podc.example/podc/engine"
	"podc.example/podc/netstack"
)

// Plan is what will be done, and all of it: creations, starts, waits, stops, removals. It is data; Run applies it.
type Plan struct {
	// Pulls are images that must be fetched first. Their identity is not known before, so pods made from them can only be
	// compared, and the final plan made, once they are here.
	Pulls    []Pull
	Steps    []Step // dependencies before dependents
	Warnings []string
	// Stopped are the pods that are to be stopped and were so before.
	Stopped []string
	// Claims are the host ports that must be free for the plan to succeed, those that the plan itself frees left out.
	Claims []netstack.PortClaim

	// Addresses are the static addresses that pods need. Leaving are the pods that stop before, Gone those that are removed.
	Addresses     []netstack.AddressClaim
	Leaving, Gone []string

	inherits map[string]map[string]string // pod -> target -> anonymous volume of its predecessor
}

// Pull is an image that will be fetched.
type Pull struct {
	Ref      string
	Why      Reason
	Services []string // that use it, in the order of the model
}

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
func (p Plan) made() []engine.PodSpec {
	var pods []engine.PodSpec
	for _, s := range p.Steps {
		if do, ok := s.Do.(CreatePod); ok {
			pods = append(pods, do.Spec)
		}
	}
	return pods
}

// Empty reports whether there is nothing to do.
func (p Plan) Empty() bool { return len(p.Pulls) == 0 && len(p.Steps) == 0 }

// String is the text of `podc plan` and of the golden files.
func (p Plan) String() string {
	var b strings.Builder
	for _, pull := range p.Pulls {
		fmt.Fprintf(&b, "pull image %s (%s)\n", pull.Ref, pull.Why)
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

type pullJSON struct {
	Ref      string   `json:"ref"`
	Why      string   `json:"why"`
	Reason   Reason   `json:"reason"`
	Services []string `json:"services"`
}

type stepJSON struct {
	ID          string   `json:"id"`
	Verb        string   `json:"verb"`
	Kind        string   `json:"kind"`
	Name        string   `json:"name"`
	Until       string   `json:"until,omitempty"`
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
		Pulls    []pullJSON `json:"pulls"`
		Steps    []stepJSON `json:"steps"`
		Warnings []string   `json:"warnings"`
	}{Pulls: []pullJSON{}, Steps: []stepJSON{}, Warnings: append([]string{}, p.Warnings...)}
	for _, pull := range p.Pulls {
		out.Pulls = append(out.Pulls, pullJSON{pull.Ref, pull.Why.String(), pull.Why, pull.Services})
	}
	for _, s := range p.Steps {
		out.Steps = append(out.Steps, stepJSON{ID: s.Key.String(), Verb: s.Key.Verb, Kind: s.Key.Kind, Name: s.Key.Name, Until: s.Key.Until, Why: s.Why.String(), Reason: s.Why,
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
