package compose

import (
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"podc.example/podc/internal/valid"
)

// shortForms checks what the loader would report without its place: ports and mounts in short form. It warns of two entries of one
// list with the same target, of which the loader drops the first, as docker does.
func (s *scanner) shortForms(file string, services []pair, sc scope) error {
	var errs []error
	for _, svc := range services {
		key := "services." + svc.key
		n, err := s.portForms(key+".ports", field(svc.value, "ports"), sc)
		b := s.body(file, svc.key)
		*b = body{ports: n + s.exposed(field(svc.value, "expose"), sc), nodes: map[string]int{}}
		for _, p := range pairs(svc.value) {
			if p.key != "extends" {
				b.nodes[p.key] = size(p.value)
			}
		}
		if s.opt.NoInterpolate {
			continue // what holds variables has no form yet
		}
		limits := field(field(field(svc.value, "deploy"), "resources"), "limits")
		errs = append(errs, s.cpus(key+".cpus", field(svc.value, "cpus"), sc), s.cpus(key+".deploy.resources.limits.cpus", field(limits, "cpus"), sc))
		errs = append(errs, err, s.deviceForms(key+".devices", field(svc.value, "devices"), sc), s.mountForms(file, key+".volumes", field(svc.value, "volumes"), sc))
		for _, kind := range []string{"configs", "secrets"} {
			s.distinct(file, key+"."+kind, field(svc.value, kind), func(n *yaml.Node) string { return s.fileForm(kind, n, sc) })
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

// exposed counts the ports of expose.
func (s *scanner) exposed(list *yaml.Node, sc scope) (total int) {
	for _, n := range items(list) {
		ports, _, _ := strings.Cut(s.text(n, sc.env), "/")
		from, to, _ := strings.Cut(ports, "-")
		first, _ := strconv.ParseUint(from, 10, 16)
		last, _ := strconv.ParseUint(to, 10, 16)
		total += 1 + max(int(last)-int(first), 0)
	}
	return total
}

// cpus refuses a number of processors that is too small: the loader may take it for 0, which means all.
func (s *scanner) cpus(key string, n *yaml.Node, sc scope) error {
	if v, err := strconv.ParseFloat(s.text(n, sc.env), 64); err == nil && v != 0 && float32(v) == 0 {
		return Invalid(key, "%v", valid.CPUs(v))
	}
	return nil
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

func (s *scanner) mountForms(file, key string, list *yaml.Node, sc scope) error {
	for i, n := range items(list) {
		if text := s.text(n, sc.env); text != "" {
			if _, err := ParseMount(text); err != nil {
				reason := strings.TrimPrefix(err.Error(), "invalid spec: "+text+": ")
				return Invalid(fmt.Sprintf("%s[%d]", key, i), "%q is no mount: %s", text, reason)
			}
		}
	}
	s.distinct(file, key, list, func(n *yaml.Node) string { return s.mountForm(n, sc) })
	return nil
}

// ParseMount reads the short form of a mount, [SOURCE:]TARGET[:MODES]. Of a mode that is not known the loader says nothing.
func ParseMount(text string) (types.ServiceVolumeConfig, error) {
	v, err := format.ParseVolume(text)
	if modes, ok := strings.CutPrefix(text, v.Source+":"+v.Target+":"); ok && err == nil {
		err = checkModes(modes)
	}
	return v, err
}

// mountModes are docker's, of which a mount has one of a kind; those about the consistency of copies have no effect on Linux.
var mountModes = [][]string{{"ro", "rw"}, {"z", "Z"}, {"nocopy"}, {"cached", "consistent", "delegated"}, format.Propagations}

func checkModes(modes string) error {
	given := map[int]bool{}
	for mode := range strings.SplitSeq(modes, ",") {
		kind := slices.IndexFunc(mountModes, func(kind []string) bool { return slices.Contains(kind, mode) })
		switch {
		case kind < 0:
			return fmt.Errorf("mode %q is none of %s", mode, strings.Join(slices.Concat(mountModes...), ", "))
		case given[kind]:
			return fmt.Errorf("it has more than one of %s", strings.Join(mountModes[kind], ", "))
		}
		given[kind] = true
	}
	return nil
}

func (s *scanner) mountForm(n *yaml.Node, sc scope) string {
	target := s.text(field(n, "target"), sc.env)
	if v, err := format.ParseVolume(s.text(n, sc.env)); err == nil {
		target = v.Target
	}
	if target == "" {
		return ""
	}
	return path.Clean(target)
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

// distinct warns of entries of a list that hide an earlier one, because they have the same target, which target returns; "" does
// not count, nor does an entry that is there twice.
func (s *scanner) distinct(file, key string, list *yaml.Node, target func(*yaml.Node) string) {
	first := map[string]int{}
	entries := items(list)
	for i, n := range entries {
		at := target(n)
		if at == "" {
			continue
		}
		if j, dup := first[at]; dup && !sameValue(entries[j], n) {
			s.warn("%s", Problem{File: s.display(file), Line: deref(n).Line, Key: fmt.Sprintf("%s[%d]", key, i),
				Text: Hides(key[strings.LastIndex(key, ".")+1:], at)})
		}
		first[at] = i
	}
}

// Hides says that an entry takes the place of one of a list, which has its target too.
func Hides(list, target string) string {
	return fmt.Sprintf("takes the place of an entry of %s with the same target %s", list, target)
}

func sameValue(a, b *yaml.Node) bool {
	var x, y any
	return a.Decode(&x) == nil && b.Decode(&y) == nil && reflect.DeepEqual(x, y)
}
