package compose

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
)

// finding is a key of the merged model that has no effect, or is refused.
type finding struct {
	service string // whose key it is; empty for keys that belong to no service
	key     string
	level   level
	note    string
}

// findings lists the keys of the merged model that do not take effect, in the order of their paths.
func findings(model map[string]any) []finding {
	var found []finding
	findBelow(model, keyTree(), "", "", &found)
	return found
}

func findBelow(value any, at *keyNode, path, service string, found *[]finding) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			next := at.below(key)
			if next == nil || (strings.HasPrefix(key, "x-") && at.named[key] == nil && !userKeys(path)) {
				continue
			}
			sub := joinKey(path, key)
			if path == "services" {
				service = key
			}
			if next.level != served && !empty(v[key]) {
				*found = append(*found, finding{service, sub, next.level, next.note})
				continue
			}
			findBelow(v[key], next, sub, service, found)
		}
	case []any:
		if at.item == nil {
			return
		}
		for i, e := range v {
			findBelow(e, at.item, fmt.Sprintf("%s[%d]", path, i), service, found)
		}
	}
}

// userKeys says that the keys at path are names chosen by the user, which may begin with "x-".
func userKeys(path string) bool {
	return path == "services" || path == "networks" || path == "volumes" || path == "configs" || path == "secrets"
}

// empty recognises values that say nothing: `gpus: []`, `enable: false`.
func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func joinKey(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// judge turns the findings about active services, and about no service, into warnings and one error.
func (l *load) judge(found []finding, active func(service string) bool) error {
	var refused []Problem
	for _, f := range found {
		if f.service != "" && !active(f.service) {
			continue
		}
		switch {
		case f.level == ignored:
			l.warnKey(f.key, "ignored: %s", f.note)
		case l.opt.Lenient:
			l.warnKey(f.key, "not served yet by this version of podc")
		case f.note != "":
			refused = append(refused, Problem{Key: f.key, Text: "not served: " + f.note})
		default:
			refused = append(refused, Problem{Key: f.key, Text: "not served yet by this version of podc"})
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return &Error{Class: errdefs.ErrNotImplemented, Problems: refused}
}
