package project

import (
	"strings"

	"podc.example/podc/api"
)

// Reason says why a step is taken: what is the case, and of what.
type Reason struct {
	Kind  ReasonKind `json:"kind"`
	About []string   `json:"about,omitempty"` // names, in the order of its text
}

// ReasonKind is what is the case. It stands for itself in JSON.
type ReasonKind string

const (
	AskedFor        ReasonKind = "asked-for"
	RecreationAsked ReasonKind = "recreation-asked-for"
	TakenDown       ReasonKind = "down"
	VolumesDropped  ReasonKind = "down-volumes"
	MachineStops    ReasonKind = "machine-stops"
	PolicyRestarts  ReasonKind = "restart-policy" // its name
	PolicyPulls     ReasonKind = "pull-policy"

	Missing         ReasonKind = "missing"
	Orphan          ReasonKind = "orphan"
	Scaled          ReasonKind = "scaled" // number of replicas
	LeftOver        ReasonKind = "left-over"
	HalfMade        ReasonKind = "half-made"
	Damaged         ReasonKind = "damaged"
	FilesLost       ReasonKind = "files-lost"    // in a reboot
	FilesDeleted    ReasonKind = "files-deleted" // while it runs
	RunDeleted      ReasonKind = "run-deleted"
	StopInterrupted ReasonKind = "stop-interrupted"
	NotStarted      ReasonKind = "not-started"
	NotRunning      ReasonKind = "not-running"
	Exited          ReasonKind = "exited" // code

	ConfigChanged      ReasonKind = "configuration-changed" // what changed and how, if it is known
	AttributesChanged  ReasonKind = "attributes-changed"    // of a network or volume: which
	ImageChanged       ReasonKind = "image-changed"         // reference
	NameChanged        ReasonKind = "name-changed"          // new name
	NetworkModeChanged ReasonKind = "network-mode-changed"
	AddressesChanged   ReasonKind = "addresses-changed"
	NotMounted         ReasonKind = "volume-not-mounted"   // volume, target
	ResourceRecreated  ReasonKind = "resource-recreated"   // "network" or "volume", name
	ResourceMissing    ReasonKind = "resource-missing"     // "network" or "volume", name
	NotOnNetwork       ReasonKind = "not-on-network"       // network
	NotAttached        ReasonKind = "not-attached"         // network
	DependencyRemade   ReasonKind = "dependency-recreated" // service
	DependencyAnew     ReasonKind = "dependency-restarted" // service

	// Of what is borrowed, and the pod that lends it.
	LenderMissing  ReasonKind = "lender-missing" // the service rather than a pod
	LenderChanged  ReasonKind = "lender-changed"
	LenderRemade   ReasonKind = "lender-recreated"
	LenderReplaced ReasonKind = "lender-was-recreated"
	LenderRemoved  ReasonKind = "lender-removed"
	LenderStopped  ReasonKind = "lender-stopped"
	LenderStarted  ReasonKind = "lender-started"

	HooksDue    ReasonKind = "hooks-due"
	HooksAgain  ReasonKind = "hooks-run-again"
	BeforeStart ReasonKind = "before-start"
	Succeeded   ReasonKind = "succeeded"
	Needed      ReasonKind = "needed" // services that depend on it
	Awaited     ReasonKind = "wait"   // services that depend on it too
)

// The texts of reasons: {0} and {1} are what they are about, {all} is the list of it.
var reasonTexts = map[ReasonKind]string{
	AskedFor:        "asked for",
	RecreationAsked: "recreation asked for",
	TakenDown:       "down",
	VolumesDropped:  "down, with volumes",
	MachineStops:    "the machine goes down",
	PolicyRestarts:  "restart: {0}",
	PolicyPulls:     "pull_policy is always",

	Missing:         "missing",
	Orphan:          "orphan",
	Scaled:          "scaled to {0}",
	LeftOver:        "left over",
	HalfMade:        "left half made",
	Damaged:         "its record is damaged",
	FilesLost:       "configs and secrets lost in a reboot",
	FilesDeleted:    "configs and secrets lost with podc's files of its run",
	RunDeleted:      "podc's files of its run were deleted",
	StopInterrupted: "its stop was cut short",
	NotStarted:      "not started yet",
	NotRunning:      "not running",
	Exited:          "exited with code {0}",

	ConfigChanged:      "{all}",
	AttributesChanged:  "{all} changed",
	ImageChanged:       "image changed: {0}",
	NameChanged:        "name changed: {0}",
	NetworkModeChanged: "network mode changed",
	AddressesChanged:   "static addresses changed",
	NotMounted:         "volume {0} not mounted at {1}",
	ResourceRecreated:  "{0} {1} is recreated",
	ResourceMissing:    "{0} {1} is missing",
	NotOnNetwork:       "not on network {0}",
	NotAttached:        "not attached to network {0}",
	DependencyRemade:   "{0} is recreated",
	DependencyAnew:     "{0} is restarted",

	LenderMissing:  "no replica of {1} to share the {0} of",
	LenderChanged:  "{borrows} now",
	LenderRemade:   "{borrows}, which is recreated",
	LenderReplaced: "{borrows}, which was recreated",
	LenderRemoved:  "{borrows}, which is removed",
	LenderStopped:  "{borrows}, which is stopped",
	LenderStarted:  "{borrows}, which is started",

	HooksDue:    "post_start has not succeeded yet",
	HooksAgain:  "run again",
	BeforeStart: "before the start",
	Succeeded:   "it has succeeded",
	Needed:      "needed by {all}",
	Awaited:     "asked for, needed by {all}",
}

func because(kind ReasonKind, about ...string) Reason { return Reason{kind, about} }

// given reports whether there is a reason at all.
func (r Reason) given() bool { return r.Kind != "" }

// String is the reason in words.
func (r Reason) String() string {
	text := reasonTexts[r.Kind]
	switch {
	case len(r.About) > 0:
	case r.Kind == ConfigChanged, r.Kind == AttributesChanged:
		return "configuration changed"
	case r.Kind == Awaited:
		return "asked for"
	default:
		return text
	}
	pairs := []string{"{all}", strings.Join(r.About, ", "), "{0}", r.About[0]}
	if len(r.About) == 2 {
		pairs = append(pairs, "{1}", r.About[1], "{borrows}", phrase(api.Borrowed{What: r.About[0], Of: r.About[1]}))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// firstGiven is the first reason that there is, if any.
func firstGiven(reasons ...Reason) Reason {
	for _, r := range reasons {
		if r.given() {
			return r
		}
	}
	return Reason{}
}
