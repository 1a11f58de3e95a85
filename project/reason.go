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

// The kinds and their texts: {0} and {1} are what they are about, {all} is the list of it.
var (
	AskedFor        = says("asked-for", "asked for")
	RecreationAsked = says("recreation-asked-for", "recreation asked for")
	TakenDown       = says("down", "down")
	VolumesDropped  = says("down-volumes", "down, with volumes")
	MachineStops    = says("machine-stops", "the machine goes down")
	PolicyRestarts  = says("restart-policy", "restart: {0}") // its name
	PolicyPulls     = says("pull-policy", "pull_policy is always")
	PolicyBuilds    = says("build-policy", "pull_policy is build")

	Missing         = says("missing", "missing")
	Orphan          = says("orphan", "orphan")
	Scaled          = says("scaled", "scaled to {0}") // number of replicas
	LeftOver        = says("left-over", "left over")
	HalfMade        = says("half-made", "left half made")
	Damaged         = says("damaged", "its record is damaged")
	FilesLost       = says("files-lost", "configs and secrets lost in a reboot")
	FilesDeleted    = says("files-deleted", "configs and secrets lost with podc's files of its run") // while it runs
	RunDeleted      = says("run-deleted", "podc's files of its run were deleted")
	StopInterrupted = says("stop-interrupted", "its stop was cut short")
	NotStarted      = says("not-started", "not started yet")
	NotRunning      = says("not-running", "not running")
	Exited          = says("exited", "exited with code {0}") // code

	ConfigChanged      = says("configuration-changed", "{all}")      // what changed and how, if it is known
	AttributesChanged  = says("attributes-changed", "{all} changed") // of a network or volume: which
	ImageChanged       = says("image-changed", "image changed: {0}") // reference
	NameChanged        = says("name-changed", "name changed: {0}")   // new name
	NetworkModeChanged = says("network-mode-changed", "network mode changed")
	AddressesChanged   = says("addresses-changed", "static addresses changed")
	NotMounted         = says("volume-not-mounted", "volume {0} not mounted at {1}") // volume, target
	ResourceRecreated  = says("resource-recreated", "{0} {1} is recreated")          // "network" or "volume", name
	ResourceMissing    = says("resource-missing", "{0} {1} is missing")              // "network" or "volume", name
	NotOnNetwork       = says("not-on-network", "not on network {0}")                // network
	NotAttached        = says("not-attached", "not attached to network {0}")         // network
	DependencyRemade   = says("dependency-recreated", "{0} is recreated")            // service
	DependencyAnew     = says("dependency-restarted", "{0} is restarted")            // service

	// Of what is borrowed, and the pod that lends it.
	LenderMissing  = says("lender-missing", "no replica of {1} to share the {0} of") // the service rather than a pod
	LenderChanged  = says("lender-changed", "{borrows} now")
	LenderRemade   = says("lender-recreated", "{borrows}, which is recreated")
	LenderReplaced = says("lender-was-recreated", "{borrows}, which was recreated")
	LenderRemoved  = says("lender-removed", "{borrows}, which is removed")
	LenderStopped  = says("lender-stopped", "{borrows}, which is stopped")
	LenderStarted  = says("lender-started", "{borrows}, which is started")

	HooksDue    = says("hooks-due", "post_start has not succeeded yet")
	HooksAgain  = says("hooks-run-again", "run again")
	BeforeStart = says("before-start", "before the start")
	Succeeded   = says("succeeded", "it has succeeded")
	Needed      = says("needed", "needed by {all}")          // services that depend on it
	Awaited     = says("wait", "asked for, needed by {all}") // services that depend on it too
)

var reasonTexts = map[ReasonKind]string{}

func says(kind ReasonKind, text string) ReasonKind {
	reasonTexts[kind] = text
	return kind
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
