package control

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"podc.example/podc/api"
	"podc.example/podc/internal/fault"
	"podc.example/podc/project"
)

// Selection says which containers are meant. The zero Selection means all.
type Selection struct {
	Group    string   `json:"group,omitempty"`    // of a project
	Services []string `json:"services,omitempty"` // of these services; none: of all
	Number   int      `json:"number,omitempty"`   // the replica of that number, which `run` never made; 0: any
	OneOffs  bool     `json:"one_offs,omitempty"` // those too that `run` made
	Names    []string `json:"names,omitempty"`    // named by name, id or the beginning of one; nothing else counts then
	Filters  Filters  `json:"filters,omitempty"`  // docker's (ContainerFilters)
}

// Takes reports whether what Selection says of projects, services and replicas holds for p.
func (s Selection) Takes(p api.Pod) bool {
	oneOff := IsOneOff(p)
	return (s.Group == "" || p.Spec.Group == s.Group) &&
		(len(s.Services) == 0 || slices.Contains(s.Services, p.Spec.Labels[project.LabelService])) &&
		(s.Group == "" || s.OneOffs || !oneOff) && (s.Number == 0 || !oneOff && NumberOf(p) == s.Number)
}

// IsOneOff reports whether `run` made a container.
func IsOneOff(p api.Pod) bool { return project.IsOneOff(p.Spec.Labels) }

// NumberOf is the number of a replica; 0 of what is none.
func NumberOf(p api.Pod) int {
	n, _ := strconv.Atoi(p.Spec.Labels[project.LabelNumber])
	return n
}

// Filters are what a list is filtered by, values by key. Docker's rule: every key must hold, by any of its values; of labels, all
// must.
type Filters map[string][]string

// ParseFilters reads KEY=VALUE. Keys that are not among known are refused by name.
func ParseFilters(args []string, known ...string) (Filters, error) {
	f := Filters{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if key = strings.ToLower(strings.TrimSpace(key)); !ok || !slices.Contains(known, key) {
			return nil, fault.Invalid("unknown --filter %q: want %s", arg, strings.Join(known, "=, ")+"=")
		}
		f[key] = append(f[key], strings.TrimSpace(value))
	}
	return f, nil
}

// Only refuses keys that are not among known.
func (f Filters) Only(known ...string) error {
	for key := range f {
		if !slices.Contains(known, key) {
			return fault.Invalid("unknown filter %q: want one of %s", key, strings.Join(known, ", "))
		}
	}
	return nil
}

// Holds reports whether key is not asked about, or one of its values matches.
func (f Filters) Holds(key string, match func(value string) bool) bool {
	return len(f[key]) == 0 || slices.ContainsFunc(f[key], match)
}

// Is holds for keys whose values are names.
func (f Filters) Is(key string, names ...string) bool {
	return f.Holds(key, func(v string) bool { return slices.Contains(names, v) })
}

// Labelled reports whether label= and label!= hold.
func (f Filters) Labelled(labels map[string]string) bool {
	has := func(label string) bool {
		key, value, hasValue := strings.Cut(label, "=")
		got, ok := labels[key]
		return ok && (!hasValue || got == value)
	}
	for _, label := range f["label"] {
		if !has(label) {
			return false
		}
	}
	return !slices.ContainsFunc(f["label!"], has)
}

// Matches returns what tells whether a name matches one of the regular expressions given for key.
func (f Filters) Matches(key string) (func(names ...string) bool, error) {
	var list []*regexp.Regexp
	for _, v := range f[key] {
		re, err := regexp.Compile(v)
		if err != nil {
			return nil, fault.Invalid("invalid --filter %s=%q: %v", key, v, err)
		}
		list = append(list, re)
	}
	return func(names ...string) bool {
		return len(list) == 0 || slices.ContainsFunc(list, func(re *regexp.Regexp) bool { return slices.ContainsFunc(names, re.MatchString) })
	}, nil
}

// Toggle reads a key that is true or false. Where it is not given, holds answers yes to everything.
func (f Filters) Toggle(key string) (holds func(bool) bool, err error) {
	var want []bool
	for _, v := range f[key] {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return nil, fault.Invalid("invalid --filter %s=%q: want true or false", key, v)
		}
		want = append(want, b)
	}
	return func(is bool) bool { return len(want) == 0 || slices.Contains(want, is) }, nil
}

// Until is the moment of until=; the zero time where none is given.
func (f Filters) Until(now time.Time) (time.Time, error) {
	if n := len(f["until"]); n > 0 {
		return ParseTime("filter until", f["until"][n-1], now)
	}
	return time.Time{}, nil
}

// Among refuses values of key that are not known.
func (f Filters) Among(key string, known ...string) error {
	for _, v := range f[key] {
		if !slices.Contains(known, v) {
			return fault.Invalid("invalid --filter %s=%q: want one of %s", key, v, strings.Join(known, ", "))
		}
	}
	return nil
}

// What can be filtered by: docker's keys.
var (
	// ContainerFilters are but for isolation and is-task, which are about Windows and swarms.
	ContainerFilters = []string{"id", "name", "label", "label!", "status", "health", "network", "volume", "ancestor", "exited", "before",
		"since", "publish", "expose"}
	NetworkFilters = []string{"name", "id", "driver", "label", "label!", "scope", "type", "dangling"}
	ImageFilters   = []string{"reference", "dangling", "label", "label!", "before", "since", "until"}
	VolumeFilters  = []string{"name", "label", "label!", "driver", "dangling"}
	// PruneFilters are those of containers and of networks.
	PruneFilters = []string{"label", "label!", "until"}
)

// ParseTime reads a moment: RFC 3339 with or without its smaller parts, seconds since 1970, or how long ago.
func ParseTime(flag, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	if sec, frac, _ := strings.Cut(s, "."); strings.Trim(sec+frac, "0123456789") == "" && len(frac) <= 9 {
		n, err1 := strconv.ParseInt(sec, 10, 64)
		ns, err2 := strconv.ParseInt((frac + "000000000")[:9], 10, 64)
		if err1 == nil && err2 == nil {
			return time.Unix(n, ns), nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fault.Invalid("invalid --%s %q: want a time (2026-01-31T12:00:00), seconds since 1970, or how long ago (42m)", flag, s)
}
