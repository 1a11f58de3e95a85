package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"
)

// shortForms checks what the loader would report without its place, or not at all: ports and mounts in short form, and two
// entries of one list with the same target, of which the loader drops one.
func (s *scanner) shortForms(services []pair, sc scope) error {
	var errs []error
	for _, svc := range services {
		key := "services." + svc.key
		n, err := s.portForms(key+".ports", field(svc.value, "ports"), sc)
		if s.ports += n; s.ports > maxPorts {
			return Invalid(key+".ports", "more than %d ports are published", maxPorts)
		}
		if s.opt.NoInterpolate {
			continue // what holds variables has no form yet
		}
		errs = append(errs, err, s.deviceForms(key+".devices", field(svc.value, "devices"), sc), s.mountForms(key+".volumes", field(svc.value, "volumes"), sc))
		for _, kind := range []string{"configs", "secrets"} {
			errs = append(errs, s.distinct(key+"."+kind, field(svc.value, kind), func(n *yaml.Node) string {
				return s.fileForm(kind, n, sc)
			}))
		}
	}
	return Join(errs...)
}

func (s *scanner) portForms(key string, list *yaml.Node, sc scope) (total int, err error) {
	for i, n := range items(list) {
		text := s.text(n, sc.env)
		if text == "" {
			continue
		}
		parsed, err := types.ParsePortConfig(text)
		if err != nil && s.opt.NoInterpolate {
			continue
		}
		if err != nil {
			return total, Invalid(fmt.Sprintf("%s[%d]", key, i), "%q is no port: %s", text, err)
		}
		if total += len(parsed); total > maxPorts {
			return total, nil
		}
	}
	return total, nil
}

// deviceForms refuses what has more parts than source, target and permissions: the loader would, without the place.
func (s *scanner) deviceForms(key string, list *yaml.Node, sc scope) error {
	for i, n := range items(list) {
		if text := s.text(n, sc.env); strings.Count(text, ":") > 2 {
			return Invalid(fmt.Sprintf("%s[%d]", key, i), "%q is no device: it has more parts than source, target and permissions", text).
				WithHint("write a path with a colon in the long syntax: {source: ..., target: ..., permissions: ...}")
		}
	}
	return nil
}

func (s *scanner) mountForms(key string, list *yaml.Node, sc scope) error {
	for i, n := range items(list) {
		if text := s.text(n, sc.env); text != "" {
			if _, err := ParseMount(text); err != nil {
				reason := strings.TrimPrefix(err.Error(), "invalid spec: "+text+": ")
				return Invalid(fmt.Sprintf("%s[%d]", key, i), "%q is no mount: %s", text, reason)
			}
		}
	}
	return s.distinct(key, list, func(n *yaml.Node) string { return s.mountForm(n, sc) })
}

// ParseMount reads the short form of a mount, [SOURCE:]TARGET[:MODES]. Of a mode that is not known the loader says nothing.
func ParseMount(text string) (types.ServiceVolumeConfig, error) {
	v, err := format.ParseVolume(text)
	if modes, ok := strings.CutPrefix(text, v.Source+":"+v.Target+":"); ok && err == nil {
		for mode := range strings.SplitSeq(modes, ",") {
			if !slices.Contains(mountModes, mode) {
				return v, fmt.Errorf("mode %q is none of %s", mode, strings.Join(mountModes, ", "))
			}
		}
	}
	return v, err
}

// mountModes are docker's; those about the consistency of copies have no effect on Linux.
var mountModes = append([]string{"ro", "rw", "z", "Z", "nocopy", "cached", "consistent", "delegated"}, format.Propagations...)

func (s *scanner) mountForm(n *yaml.Node, sc scope) string {
	if n.Kind == yaml.MappingNode {
		return s.text(field(n, "target"), sc.env)
	}
	if text := s.text(n, sc.env); text != "" {
		if v, err := format.ParseVolume(text); err == nil {
			return v.Target
		}
	}
	return ""
}

func (s *scanner) fileForm(kind string, n *yaml.Node, sc scope) string {
	ref := types.FileReferenceConfig{Source: s.text(n, sc.env)}
	if n.Kind == yaml.MappingNode {
		ref.Source, ref.Target = s.text(field(n, "source"), sc.env), s.text(field(n, "target"), sc.env)
	}
	switch {
	case ref.Source == "" && ref.Target == "":
		return ""
	case kind == "secrets":
		return SecretTarget(types.ServiceSecretConfig(ref))
	}
	return ConfigTarget(types.ServiceConfigObjConfig(ref))
}

// distinct checks that no two entries of a list have the same target, which target returns; "" does not count.
func (s *scanner) distinct(key string, list *yaml.Node, target func(*yaml.Node) string) error {
	first := map[string]int{}
	for i, n := range items(list) {
		at := target(n)
		if at == "" {
			continue
		}
		if j, dup := first[at]; dup {
			return Invalid(fmt.Sprintf("%s[%d]", key, i), "%s is the target of %s[%d] too", at, key[strings.LastIndex(key, ".")+1:], j)
		}
		first[at] = i
	}
	return nil
}
