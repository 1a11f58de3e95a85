// Package project turns a wish into deeds: Desired (what a compose project should be, in engine terms) and Observed (one
// snapshot of what is) are diffed by a pure function into a Plan, a DAG of named and explained steps, and Run walks it.
//
// The package links neither compose-go nor image code, so that the commands that plan nothing new stay quick: the
// translation of a compose model lives in project/translate, which runs in a helper binary of its own.
//
// This file is the vocabulary.
package project

import (
	"maps"
	"net/netip"
	"strings"

	"podc.example/podc/api"
)

// Desired is what a compose project should be. It is plain data: it crosses process boundaries as JSON, and another
// executor than podc's own engine could consume it.
type Desired struct {
	Name        string   `json:"name"`
	WorkingDir  string   `json:"working_dir"`
	ConfigFiles []string `json:"config_files"`

	Networks []Network `json:"networks,omitempty"` // by name
	Volumes  []Volume  `json:"volumes,omitempty"`  // by name
	Services []Service `json:"services,omitempty"` // dependencies before dependents, then by name; those of inactive profiles are absent
	// Disabled names services left out by profiles: their pods are no orphans.
	Disabled []string `json:"disabled,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Network is a network of the project.
type Network struct {
	Key      string      `json:"key"` // in the compose file
	Spec     api.Network `json:"spec"`
	External bool        `json:"external,omitempty"` // must exist; never made, changed or removed
	Hash     string      `json:"hash,omitempty"`
	// Static are the addresses that services name, those of inactive profiles too, sorted.
	Static []netip.Addr `json:"static,omitempty"`
}

// NetworkKey is what the compose file calls a network, or its name.
func NetworkKey(networks []Network, name string) string {
	for _, n := range networks {
		if n.Spec.Name == name {
			return n.Key
		}
	}
	return name
}

// Volume is a named volume of the project.
type Volume struct {
	Key      string     `json:"key"`
	Spec     api.Volume `json:"spec"`
	External bool       `json:"external,omitempty"`
	Hash     string     `json:"hash,omitempty"`
}

// PullPolicy says when an image is fetched.
type PullPolicy string

const (
	PullMissing PullPolicy = "missing"
	PullNever   PullPolicy = "never"
	PullAlways  PullPolicy = "always"
	// BuildMissing makes the image if it is not here; PullBuild makes it whenever the project is brought up.
	BuildMissing PullPolicy = "build-missing"
	PullBuild    PullPolicy = "build"
)

// Service is one service of the project and the template of its replicas.
type Service struct {
	Name  string     `json:"name"`
	Pull  PullPolicy `json:"pull,omitempty"`
	Build *api.Build `json:"build,omitempty"` // what its image is made of; nil: it is made elsewhere
	// BuildAfter names services whose images Build starts from.
	BuildAfter []string `json:"build_after,omitempty"`
	Replicas   int      `json:"replicas"`
	Attach     bool     `json:"attach"` // `up` shows its logs
	// Pod is the template: Name is the base ("shop-web", to which "-N" is added) or, with FixedName, the whole name; ImageID
	// is empty until images are resolved. Where it borrows from a pod of another service, it says LenderPrefix and that service's
	// name instead of the pod's. Its labels are complete but for number, image, hash and depends_on (see Replica).
	Pod       api.PodSpec `json:"pod"`
	FixedName bool        `json:"fixed_name,omitempty"` // container_name
	// PreStart are the templates of pods that run to their end before replicas start, one after another. Their names are whole.
	PreStart []api.PodSpec `json:"pre_start,omitempty"`
	// Hash is the fingerprint of everything that a running replica got from the compose file, contents of env files,
	// configs and secrets included; the image is compared apart.
	Hash string `json:"hash"`
	// Facets are fingerprints of the parts of the service, by key path ("environment.FOO", "ports"), so that a change can be
	// explained. Values that may be secret appear only as keyed digests.
	Facets    map[string]string `json:"facets,omitempty"`
	DependsOn []Dependency      `json:"depends_on,omitempty"` // by service name
}

// Dependency is an edge of the service graph.
type Dependency struct {
	Service   string        `json:"service"`
	Condition api.Condition `json:"condition"` // Started, Healthy or Completed
	Restart   bool          `json:"restart,omitempty"`
	Required  bool          `json:"required"`
}

// Labels that podc writes: docker compose's own names, so that other tools find what they look for.
const (
	LabelProject     = "com.docker.compose.project"
	LabelService     = "com.docker.compose.service"
	LabelVersion     = "com.docker.compose.version"
	LabelWorkingDir  = "com.docker.compose.project.working_dir"
	LabelConfigFiles = "com.docker.compose.project.config_files"
	LabelEnvFile     = "com.docker.compose.project.environment_file"
	LabelOneoff      = "com.docker.compose.oneoff"
	LabelSlug        = "com.docker.compose.slug"
	LabelNumber      = "com.docker.compose.container-number"
	LabelHash        = "com.docker.compose.config-hash"
	LabelImage       = "com.docker.compose.image"
	LabelImageMounts = "com.docker.compose.image-volume-digest"
	LabelHook        = "com.docker.compose.hook"
	LabelDependsOn   = "com.docker.compose.depends_on"
	LabelNetwork     = "com.docker.compose.network"
	LabelVolume      = "com.docker.compose.volume"
	// LabelFacets holds Service.Facets as JSON, so that the next plan can say what changed.
	LabelFacets = "io.podc.facets"
)

// HiddenLabel reports whether a label is of the kind that docker compose and podc keep for themselves: people are not shown it, and
// an image that is made of a container does not get it.
func HiddenLabel(key string) bool {
	return strings.HasPrefix(key, "com.docker.compose.") || strings.HasPrefix(key, "io.podc.")
}

// without is labels but for those that are to be dropped.
func without(labels map[string]string, drop func(key string) bool) map[string]string {
	rest := maps.Clone(labels)
	maps.DeleteFunc(rest, func(key, _ string) bool { return drop(key) })
	return rest
}

// OwnLabel reports whether a label is one that podc writes. One that an image or a file brings is not to pass for it.
func OwnLabel(key string) bool {
	return strings.HasPrefix(key, "com.docker.compose.") || key == LabelFacets
}

// ContentKey names the content of a file of a service.
func ContentKey(service, target string) string { return service + ":" + target }

// Fill gives the files of every service the contents, by ContentKey, that did not travel with d.
func (d *Desired) Fill(contents map[string][]byte) {
	for i := range d.Services {
		s := &d.Services[i]
		for j := range s.Pod.Container.Files {
			f := &s.Pod.Container.Files[j]
			if b, ok := contents[ContentKey(s.Name, f.Target)]; ok {
				f.Content = b
			}
		}
		for h := range s.PreStart {
			for j := range s.PreStart[h].Container.Files {
				f := &s.PreStart[h].Container.Files[j]
				f.Content = contents[HookContent(s.Name, h, f.Target)]
			}
		}
	}
}
