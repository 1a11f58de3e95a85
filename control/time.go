package control

import (
	"strconv"
	"strings"
	"time"

	"podc.example/podc/internal/fault"
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
